"""Every kind of table becomes one: pyarrow. Files by their suffix, frames by their type.

A CSV's id columns are read as text first, so that "007" and "7" stay two ids.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from warmstart.core.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_SAMPLE_BYTES = 1 << 16

Choose = Callable[[Sequence[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Source:
    """One table as it was given.

    Attributes:
        table: the rows that could be read.
        name: what messages call it: a file's name, or "interactions", "items", "users".
        first_line: line of the first row in the file, or None where rows have no lines.
        text_columns: columns that were read from text without guessing their type.
        all_columns: names of every column, also of those that were not read.
        malformed: (1-based row or None, text) of rows that are not even rows.
        notes: what was changed on the way in.
    """

    table: pa.Table
    name: str
    first_line: int | None = None
    text_columns: frozenset[str] = frozenset()
    all_columns: tuple[str, ...] = ()
    malformed: tuple[tuple[int | None, str], ...] = ()
    notes: list[str] = field(default_factory=list)


def read_source(
    source: Any,  # noqa: ANN401  (a path, a frame, a table, a mapping)
    role: str,
    *,
    ids: Choose = lambda names: (),
    wanted: Choose = lambda names: names,
    encoding: str = "utf8",
) -> Source:
    """Return any supported table as Arrow.

    Args:
        source: a path, a pandas or Polars frame, an Arrow table or stream, a mapping of columns
            or a list of rows.
        role: "interactions", "items" or "users".
        ids: given the column names, which of them are ids.
        wanted: given the column names, which of them to read.
        encoding: of text files.

    Raises:
        DataError: no such file, a suffix or a type we do not read, bytes that cannot be decoded,
            or no rows at all.
    """
    if isinstance(source, str | Path):
        found = _read_file(Path(source), ids, wanted, encoding)
    else:
        table, notes = _convert(source, role)
        found = Source(table, role, all_columns=tuple(table.column_names), notes=notes)
    if not found.table.num_columns or not (found.table.num_rows or found.malformed):
        raise DataError(f"{found.name} has no rows; the {role} table needs at least one")
    names = found.table.column_names
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{found.name} has two columns called {twice!r}; rename one of them")
    return found


def table_suffix(path: Path) -> str:
    """Return the suffix that tells the format, below a `.gz`."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read_file(path: Path, ids: Choose, wanted: Choose, encoding: str) -> Source:
    suffix = table_suffix(path)
    if not path.exists():
        raise DataError(f"no such file: {path}; check the path")
    if not path.is_file():
        raise DataError(f"{path} is a folder; give a file, or load the folder as a dataset")
    if suffix not in SUFFIXES:
        raise DataError(f"cannot read {path.name}: its suffix must be one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is an empty file; give a table with a header and rows")
    try:
        if suffix == ".parquet":
            return _read_parquet(path, ids, wanted)
        if suffix in (".jsonl", ".ndjson"):
            return _read_json_lines(path)
        return _read_csv(path, suffix, ids, wanted, encoding)
    except PermissionError:
        raise DataError(f"no permission to read {path}; change its mode or its owner") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, LookupError) as error:
        raise DataError(_undecodable(path, suffix, error, encoding)) from None


def _undecodable(path: Path, suffix: str, error: Exception, encoding: str) -> str:
    reason = " ".join(str(error).split())
    reason = reason if len(reason) < 160 else reason[:157] + "..."
    mend = "check that it is whole and of the format that its suffix says"
    if suffix in (".csv", ".tsv") and ("UTF8" in reason.upper() or "decode" in reason):
        mend = f"it is not {encoding}: save it as UTF-8, or pass encoding='latin-1' or 'gb18030'"
    return f"cannot read {path} ({reason}); {mend}"


def _read_parquet(path: Path, ids: Choose, wanted: Choose) -> Source:
    with pa.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
    names = list(dict.fromkeys(wanted(schema.names)))
    texts = [
        n for n in ids(schema.names) if pa.types.is_string(schema.field(n).type) and n in names
    ]
    table = pa.parquet.read_table(path, columns=names, read_dictionary=texts, memory_map=True)
    return Source(table.replace_schema_metadata(None), path.name, all_columns=tuple(schema.names))


