"""The set encoder at serving time: the same arithmetic as `models.set_encoder`, in NumPy.

Several encoders, each trained without one fold of the users, are served as one: their vectors
stand side by side in one long query vector, so that their mean costs one matrix product. Most of
what they say is alike, so `narrowed` keeps the directions in which it differs between items.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from warmstart.core.room import longer, roomy
from warmstart.core.rows import add_rows
from warmstart.core.types import FloatArray, Histories
from warmstart.index.directions import directions


@dataclass(frozen=True, slots=True)
class QueryEncoder:
    """Weights of an ensemble of set encoders (m members, h hidden units, d dimensions).

    Attributes:
        events: (items, 1 or 2, m · h) event vectors; the second of an item is for dislikes.
        user_features: (user features or 0, m · h).
        count_in: (m, 2, c); count_in_bias: (m, c).
        count_out: (m, c, h); count_out_bias: (m, h).
        head: (m, h, d); head_bias: (m, d).
        items: (items, m · d) item vectors, already divided by m; or (items, d), where the members'
            query vectors are added up.
        bias: (items,) mean bias of the members.
    """

    events: FloatArray
    user_features: FloatArray
    count_in: FloatArray
    count_in_bias: FloatArray
    count_out: FloatArray
    count_out_bias: FloatArray
    head: FloatArray
    head_bias: FloatArray
    items: FloatArray
    bias: FloatArray

    def queries(self, histories: Histories) -> FloatArray:
        """Return query vectors as wide as `items`; score by `queries @ items.T + bias`."""
        members, hidden, dim = self.head.shape
        shots = histories.shots.astype(np.float32)[:, None]
        disliked = histories.values < 0
        kinds, width = self.events.shape[1:]
        signed = kinds > 1
        strength = np.abs(histories.values) if signed else np.maximum(histories.values, 0)
        at = kinds * histories.items + disliked if signed else histories.items
        weights = strength / np.sqrt(np.maximum(shots, 1.0))[histories.rows, 0]
        h: FloatArray = np.zeros((len(histories), width), np.float32)
        add_rows(h, histories.indptr, at, weights, self.events.reshape(-1, width))
        if histories.features is not None and len(self.user_features):
            h += histories.features @ self.user_features
        h = h.reshape(len(h), members, hidden)
        counts, where = shots[:1, 0], np.zeros(len(shots), np.int64)
        if (shots != counts).any():
            counts, where = np.unique(shots, return_inverse=True)
        said = np.stack([np.log1p(counts), 1.0 / (1.0 + counts)], axis=1).astype(np.float32)
        c = np.tanh(np.einsum("sn,mnc->smc", said, self.count_in) + self.count_in_bias)
        c = np.einsum("smc,mch->smh", c, self.count_out) + self.count_out_bias
        h += c[where.ravel()]
        np.tanh(h, out=h)
        q = np.matmul(h.transpose(1, 0, 2), self.head) + self.head_bias[:, None]
        if self.items.shape[1] == dim:
            together: FloatArray = q.sum(axis=0)
            return together
        return np.ascontiguousarray(q.transpose(1, 0, 2)).reshape(len(h), members * dim)

    def narrowed(self, queries: FloatArray) -> QueryEncoder:
        """Return the same as wide as one member, in the directions that tell items apart.

        Lists stay what they are but for near ties (`docs/decisions/0015-narrow-encoders.md`).

        Args:
            queries: (users, m · d) of such users as will be served; a few hundred tell enough.
        """
        members, _, dim = self.head.shape
        if self.items.shape[1] == dim:
            return self
        apart = self.items - self.items.mean(axis=0)
        stretch, turn = directions(apart.T, queries, dim)
        axes, rest = np.linalg.qr(stretch)  # at right angles, so that cosines of items stay
        turn = (turn @ rest.T).reshape(members, -1, dim)
        return replace(
            self,
            head=np.matmul(self.head, turn),
            head_bias=np.matmul(self.head_bias[:, None], turn)[:, 0],
            items=self.items @ axes,
        )

    def grown(self, n_new: int) -> QueryEncoder:
        """Return the same for a catalogue with `n_new` further items, which nobody wants."""
        bias = longer(self.bias, n_new)
        bias[len(self.bias) :] = self.bias.min()
        return replace(
            self, events=longer(self.events, n_new), items=longer(self.items, n_new), bias=bias
        )

    def roomy(self) -> QueryEncoder:
        """Return the same with room for further items."""
        return replace(
            self, events=roomy(self.events), items=roomy(self.items), bias=roomy(self.bias)
        )

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the weights by name; the vectors of dislikes stand after those of likes."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        return out | {"events": self.events.swapaxes(0, 1).reshape(-1, self.events.shape[2])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.float32]]) -> QueryEncoder:
        """Rebuild from `arrays`."""
        n_items, events = len(arrays["bias"]), arrays["events"]
        by_item = events.reshape(-1, n_items, events.shape[1]).swapaxes(0, 1)
        return cls(**arrays | {"events": np.ascontiguousarray(by_item)})
