"""MovieLens, in every form in which it comes, as the same three tables.

Columns: interactions user, item, rating, timestamp; items item, title, year, genres
(`Action|Comedy`); users user, age, gender, occupation, zip.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from warmstart.core.errors import DataError

GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
JOBS_1M = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """Interactions, items and users."""

    interactions: pa.Table
    items: pa.Table
    users: pa.Table


def ml_100k_of_grouplens(data: bytes, item: bytes, user: bytes) -> Tables:
    """Read `u.data`, `u.item` and `u.user`."""
    names = ["item", "title", "release", "video", "url", *GENRES_100K]
    items = _read(item.decode("latin-1"), "|", names, quoted=False)
    has = np.stack([items[g].to_numpy().astype(bool) for g in GENRES_100K], axis=1)
    genres = [
        "|".join(g for g, on in zip(GENRES_100K[1:], row, strict=True) if on) or None
        for row in has[:, 1:]
    ]
    titles = items["title"].to_pylist()
    return Tables(
        _ratings(data.decode("ascii"), "\t"),
        _item_table(items["item"].to_pylist(), titles, genres),
        _read(user.decode("ascii"), "|", ["user", "age", "gender", "occupation", "zip"]),
    )


def ml_100k_of_recbole(inter: bytes, item: bytes, user: bytes) -> Tables:
    """Read RecBole's `.inter`, `.item` and `.user`: the same rows, title and year apart."""
    items = _read(
        item.decode("utf8").partition("\n")[2], "\t", ["item", "title", "year", "genres"],
        quoted=False,
    )  # fmt: skip
    titles = [  # film 267 has no name, and GroupLens spells that rightly
        "unknown" if title == "unkonwn" else f"{title} ({year})"
        for title, year in zip(items["title"].to_pylist(), items["year"].to_pylist(), strict=True)
    ]
    genres = [
        "|".join(w for w in cell.split() if w != "unknown") or None
        for cell in items["genres"].to_pylist()
    ]
    people = _read(
        user.decode("utf8").partition("\n")[2], "\t", ["user", "age", "gender", "occupation", "zip"]
    )
    return Tables(
        _ratings(inter.decode("ascii").partition("\n")[2], "\t"),
        _item_table(items["item"].to_pylist(), titles, genres),
        people,
    )


def ml_1m_of_grouplens(ratings: bytes, movies: bytes, users: bytes) -> Tables:
    """Read `ratings.dat`, `movies.dat` and `users.dat` (latin-1, columns between `::`)."""
    unit = "\x1f"
    films = movies.decode("latin-1").replace("::", unit)
    items = _read(films, unit, ["item", "title", "genres"], quoted=False)
    people = _read(
        users.decode("latin-1").replace("::", unit), unit,
        ["user", "gender", "age", "occupation", "zip"], quoted=False,
    )  # fmt: skip
    jobs = pa.array(JOBS_1M).take(people["occupation"].combine_chunks())
    people = people.set_column(people.column_names.index("occupation"), "occupation", jobs)
    return Tables(
        _ratings(ratings.decode("latin-1").replace("::", unit), unit),
        _item_table(
            items["item"].to_pylist(), items["title"].to_pylist(), items["genres"].to_pylist()
        ),
        people.select(["user", "age", "gender", "occupation", "zip"]),
    )


def find_ml_1m(folder: Path) -> Path | None:
    """Return the folder with ML-1M's files: `folder` itself or its `ml-1m`, or None."""
    for place in (folder, folder / "ml-1m"):
        if any((place / name).is_file() for name in ("ratings.dat", "ratings.parquet")):
            return place
    return None


def ml_1m_of_folder(folder: Path) -> tuple[Path | Tables, ...]:
    """Return the three tables, or the three Parquet files, of a folder that holds ML-1M.

    Raises:
        DataError: a file is missing.
    """
    suffix = ".dat" if (folder / "ratings.dat").is_file() else ".parquet"
    items = "movies.dat" if suffix == ".dat" else "items.parquet"
    paths = [folder / f"ratings{suffix}", folder / items, folder / f"users{suffix}"]
    missing = [p.name for p in paths if not p.is_file()]
    if missing:
        raise DataError(f"{folder} has no {', '.join(missing)}; it must hold all of ML-1M")
    if suffix == ".dat":
        return (ml_1m_of_grouplens(*(p.read_bytes() for p in paths)),)
    return tuple(paths)


def _ratings(text: str, delimiter: str) -> pa.Table:
    return _read(text, delimiter, ["user", "item", "rating", "timestamp"])


def _item_table(
    items: Sequence[int], titles: Sequence[str | None], genres: Sequence[str | None]
) -> pa.Table:
    whole = [re.sub(r"\s+", " ", t or "").strip() for t in titles]
    years = [re.search(r".*\((\d{4})\)", t) for t in whole]
    return pa.table(
        {
            "item": pa.array(items, pa.int64()),
            "title": pa.array(whole, pa.large_string()),
            "year": pa.array([None if y is None else int(y[1]) for y in years], pa.int64()),
            "genres": pa.array(genres, pa.large_string()),
        }
    )


def _read(text: str, delimiter: str, names: list[str], *, quoted: bool = True) -> pa.Table:
    free = ("title", "year", "genres", "zip", "release", "video", "url")
    texts = dict.fromkeys(free, pa.string())
    table = pa.csv.read_csv(
        io.BytesIO(text.encode("utf8")),
        read_options=pa.csv.ReadOptions(column_names=names),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False),
        convert_options=pa.csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
    )
    return table.filter(pc.is_valid(table[names[0]]))
