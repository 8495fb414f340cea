"""Who was trained on, in a few bytes a person: tells a stranger from a training user by the id.

A Bloom filter (Bloom 1970, doi:10.1145/362686.362692): it never takes a training user for a
stranger, and takes one stranger in some hundred thousand for a training user. It lists nobody, but
whoever holds it can ask about an id.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import DataError

_BITS_EACH, _HASHES = 24, 16
_AT_ONCE = 1 << 16
_MOST_BITS = 1 << 27  # 16 MB; from six million people on, more strangers are taken for known


@dataclass(frozen=True, slots=True)
class KnownIds:
    """A set of ids that can be asked but not read.

    Attributes:
        bits: (bytes,) the filter.
        count: how many ids it was made of.

    Example:
        >>> known = KnownIds.of(["ann", 7])
        >>> known.holds(["ann", "bo", "7", 8]).tolist()
        [True, False, True, False]
    """

    bits: npt.NDArray[np.uint8]
    count: int

    @classmethod
    def of(cls, ids: Iterable[str | int]) -> Self:
        """Return the set of these ids; 7 and "7" are one."""
        listed = list(ids)
        size = min(_MOST_BITS, 8 * max(8, -(-_BITS_EACH * len(listed) // 8)))
        bits = np.zeros(size // 8, np.uint8)
        for start in range(0, len(listed), _AT_ONCE):
            at = _places(listed[start : start + _AT_ONCE], size).ravel()
            np.bitwise_or.at(bits, at >> 3, (1 << (at & 7)).astype(np.uint8))
        return cls(bits, len(listed))

    def holds(self, ids: Iterable[str | int]) -> npt.NDArray[np.bool_]:
        """Return (ids,) whether each is among them; never wrongly False."""
        listed, found = list(ids), [np.zeros(0, np.bool_)]
        for start in range(0, len(listed), _AT_ONCE):
            at = _places(listed[start : start + _AT_ONCE], 8 * len(self.bits))
            found.append(((self.bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1).all(axis=1))
        return np.concatenate(found)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"count": self.count, "bits": base64.b64encode(self.bits.tobytes()).decode()}

    @classmethod
    def parse(cls, values: Any) -> Self:  # noqa: ANN401  (whatever a file holds)
        """Read what `plain` wrote.

        Raises:
            DataError: it is no such thing.
        """
        try:
            if not isinstance(values, Mapping) or set(values) != {"count", "bits"}:
                raise ValueError("other keys than count and bits")
            bits = np.frombuffer(base64.b64decode(values["bits"], validate=True), np.uint8)
            if not 8 <= len(bits) <= _MOST_BITS // 8 or type(values["count"]) is not int:
                raise ValueError("another size")
        except (TypeError, ValueError) as error:
            raise DataError(f"the record of training users cannot be read: {error}") from None
        return cls(bits, values["count"])


def _places(ids: list[str | int], size: int) -> npt.NDArray[np.int64]:
    """Return (ids, hashes) bits, by double hashing (Kirsch & Mitzenmacher 2006)."""
    digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=16).digest() for i in ids)
    pairs = np.frombuffer(digests, "<u8").reshape(-1, 2)
    with np.errstate(over="ignore"):
        spread = pairs[:, :1] + np.arange(_HASHES, dtype=np.uint64) * (pairs[:, 1:] | np.uint64(1))
    return (spread % np.uint64(size)).astype(np.int64)
