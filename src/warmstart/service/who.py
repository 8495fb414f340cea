"""Whose request it is: keys, and what they allow.

A key is `Authorization: Bearer ws_…`. Of write a key may read, and of admin do everything; a key
belongs to one tenant and sees nothing of another.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from warmstart.service.problems import Problem
from warmstart.service.settings import TENANT
from warmstart.store import ApiKey

_ALLOWS = {"read": 1, "write": 2, "admin": 3}
_MOST_KEPT = 10_000
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks.

    Attributes:
        tenant: whose data it is about.
        key: id of the key; "" without one.
        level: 1 to read, 2 to write, too, 3 for everything.
    """

    tenant: str
    key: str
    level: int

    @property
    def runs_the_service(self) -> bool:
        """Whether they may exchange models."""
        return self.tenant == TENANT and self.level >= _ALLOWS["admin"]

    def must(self, scope: str) -> None:
        """Refuse who lacks a scope.

        Raises:
            Problem: 403.
        """
        if self.level < _ALLOWS[scope]:
            raise Problem(403, f"this key lacks the scope {scope}; use one that has it")


EVERYBODY = Who(TENANT, "", _ALLOWS["admin"])


class Keys:
    """Looks keys up, and believes a good one for a moment."""

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[ApiKey | None]],
        *,
        seconds: float,
        now: Callable[[], float],
    ) -> None:
        """Set up.

        Args:
            look_up: asks the store, which compares in constant time.
            seconds: how long a good key is believed.
            now: seconds, from anywhere.
        """
        self._look_up, self._seconds, self._now = look_up, seconds, now
        self._known: OrderedDict[bytes, tuple[float, Who]] = OrderedDict()

    async def who(self, authorization: str | None) -> Who:
        """Return whose key a header holds.

        Raises:
            Problem: 401, the same for every reason.
        """
        kind, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret or len(secret) > _LONGEST:
            raise Problem(401, "send a key: Authorization: Bearer ws_…")
        mark = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(mark)
        if known is not None and self._now() < known[0]:
            return known[1]
        key = await self._look_up(secret)
        if key is None:
            self._known.pop(mark, None)
            raise Problem(401, "this key opens nothing; make one: warmstart keys create")
        who = Who(key.tenant, key.id, _level(key.scopes))
        self._known[mark] = (self._now() + self._seconds, who)
        self._known.move_to_end(mark)
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
        return who


def _level(scopes: Collection[str]) -> int:
    return max((_ALLOWS[scope] for scope in scopes), default=0)
