"""One model's catalogue as each tenant has changed it, replayed from the store.

A change is tried on a copy, kept by the store, and only then served; so it is whole or does not
happen, and it is there again after a restart, in every process, and under the next model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmstart.core.errors import DataError, UnknownItemError, WarmstartError
from warmstart.recommenders.llm_recommender import LLMRecommender
from warmstart.recommenders.recommender import Recommender
from warmstart.service.logs import failed
from warmstart.store import ItemChange, Store

Rows = Sequence[Mapping[str, Any]]

_OF_FILES = ("image", "image-folder", "audio")  # encoders whose columns name files


@dataclass(slots=True)
class Catalogue:
    """What a tenant is served.

    Attributes:
        recommender: exchanged as a whole when items change.
        last: number of the last change in it.
        asked: answers requests in words, once somebody has made one.
    """

    recommender: Recommender
    last: int = 0
    asked: LLMRecommender | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows of items are read.

    Attributes:
        content_root: folder of the files that they name; None: they must name none.
        trust_encoders: whether texts may be sent to addresses that the model names.
    """

    content_root: Path | None = None
    trust_encoders: bool = False


@dataclass
class Serving:
    """A model that can serve, with the catalogues of the tenants who have been here.

    Attributes:
        version: names the model in every answer.
        model: as it was saved.
        store: of the changes.
        reading: of rows.
    """

    version: str
    model: Recommender
    store: Store
    reading: Reading
    _tenants: dict[str, Catalogue] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tenants(self) -> list[str]:
        """Return the tenants who have been here."""
        return list(self._tenants)

    def catalogue(self, tenant: str) -> Catalogue:
        """Return what a tenant is served; the first time, its changes are replayed."""
        found = self._tenants.get(tenant)
        if found is None:
            with self._lock:
                found = self._tenants.get(tenant)
                if found is None:
                    found = Catalogue(self.model.copy())
                    self.catch_up(tenant, found)
                    self._tenants[tenant] = found
        return found

    def is_ready(self, tenant: str) -> bool:
        """Whether a tenant's changes are replayed already."""
        return tenant in self._tenants

    def catch_up(self, tenant: str, served: Catalogue) -> None:
        """Replay what the store holds beyond a catalogue."""
        changes = self.store.item_changes(tenant, after=served.last)
        if changes:
            changed = served.recommender.copy()
            replay(changed, changes, self.reading)
            served.recommender, served.asked, served.last = changed, None, changes[-1].number

    def exchange(self, compiled: Recommender) -> None:
        """Rank by the compiled loops of the model from now on; nobody changes items meanwhile."""
        with self._lock:
            self.model = compiled
            for served in self._tenants.values():
                served.recommender, served.asked = served.recommender.copy().compile(), None

    def change(self, tenant: str, kind: str, rows: Rows, *, now: float) -> int:
        """Change a tenant's items; return how many. Callers take turns.

        Args:
            tenant: whose.
            kind: "add", "update" (which fails on unknown items), "put" or "remove".
            rows: each with `item`.
            now: seconds since the epoch.

        Raises:
            DataError: the rows do not fit; nothing is changed.
            UnknownItemError: an item is not there.
            StoreError: the change cannot be kept; nothing is changed.
        """
        served = self.catalogue(tenant)
        self.catch_up(tenant, served)
        changed = served.recommender.copy()
        rows = as_the_catalogue_writes(changed, rows)
        self._change(changed, kind, rows)
        stored = "update" if kind == "put" else kind
        plain = [{"item": row["item"]} for row in rows] if kind == "remove" else rows
        number = self.store.change_items(tenant, stored, plain, now=now)  # type: ignore[arg-type]
        between = self.store.item_changes(tenant, after=served.last)
        if [change.number for change in between] == [number]:
            served.recommender, served.asked, served.last = changed, None, number
        else:  # another process was in between
            self.catch_up(tenant, served)
        return len(rows)

    def _change(self, model: Recommender, kind: str, rows: Rows) -> None:
        if kind == "remove":
            model.remove_items([row["item"] for row in rows])
        elif kind == "add":
            _add(model, rows, self.reading)
        elif kind == "update":
            _update(model, rows, self.reading)
        else:
            _put(model, rows, self.reading)


