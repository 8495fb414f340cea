"""Are the runs of several seeds several fits? By hashes, by the number of fits, by the numbers.

A result of five seeds that share one backbone has intervals that are too narrow: the backbone's
own chance is not in them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from warmstart.core.errors import ConfigError, DataError
from warmstart.data.findings import Finding, LintReport
from warmstart.data.tables import SUFFIXES, read_source, table_suffix

CHANCELESS = (
    "constant", "popularity", "smoothed", "itemknn", "ease", "itemmean", "item mean", "user mean",
    "chance", "random",
)  # fmt: skip
"""Methods that have no chance of their own, or nothing to fit: equal numbers say nothing."""

_CHECK = "shared-fit"
_SEEDS = ("seed", "split", "fold", "run", "repeat", "repetition")
_OF_A_FIT = re.compile(r"weight|backbone|prediction|checkpoint|model|fit|scores|state", re.I)
_HASH = re.compile(r"sha|hash|digest|md5|id$|path|file|checkpoint|fit$|backbone$|model$", re.I)
_N_FITS = ("fits", "n_fits", "trainings", "backbones", "n_backbones")
_FEWEST_NUMBERS = 3
_MEND = "fit once for each seed, or say that it is one fit and resample tasks alone"


def lint_results(result: Any, *, chanceless: Sequence[str] = CHANCELESS) -> LintReport:  # noqa: ANN401
    """Look for one fit passed off as several seeds in a result.

    Found are equal hashes (or paths, or ids) of weights, backbones, checkpoints, models or
    predictions under different seeds; fewer fits than seeds; and seeds under which a method gives
    the same numbers to the last digit.

    Args:
        result: a JSON file, or what is in it.
        chanceless: methods that may give equal numbers.

    Raises:
        DataError: it cannot be read.

    Example:
        >>> runs = [{"seed": 0, "weights_sha256": "ab12"}, {"seed": 1, "weights_sha256": "ab12"}]
        >>> [(f.column, f.cases) for f in lint_results({"runs": runs}).findings]
        [('runs[].weights_sha256', 2)]
    """
    name = "results"
    if isinstance(result, str | Path):
        name = Path(result).name
        try:
            result = json.loads(Path(result).read_text("utf8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{result} cannot be read as JSON ({error}); check the file") from None
    found = list(_within(result, "", name, {c.casefold() for c in chanceless}))
    return LintReport.of(found, [_CHECK])


def lint_fits(files: Sequence[str | Path], *, backbone: str | None = None) -> LintReport:
    """Look for equal weights, or equal predictions, among the files of several seeds.

    Args:
        files: one a seed: tables, safetensors, or anything that is compared byte by byte.
        backbone: of safetensors, compare only the arrays whose name begins so: the part that must
            be fitted anew though the heads differ.

    Raises:
        ConfigError: fewer than two files.
        DataError: one cannot be read, or has no array of that name.
    """
    paths = [Path(file) for file in files]
    if len(paths) < 2:
        raise ConfigError(f"{len(paths)} file of fits; give the files of two seeds at least")
    digests = [_digest(path, backbone) for path in paths]
    found = []
    for digest in dict.fromkeys(digests):
        same = [p.name for p, d in zip(paths, digests, strict=True) if d == digest]
        if len(same) > 1:
            what = "the whole file" if backbone is None else f"{backbone}*"
            found.append(
                Finding(_CHECK, same[1], None, None, what, f"equal to {same[0]}", len(same),
                        "the files of several seeds hold the same numbers", _MEND)
            )  # fmt: skip
    return LintReport.of(found, [_CHECK])


def _within(node: Any, place: str, name: str, chanceless: set[str]) -> Iterator[Finding]:  # noqa: ANN401
    if isinstance(node, Mapping):
        yield from _fewer_fits(node, place, name)
        for key, value in node.items():
            yield from _within(value, f"{place}.{key}".lstrip("."), name, chanceless)
    elif isinstance(node, list):
        records = [r for r in node if isinstance(r, Mapping)]
        seed_key = next((k for k in _SEEDS if records and all(k in r for r in records)), None)
        if seed_key is not None and len(records) == len(node):
            yield from _equal_hashes(records, seed_key, f"{place}[]", name)
            yield from _equal_numbers(records, seed_key, f"{place}[]", name, chanceless)
        for i, value in enumerate(node):
            if seed_key is None or i == 0:
                yield from _within(value, f"{place}[]", name, chanceless)


def _fewer_fits(node: Mapping[str, Any], place: str, name: str) -> Iterator[Finding]:
    seeds = node.get("seeds")
    if not isinstance(seeds, list) or len(seeds) < 2:
        return
    for key, value in node.items():
        where = f"{place}.{key}".lstrip(".")
        if key in _N_FITS and isinstance(value, int) and value < len(seeds):
            yield Finding(
                _CHECK, name, None, None, where, f"{value} for {len(seeds)} seeds", 1,
                "there are fewer fits than seeds", _MEND,
            )  # fmt: skip
        if _names_a_fit(key):  # one hash a seed, in a list or by seed
            texts = list(value.values()) if isinstance(value, Mapping) else value
            if isinstance(texts, list) and len(texts) == len(seeds):
                yield from _repeated(dict(zip(map(str, seeds), texts, strict=True)), where, name)


def _equal_hashes(
    records: Sequence[Mapping[str, Any]], seed_key: str, place: str, name: str
) -> Iterator[Finding]:
    by_method: dict[Any, dict[str, dict[str, Any]]] = {}
    for record in records:
        for key, value in _flat(record):
            if _names_a_fit(key) and isinstance(value, str) and value:
                method = str(record.get("method", ""))
                of_key = by_method.setdefault((method, key), {})
                of_key.setdefault(str(record[seed_key]), {})[value] = None
    for (_, key), of_seed in by_method.items():
        one = {seed: next(iter(values)) for seed, values in of_seed.items() if len(values) == 1}
        yield from _repeated(one, f"{place}.{key}", name)


def _repeated(of_seed: Mapping[str, Any], where: str, name: str) -> Iterator[Finding]:
    for value in dict.fromkeys(v for v in of_seed.values() if isinstance(v, str) and v):
        seeds = [seed for seed, other in of_seed.items() if other == value]
        if len(seeds) > 1:
            yield Finding(
                _CHECK, name, None, None, where, f"{value[:16]} under {', '.join(seeds)}",
                len(seeds), "several seeds share one fit", _MEND,
            )  # fmt: skip


def _equal_numbers(
    records: Sequence[Mapping[str, Any]],
    seed_key: str,
    place: str,
    name: str,
    chanceless: set[str],
) -> Iterator[Finding]:
    """Give the methods whose numbers are equal under two seeds, where they are many and vary."""
    numbers: dict[str, dict[Any, dict[Any, float]]] = {}
    for record in records:
        texts = sorted((k, str(v)) for k, v in record.items() if isinstance(v, str))
        whole = sorted((k, v) for k, v in record.items()
                       if isinstance(v, int) and k not in (seed_key, "tasks"))  # fmt: skip
        method = str(record.get("method", ""))
        of_seed = numbers.setdefault(method, {}).setdefault(record[seed_key], {})
        for key, value in record.items():
            if isinstance(value, float):
                of_seed[(key, str(texts), str(whole))] = value
    for method, found in numbers.items():
        if method.casefold() in chanceless:
            continue
        for (a, ours), (b, theirs) in combinations(found.items(), 2):
            if len(ours) >= _FEWEST_NUMBERS and len(set(ours.values())) > 2 and ours == theirs:
                yield Finding(
                    _CHECK, name, None, None, place, f"{method or 'the method'}: {a} and {b}",
                    len(ours), f"{seed_key}s give the same numbers to the last digit",
                    _MEND,
                )  # fmt: skip


def _flat(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _names_a_fit(key: str) -> bool:
    return bool(_OF_A_FIT.search(key)) and bool(_HASH.search(key))


def _digest(path: Path, backbone: str | None) -> str:
    digest = hashlib.sha256()
    try:
        if backbone is not None:
            arrays = load_file(path)
            chosen = sorted(n for n in arrays if n.startswith(backbone))
            if not chosen:
                raise DataError(
                    f"{path.name} has no array {backbone}*; it has: {', '.join(sorted(arrays)[:9])}"
                )
            for name in chosen:
                digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        elif table_suffix(path) in SUFFIXES:
            table = read_source(path, "fits").table
            for name in table.column_names:
                digest.update(json.dumps([name, table[name].to_pylist()], default=str).encode())
        else:
            digest.update(path.read_bytes())
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); check the file") from None
    return digest.hexdigest()