def _read_csv(path: Path, suffix: str, ids: Choose, wanted: Choose, encoding: str) -> Source:
    delimiter, names = _header(path, suffix, encoding)
    texts = {n for n in ids(names) if n in names}
    columns = list(dict.fromkeys(wanted(names)))
    malformed: list[tuple[int | None, str]] = []

    def skip(row: Any) -> str:  # noqa: ANN401  (pyarrow's InvalidRow)
        number = None if row.number is None else row.number - 1
        malformed.append((number, f"{row.actual_columns} cells instead of {row.expected_columns}"))
        return "skip"

    def read(*, threads: bool) -> pa.Table:
        malformed.clear()
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(encoding=encoding, use_threads=threads),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.large_string()), include_columns=columns
            ),
        )

    table = read(threads=True)
    if malformed:  # again, on one thread: only so are the rows numbered
        table = read(threads=False)
    for at, name in enumerate(table.column_names):  # an empty cell is a missing one
        column = table[name]
        if name not in texts and pa.types.is_string(column.type):
            empty = pc.equal(column, "")
            table = table.set_column(at, name, pc.if_else(empty, None, column))
    return Source(table, path.name, 2, frozenset(texts), tuple(names), tuple(malformed))


def _header(path: Path, suffix: str, encoding: str) -> tuple[str, list[str]]:
    opened = gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")
    with opened as file:
        raw = file.read(_SAMPLE_BYTES).split(b"\n")[0]
    line = raw.decode(encoding).lstrip("\ufeff").rstrip("\r")
    likely = "\t" if suffix == ".tsv" else ","
    delimiter = likely if likely in line else max(",;\t", key=line.count)
    return delimiter, next(csv.reader(io.StringIO(line), delimiter=delimiter), [])


def _read_json_lines(path: Path) -> Source:
    try:
        table = pa.json.read_json(
            path, parse_options=pa.json.ParseOptions(newlines_in_values=False)
        )
        return Source(table, path.name, 1, all_columns=tuple(table.column_names))
    except pa.ArrowException:  # a column of mixed types, or a line that is not JSON
        return _read_json_lines_slowly(path)


def _read_json_lines_slowly(path: Path) -> Source:
    rows: list[dict[str, Any]] = []
    malformed: list[tuple[int | None, str]] = []
    opened = gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")
    with opened as file:
        for number, line in enumerate(file, start=1):
            row: Any = None
            with contextlib.suppress(ValueError):
                row = json.loads(line.decode("utf8"))
            if isinstance(row, dict):
                rows.append(row)
            elif line.strip():
                malformed.append((number, "the line is not a JSON object in UTF-8"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    table, notes = _from_columns({n: [row.get(n) for row in rows] for n in names})
    return Source(table, path.name, 1, frozenset(), tuple(names), tuple(malformed), notes)


def _convert(source: Any, role: str) -> tuple[pa.Table, list[str]]:  # noqa: ANN401
    if isinstance(source, pa.Table):
        return source.replace_schema_metadata(None), []
    if isinstance(source, pa.RecordBatch):
        return pa.Table.from_batches([source]).replace_schema_metadata(None), []
    if isinstance(source, Mapping):
        return _from_columns(source)
    if isinstance(source, list | tuple) and all(isinstance(row, Mapping) for row in source):
        names = list(dict.fromkeys(name for row in source for name in row))
        return _from_columns({n: [row.get(n) for row in source] for n in names})
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return _from_columns({str(name): source[name] for name in source.columns})
    if hasattr(source, "__arrow_c_stream__"):
        try:
            return _plain_strings(pa.table(source).replace_schema_metadata(None)), []
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"the {role} table cannot be read through Arrow: {error}") from None
    raise DataError(
        f"the {role} table is a {type(source).__name__}; give a path, a pandas or Polars frame, "
        "an Arrow table or a dict of columns"
    )


def _plain_strings(table: pa.Table) -> pa.Table:
    """Return the table without string views, which Polars gives and Arrow cannot take from."""
    for at, column in enumerate(table.schema):
        if column.type == pa.string_view():
            plain = table[column.name].cast(pa.large_string())
            table = table.set_column(at, column.name, plain)
    return table


def _from_columns(columns: Mapping[str, Any]) -> tuple[pa.Table, list[str]]:
    arrays, notes = {}, []
    for name, values in columns.items():
        try:
            array = pa.array(values, from_pandas=True)
        except (pa.ArrowException, OverflowError):
            listed = list(values)
            texts = [None if v is None or v != v else str(v) for v in listed]
            array = pa.array(texts, pa.large_string())
            notes.append(f"column {name!r} mixes types: read as text")
        except TypeError:
            raise DataError(
                f"column {name!r} is a {type(values).__name__}; give a list or an array"
            ) from None
        arrays[str(name)] = array
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different lengths: {lengths}; make them equal")
    return pa.table(arrays), notes
