"""DeepFM: one vector for each value of each field, their pairwise products, and a network.

    logit = w0 + Σ_f w_f + ½ (|Σ_f v_f|² - Σ_f |v_f|²) + MLP([v_1 … v_F])

w_f and v_f are the weight and the vector of field f's value. Index 0 of a field is "unknown": the
value of whoever training has not met. Reference: Guo et al. 2017, arXiv:1703.04247.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as fn
from jaxtyping import Float, Int
from torch import Tensor, nn


class DeepFM(nn.Module):
    """Give the logit of a click from one value in each of several categorical fields.

    Args:
        sizes: of each field, how many values it has, "unknown" among them.
        dim: width of a value's vector.
        hidden: widths of the network's layers.
        dropout: share of the hidden units that training leaves out.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        dim: int = 8,
        hidden: tuple[int, ...] = (64, 32),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.starts: Tensor
        self.register_buffer("starts", starts)
        self.vectors = nn.Parameter(torch.randn(sum(sizes), dim) * 0.05)
        self.weights = nn.Parameter(torch.zeros(sum(sizes)))
        self.bias = nn.Parameter(torch.zeros(()))
        widths = (len(sizes) * dim, *hidden)
        self.body = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, codes: Int[Tensor, "rows fields"]) -> Float[Tensor, " rows"]:
        """Return (rows,) logits of (rows, fields) values; 0 is unknown."""
        return self.of(*self.looked_up(codes))

    def looked_up(
        self, codes: Int[Tensor, "rows fields"]
    ) -> tuple[Float[Tensor, "rows fields dim"], Float[Tensor, "rows fields"]]:
        """Return the vector and the weight of each value."""
        at = codes + self.starts
        return fn.embedding(at, self.vectors), fn.embedding(at, self.weights[:, None])[..., 0]

    def of(
        self, vectors: Float[Tensor, "rows fields dim"], weights: Float[Tensor, "rows fields"]
    ) -> Float[Tensor, " rows"]:
        """Return logits from vectors and weights, some of which may come from elsewhere."""
        total = vectors.sum(dim=1)
        pairs = 0.5 * (total**2 - (vectors**2).sum(dim=1)).sum(dim=1)
        deep: Tensor = self.out(self.deep(vectors))[:, 0]
        return self.bias + weights.sum(dim=1) + pairs + deep

    def deep(self, vectors: Float[Tensor, "rows fields dim"]) -> Float[Tensor, "rows hidden"]:
        """Return the network's last hidden layer."""
        h = vectors.flatten(1)
        for layer in self.body:
            h = self.dropout(torch.relu(layer(h)))
        return h
