"""Every error that warmstart raises on purpose.

WarmstartError
├── DataError          a table, a row, a column or an id is not what it must be
│   ├── UnknownItemError   an id or title is not in the catalogue (carries proposals)
│   └── LeakageError       a statistic or a row of the test side reached training
├── ConfigError        a setting is unknown, out of range, or does not fit the data
├── ArtifactError      a saved model is damaged, hostile, or of a newer format
├── DivergedError      training ran away to values that are not finite
├── StoreError         the store of events cannot keep or read what was asked
├── LanguageModelError a language model gave no answer in time, or none that can be read
└── MissingExtraError  an optional dependency is not installed (names the install line)

A message says what is wrong, which value, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence


class WarmstartError(Exception):
    """Root of the tree: catch this to catch everything the library raises on purpose."""


class DataError(WarmstartError):
    """A table, a row, a column or an id is not what it must be."""


class UnknownItemError(DataError):
    """An id or title that the catalogue does not hold, or that fits several items.

    Attributes:
        query: what was asked for.
        proposals: the closest titles or ids, best first.
        ambiguous: whether it fits several items.
    """

    def __init__(
        self, query: object, proposals: Sequence[str] = (), *, ambiguous: bool = False
    ) -> None:
        self.query = query
        self.proposals, self.ambiguous = tuple(proposals), ambiguous
        what = "fits several items of the catalogue" if ambiguous else "is not in the catalogue"
        hint = "; give the id or the title of one of its items"
        if self.proposals:
            hint = f"; did you mean: {'; '.join(self.proposals)}?"
        super().__init__(f"{query!r} {what}{hint}")


class LeakageError(DataError):
    """A row or a statistic of the test side reached training."""


class ConfigError(WarmstartError):
    """A setting is unknown, out of range, or does not fit the data."""


class ArtifactError(WarmstartError):
    """A saved model is damaged, hostile, or written by a newer version."""


class DivergedError(WarmstartError):
    """Training ran away to values that are not finite; the last good checkpoint stands."""


class StoreError(WarmstartError):
    """The store of events is damaged, full, out of reach or of a newer version."""


class LanguageModelError(WarmstartError):
    """A language model gave no answer in time, or none that can be read."""


class MissingExtraError(WarmstartError, ImportError):
    """An optional dependency is not installed.

    Example:
        >>> print(MissingExtraError("torch", extra="train"))
        torch is not installed; run: pip install "warmstart[train]"
    """

    def __init__(self, package: str, *, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f'{package} is not installed; run: pip install "warmstart[{extra}]"')
