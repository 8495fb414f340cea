"""The amortised prior: a small set encoder from a user's few events to a query vector.

A user is the sum of the vectors of their events, scaled by the square root of their number, plus
what their number and their features say; one hidden layer turns that into a query vector, and the
catalogue is scored by one matrix product:

    h(S, f) = tanh( Σ_{i ∈ S} |v_i| · E[i, sign v_i] / √|S|  +  c(|S|)  +  Σ_{j ∈ f} F[j] )
    scores  = (h Wᵀ + b) · Vᵀ + bias

Relatives: Mult-VAE without its noise (Liang et al. 2018, arXiv:1802.05814) and the conditional
neural process (Garnelo et al. 2018, arXiv:1807.01613). Likes and dislikes have vectors of their
own: that somebody saw a film they disliked says something else than that they liked it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as fn
from jaxtyping import Float, Int
from torch import Tensor, nn

from warmstart.core.types import Histories


@dataclass(frozen=True, slots=True)
class Support:
    """The support sets of a batch of users as flat tensors, as `embedding_bag` takes them.

    Attributes:
        items: (events,) item index; a dislike's index is shifted by the number of items.
        weights: (events,) strength of the evidence in (0, 1].
        offsets: (users,) where each user's events begin.
        shots: (users,) how many events each user has.
        features: (user features,) active feature of each user, flat; may be empty.
        feature_weights: (user features,) their values.
        feature_offsets: (users,) where each user's features begin.
    """

    items: Int[Tensor, " events"]
    weights: Float[Tensor, " events"]
    offsets: Int[Tensor, " users"]
    shots: Float[Tensor, " users"]
    features: Int[Tensor, " active"]
    feature_weights: Float[Tensor, " active"]
    feature_offsets: Int[Tensor, " users"]

    @classmethod
    def of(cls, histories: Histories, n_items: int) -> Support:
        """Return the tensors of these histories."""
        disliked = histories.values < 0
        features = histories.features
        none = np.zeros(len(histories) + 1, np.int64)
        return cls(
            torch.from_numpy(histories.items.astype(np.int64) + n_items * disliked),
            torch.from_numpy(np.abs(histories.values).astype(np.float32)),
            torch.from_numpy(histories.indptr[:-1].astype(np.int64)),
            torch.from_numpy(histories.shots.astype(np.float32)),
            torch.from_numpy((none[:0] if features is None else features.indices).astype(np.int64)),
            torch.from_numpy((none[:0] if features is None else features.data).astype(np.float32)),
            torch.from_numpy((none if features is None else features.indptr)[:-1].astype(np.int64)),
        )


class SetEncoder(nn.Module):
    """Encode support sets into query vectors.

    Args:
        log_popularity: (items,) log share of the likes; the bias starts here.
        n_features: user features; 0 for none.
        hidden_dim: width of the hidden layer.
        embedding_dim: width of the query vector.
        dropout: share of hidden units dropped in training.
        feature_dropout: share of users whose features are hidden in training, so that the encoder
            also serves users who tell nothing about themselves.
        signed: whether dislikes have vectors of their own.
    """

    def __init__(
        self,
        log_popularity: Float[Tensor, " items"],
        *,
        n_features: int = 0,
        hidden_dim: int = 300,
        embedding_dim: int = 128,
        dropout: float = 0.5,
        feature_dropout: float = 0.2,
        signed: bool = False,
    ) -> None:
        super().__init__()
        n_items = len(log_popularity)
        self.events = nn.Parameter(torch.randn(n_items * (2 if signed else 1), hidden_dim) * 0.02)
        self.user_features = nn.Parameter(torch.zeros(max(n_features, 1), hidden_dim))
        self.count_in = nn.Linear(2, 16)
        self.count_out = nn.Linear(16, hidden_dim)
        self.head = nn.Linear(hidden_dim, embedding_dim)
        self.items = nn.Parameter(torch.randn(n_items, embedding_dim) * 0.02)
        self.bias = nn.Parameter(log_popularity.clone())
        self.dropout, self.feature_dropout = dropout, feature_dropout
        self.n_features = n_features

    def forward(self, histories: Histories) -> Float[Tensor, "users dim"]:
        """Return one query vector per user; score items by `query @ items.T + bias`."""
        return self.encode(Support.of(histories, len(self.bias)))

    def encode(self, support: Support) -> Float[Tensor, "users dim"]:
        """Return one query vector per user from flat tensors."""
        hidden = fn.embedding_bag(
            support.items,
            self.events,
            support.offsets,
            mode="sum",
            per_sample_weights=support.weights,
        )
        shots = support.shots[:, None]
        hidden = hidden / shots.clamp(min=1.0).sqrt()
        count = torch.cat([torch.log1p(shots), 1.0 / (1.0 + shots)], dim=1)
        hidden = hidden + self.count_out(torch.tanh(self.count_in(count)))
        if self.n_features:
            told = fn.embedding_bag(
                support.features,
                self.user_features,
                support.feature_offsets,
                mode="sum",
                per_sample_weights=support.feature_weights,
            )
            if self.training:
                told = told * (torch.rand(len(told), 1) >= self.feature_dropout)
            hidden = hidden + told
        hidden = fn.dropout(torch.tanh(hidden), self.dropout, self.training)
        return self.head(hidden)  # type: ignore[no-any-return]
