"""Conversations: what was asked for so far, kept in memory, and gone with the user or the model."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from warmstart.recommenders.asking.conversation import State
from warmstart.service.problems import Problem

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation.

    Attributes:
        version: of the model, whose item numbers the state holds.
        user: whose events are in it; None for nobody's.
        state: for the next sentence.
    """

    version: str
    user: str | None
    state: State


class Talks:
    """The last conversations of all tenants; a name is 128 random bits, and opens one tenant's."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Talk] = OrderedDict()

    def open(self, tenant: str, name: str, version: str) -> Talk:
        """Return a conversation.

        Raises:
            Problem: 404: it is none of the tenant's, or of another model.
        """
        talk = self._kept.get((tenant, name))
        if talk is None or talk.version != version:
            raise Problem(404, "this conversation is over; ask without its name")
        return talk

    def keep(self, tenant: str, name: str | None, talk: Talk) -> str:
        """Keep a conversation under its name, or a new one; return the name."""
        name = name or secrets.token_urlsafe(16)
        self._kept[tenant, name] = talk
        self._kept.move_to_end((tenant, name))
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return name

    def drop(self, tenant: str, user: str) -> None:
        """Forget what a user said."""
        for (whose, name), talk in list(self._kept.items()):
            if whose == tenant and talk.user == user:
                del self._kept[whose, name]
