"""A model that answers what a test tells it: for answers that no real model gives on demand."""

from warmstart.core.errors import LanguageModelError
from warmstart.llm.model import Chances, Reply


class Scripted:
    """Answers with the given texts in turn, and with what `chosen` says of a prompt.

    Attributes:
        asked: the chats that came.
        schemas: that they came with.
    """

    name = "scripted"
    version = "1"

    def __init__(self, *replies, chosen=None, mode="schema"):
        self.replies, self.chosen, self.mode = list(replies), chosen, mode
        self.asked, self.schemas = [], []

    def complete(self, messages, *, schema=None, max_tokens=256, timeout_seconds=30.0):
        self.asked.append(messages)
        self.schemas.append(schema)
        reply = self.replies.pop(0)
        if reply is None:
            raise LanguageModelError("no answer in time")
        return Reply(reply)

    def choose(self, messages, choices, *, timeout_seconds=30.0):
        self.asked.append(messages)
        found = self.chosen(messages, choices)
        if isinstance(found, Exception):
            raise found
        return None if found is None else Chances(tuple(found), prompt_tokens=len(choices))
