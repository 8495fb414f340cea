"""The query-vector scorer: a user is one vector, and the catalogue is ranked by inner products.

    scores = V (Bᵀ (h + Uᵀ f)) + g · bias

V and bias are tables that no task moves, f is what is known of the user, and a task moves the
head (the query h and the trust g in popularity) or the body B as well. However much is adapted,
what is left is one query vector, so ranking costs one matrix product.

Where the catalogue is sampled, `log_weight` says for how many items each stands.

A call returns log-probabilities of some items under a softmax over the catalogue without what the
user has already shown: the evidence of a like is that it was chosen out of everything.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

HIDDEN = -1e4
"""Added to the score of an item that must not be predicted."""


class QueryVectorScorer(nn.Module):
    """Log-probabilities of catalogue items for one user.

    Args:
        log_popularity: (items,) log share of the likes; the bias starts here.
        n_features: user features; 0 for none.
        embedding_dim: width of the query vector.
        code_dim: width of the codes that the amortised learner reads; 0 for no codes of their own.
    """

    shared: ClassVar[tuple[str, ...]] = ("items", "bias", "users", "events")
    head: ClassVar[tuple[str, ...]] = ("query", "trust")
    per_task: ClassVar[tuple[int, ...]] = (1, 2, 3)  # inputs that are not one per example

    def __init__(
        self,
        log_popularity: Float[Tensor, " items"],
        *,
        n_features: int = 0,
        embedding_dim: int = 64,
        code_dim: int = 0,
    ) -> None:
        super().__init__()
        n_items = len(log_popularity)
        self.code_dim = code_dim or embedding_dim
        self.items = nn.Parameter(torch.randn(n_items, embedding_dim) * 0.1)
        self.bias = nn.Parameter(log_popularity.clone())
        self.users = nn.Parameter(torch.zeros(n_features, embedding_dim))
        self.log_weight: Tensor
        self.register_buffer("log_weight", torch.zeros(n_items), persistent=False)
        self.map = nn.Parameter(torch.eye(embedding_dim))
        self.query = nn.Parameter(torch.zeros(embedding_dim))
        self.trust = nn.Parameter(torch.ones(()))
        if code_dim:
            self.events = nn.Parameter(torch.randn(n_items, code_dim) * 0.02)

    def forward(
        self,
        items: Int[Tensor, " examples"],
        known: Float[Tensor, " features"],
        seen: Int[Tensor, " shots"],
        seen_weight: Float[Tensor, " shots"],
    ) -> Float[Tensor, " examples"]:
        """Return the log-probability of each of `items`.

        Args:
            items: which.
            known: what is known of the user.
            seen: items that cannot come any more.
            seen_weight: 1 for each of these, 0 for padding.
        """
        query = (self.query + known @ self.users) @ self.map
        logits = self.items @ query + self.trust * self.bias + self.log_weight
        gone = torch.zeros_like(logits).scatter_add(0, seen, HIDDEN * seen_weight)
        return torch.log_softmax(logits + gone, dim=0)[items]

    def codes(
        self, items: Int[Tensor, " examples"], known: Tensor, seen: Tensor, seen_weight: Tensor
    ) -> Float[Tensor, "examples code"]:
        """Return what the amortised learner reads of each example."""
        return (self.events if hasattr(self, "events") else self.items)[items]

    def design(
        self, items: Int[Tensor, " examples"], known: Tensor, seen: Tensor, seen_weight: Tensor
    ) -> tuple[Float[Tensor, "examples dim"], Float[Tensor, " examples"]]:
        """Return the features in which a score is linear in the query, and the rest of it."""
        features = self.items[items] @ self.map.T
        return features, features @ (known @ self.users)
