"""The columns of a log as codes for the network, and as dimensions of a taste."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.ads.coding import Coding, Role
from warmstart.ads.log import AdLog
from warmstart.core.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class TasteColumns:
    """Which values of the ads' columns are dimensions of a taste.

    Attributes:
        fields: of the ads, in order.
        places: (values,) where each value of each field stands among all values.
        sizes: of each field, how many values it has.
    """

    fields: tuple[str, ...]
    places: IntArray
    sizes: tuple[int, ...]

    @classmethod
    def choose(cls, coding: Coding, codes: IntArray, most: int) -> TasteColumns:
        """Take the values that most ads have; of a field of 0 and 1 only the 1.

        Args:
            coding: of the log.
            codes: (ads, fields) of the ads; -1 is unknown.
            most: at most so many.
        """
        sizes = coding.fields_of("ad")
        all_values = cls(tuple(sizes), np.arange(sum(sizes.values())), tuple(sizes.values()))
        common = all_values.of(codes).sum(axis=0)
        start = np.cumsum([0, *all_values.sizes])[:-1]
        common[start[[n == 2 for n in all_values.sizes]].astype(int)] = 0
        order = np.argsort(-common, kind="stable")[:most]
        places = np.sort(order[common[order] > 0])
        return cls(all_values.fields, places, all_values.sizes)

    def of(self, codes: IntArray) -> FloatArray:
        """Return (ads, values) zeros and ones from (ads, fields) codes; unknown is all zeros."""
        total = sum(self.sizes)
        hot = np.zeros((len(codes), total + 1), np.float32)
        starts = np.cumsum([0, *self.sizes])[:-1]
        at = np.where(codes >= 0, codes + starts[: codes.shape[1]], total)
        np.put_along_axis(hot, at.astype(np.int64), 1.0, axis=1)
        return hot[:, self.places]


def codes_of(log: AdLog, role: Role) -> IntArray:
    """Return (rows, fields) codes of the columns of one role; -1 is unknown."""
    listed = list(log.fields_of(role).values())
    return np.stack(listed, axis=1) if listed else np.zeros((len(log), 0), np.int64)


def last_codes(ids: IntArray, codes: IntArray, n: int) -> IntArray:
    """Return (n, fields) the codes of each id's last row; -1 where there is none."""
    table = np.full((n, codes.shape[1]), -1, np.int64)
    known = ids >= 0
    table[ids[known]] = codes[known]  # of several rows the last one stays
    return table


def arrays_of(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
