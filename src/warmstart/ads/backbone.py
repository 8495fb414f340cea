"""The network over columns, served with NumPy: `warmstart.models.deepfm` taken apart by side.

What a user's, an ad's and an occasion's columns contribute is known before they meet: a number, a
vector whose products with the others' count, and a share of the first layer. So the columns of a
user and of an ad are read once, and a pair costs one inner product and one small layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Side:
    """What some fields contribute, for n users, ads or occasions.

    Attributes:
        plain: (n,) weights, less the products of a vector with itself.
        vector: (n, dim) sum of the values' vectors.
        hidden: (n, width) share of the first layer.
    """

    plain: FloatArray
    vector: FloatArray
    hidden: FloatArray

    def take(self, rows: IntArray) -> Side:
        """Return these, in this order."""
        return Side(self.plain[rows], self.vector[rows], self.hidden[rows])

    def where(self, rows: npt.NDArray[np.bool_], other: Side) -> Side:
        """Return this with the rows of a mask taken from `other`, which has one for each."""
        found = [own.copy() for own in self.arrays()]
        for own, new in zip(found, other.arrays(), strict=True):
            own[rows] = new
        return Side(*found)

    def then(self, other: Side) -> Side:
        """Return both, one after the other."""
        both = zip(self.arrays(), other.arrays(), strict=True)
        return Side(*(np.concatenate(pair) for pair in both))

    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return plain, vector and hidden."""
        return self.plain, self.vector, self.hidden


class Backbone:
    """A trained DeepFM of one hidden layer.

    Args:
        arrays: `vectors` (values, dim), `weights` (values,), `bias`, `layer` (width, fields · dim),
            `layer_bias` (width,), `out` (width,), as trained.
        sizes: of each field, how many values it has, "unknown" among them.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], sizes: Sequence[int]) -> None:
        self.arrays = {n: np.asarray(a, np.float32) for n, a in arrays.items()}
        self.sizes = tuple(sizes)
        self._starts = np.cumsum([0, *self.sizes])[:-1].astype(np.int64)
        vectors = self.arrays["vectors"]
        dim, width = vectors.shape[1], len(self.arrays["out"])
        self._hidden = np.zeros((len(vectors), width), np.float32)
        for field, (start, size) in enumerate(zip(self._starts, self.sizes, strict=True)):
            part = self.arrays["layer"][:, field * dim : (field + 1) * dim]
            self._hidden[start : start + size] = vectors[start : start + size] @ part.T
        self._plain = self.arrays["weights"] - 0.5 * (vectors**2).sum(axis=1)

    def side(self, codes: IntArray, first: int) -> Side:
        """Return what (n, fields) codes contribute; 0 is unknown.

        Args:
            codes: of neighbouring fields.
            first: number of the first of them.
        """
        at = codes + self._starts[first : first + codes.shape[1]]
        n, vectors = len(codes), self.arrays["vectors"]
        out = Side(
            np.zeros(n, np.float32),
            np.zeros((n, vectors.shape[1]), np.float32),
            np.zeros((n, self._hidden.shape[1]), np.float32),
        )
        for field in at.T:
            out.plain[...] += self._plain[field]
            out.vector[...] += vectors[field]
            out.hidden[...] += self._hidden[field]
        return out

    def logits(self, *sides: Side) -> FloatArray:
        """Return (n,) logits of what all sides contribute together."""
        vector = sum(side.vector for side in sides)
        hidden = sum(side.hidden for side in sides) + self.arrays["layer_bias"]
        plain = sum(side.plain for side in sides) + self.arrays["bias"]
        products = 0.5 * np.einsum("nd,nd->n", vector, vector)
        deep = np.maximum(hidden, 0) @ self.arrays["out"]
        return np.asarray(plain + products + deep, np.float32)

    def pair_logits(self, users: Side, ads: Side) -> FloatArray:
        """Return (users, ads) logits of every pair."""
        out, bias = self.arrays["out"], self.arrays["layer_bias"]
        left, right = (s.plain + 0.5 * (s.vector**2).sum(axis=1) for s in (users, ads))
        found = users.vector @ ads.vector.T
        found += (left + self.arrays["bias"])[:, None] + right
        shifted = ads.hidden + bias
        room = np.empty_like(found[: 1 << 8])
        for start in range(0, len(found), len(room)):
            part = users.hidden[start : start + len(room)]
            for unit in np.flatnonzero(out):
                # unit by unit, so that what is read and written fits the cache
                block = room[: len(part)]
                np.add(part[:, unit, None], shifted[:, unit], out=block)
                np.maximum(block, 0, out=block)
                block *= out[unit]
                found[start : start + len(room)] += block
        return found

    def times(self, share: float, weights: npt.NDArray[Any]) -> Backbone:
        """Return a network that gives `share` times these logits, and a weight of each value more.

        Args:
            share: 0 or above.
            weights: (values,) logits.
        """
        a, root = self.arrays, float(np.sqrt(share))
        return Backbone(
            {
                "vectors": root * a["vectors"],
                "weights": share * a["weights"] + weights,
                "bias": share * a["bias"],
                "layer": a["layer"] / (root or 1.0),
                "layer_bias": a["layer_bias"],
                "out": share * a["out"],
            },
            self.sizes,
        )

    @classmethod
    def of_module(cls, weights: Mapping[str, npt.NDArray[Any]], sizes: Sequence[int]) -> Self:
        """Take over the weights of a `warmstart.models.deepfm.DeepFM` by their names."""
        return cls(
            {
                "vectors": weights["vectors"],
                "weights": weights["weights"],
                "bias": weights["bias"] + weights["out.bias"][0],
                "layer": weights["body.0.weight"],
                "layer_bias": weights["body.0.bias"],
                "out": weights["out.weight"][0],
            },
            sizes,
        )