def replay(model: Recommender, changes: Iterable[ItemChange], reading: Reading) -> None:
    """Apply changes to a model, which may know some of them already or no longer fit them.

    Rows of one item are joined first, so that each item is placed once; a row that no longer fits
    is left out and logged.
    """
    joined: dict[Any, dict[str, Any]] = {}
    gone: dict[Any, bool] = {}
    for change in changes:
        for row in as_the_catalogue_writes(model, change.rows, strict=False):
            item = row["item"]
            joined[item] = joined.get(item, {}) | row
            gone[item] = change.kind == "remove"
    rows = list(joined.values())
    try:
        _put(model, rows, reading)
    except WarmstartError:
        for row in rows:
            try:
                _put(model, [row], reading)
            except WarmstartError as error:
                failed("item_change_left_out", error)
    known = model.catalogue.items.find(list(gone))
    removed = [item for (item, is_gone), at in zip(gone.items(), known, strict=True)
               if is_gone and at >= 0]  # fmt: skip
    if removed:
        model.remove_items(removed)


def as_the_catalogue_writes(
    model: Recommender, rows: Iterable[Mapping[str, Any]], *, strict: bool = True
) -> list[dict[str, Any]]:
    """Return rows whose ids are of the catalogue's type, and whose lists are written as one cell.

    Raises:
        DataError: a row has no item, or one of another type.
    """
    catalogue, found = model.catalogue, list[dict[str, Any]]()
    integers = catalogue.items.are_integers
    for row in rows:
        item = row.get("item")
        written = _written(item, integers)
        if written is None:
            if not strict:
                continue
            kind = "an integer" if integers else "text"
            raise DataError(
                f"the item {str(item)[:50]!r} is not {kind}, as its catalogue's ids are"
            )
        cells = {name: _cell(catalogue, name, value) for name, value in row.items()}
        found.append(cells | {"item": written})
    return found


def _written(item: Any, integers: bool) -> Any:  # noqa: ANN401
    if isinstance(item, bool) or not isinstance(item, str | int) or item == "":
        return None
    if not integers:
        return str(item)
    if isinstance(item, str):
        digits = item.removeprefix("-")
        if len(digits) > 19 or not (digits.isascii() and digits.isdigit()):
            return None
        item = int(item)
    return item if -(2**63) <= item < 2**63 else None


def _cell(catalogue: Any, name: str, value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, list):
        return value
    column = catalogue.schema.items.get(name)
    separator = "|" if column is None or column.separator is None else column.separator
    return separator.join(str(one) for one in value if one is not None)


def _put(model: Recommender, rows: Rows, reading: Reading) -> None:
    """Change the rows of known items, and add the others."""
    known = model.catalogue.items.find([row["item"] for row in rows])
    new = [row for row, at in zip(rows, known, strict=True) if at < 0]
    if new:
        _add(model, new, reading)
    old = [row for row, at in zip(rows, known, strict=True) if at >= 0]
    if old:
        _update(model, old, reading)


def _add(model: Recommender, rows: Rows, reading: Reading) -> None:
    _check(model, rows, reading)
    model.add_items(
        _columns(rows), root=reading.content_root, trust_encoders=reading.trust_encoders
    )


def _update(model: Recommender, rows: Rows, reading: Reading) -> None:
    """Change what each row names, and leave its other columns as they are."""
    _check(model, rows, reading)
    at = model.catalogue.items.find([row["item"] for row in rows])
    for place, row in zip(at, rows, strict=True):
        if place < 0:
            raise UnknownItemError(row["item"])
    alike: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for row in rows:
        alike.setdefault(frozenset(row), []).append(row)
    for some in alike.values():
        model.update_items(
            _columns(some), root=reading.content_root, trust_encoders=reading.trust_encoders
        )


def _check(model: Recommender, rows: Rows, reading: Reading) -> None:
    """Refuse rows that name files where no folder is set for them."""
    if reading.content_root is not None:
        return
    named = {e.column for e in model.catalogue.item_encoders if e.encoder in _OF_FILES}
    for row in rows:
        for column in named & row.keys():
            raise DataError(
                f"the column {column!r} names files, and the service has no folder for them; "
                "start it with --content-root, or leave the column out"
            )


def _columns(rows: Rows) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
