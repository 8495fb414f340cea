"""The pair scorer: a network over what is known of a user, of an item, and over both ids.

    u' = u + U f      v' = v + V g      x = [u, v, U f, V g, o]
    z  = [relu-MLP(x), u' ⊙ v', v', u', o, 1]          prediction = z · w + o of the task's kind

u and v are vectors of ids; index 0 is the stranger: the user or item whose task it is. A negative
index is somebody else whom training has not met: known by features alone, and with the stranger's
vector. f and g are features. The offsets o, one for each kind of task, are what is said of the item
(or, in tasks of items, of the user) before any adaptation, such as its mean rating; they are given,
and a behaviour of which little is known may go by the offsets of the others. A task moves the head
w, or the network and the stranger's vector as well; the tables of the known stay.

It ranks by scoring every pair, some hundred times the price of a query vector, so it is for what
is asked about pairs: ratings and clicks. Reference: Lee et al. 2019 (MeLU), arXiv:1908.00413.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class PairScorer(nn.Module):
    """Predict a rating, or the logit of a click, of one user's or one item's pairs.

    Args:
        user_features: (users + 1, features) what is known of each; row 0 is not read.
        item_features: (items + 1, features).
        users: (users + 1, dim) where the vectors of users start; row 0 is not read.
        items: (items + 1, dim).
        kinds: how many kinds of tasks there are.
        hidden: widths of the hidden layers.
        dropout: share of the hidden units, and of the products and vectors of items in z, that
            training leaves out.
    """

    shared: ClassVar[tuple[str, ...]] = ("users", "items", "user_map", "item_map")
    head: ClassVar[tuple[str, ...]] = ("weight",)
    per_task: ClassVar[tuple[int, ...]] = (2, 3, 5)  # inputs that are not one per example

    def __init__(
        self,
        user_features: Float[Tensor, "users _"],
        item_features: Float[Tensor, "items _"],
        users: Float[Tensor, "users dim"],
        items: Float[Tensor, "items dim"],
        *,
        kinds: int = 1,
        hidden: tuple[int, ...] = (64, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.user_features: Tensor
        self.item_features: Tensor
        self.register_buffer("user_features", user_features)
        self.register_buffer("item_features", item_features)
        d = users.shape[1]
        self.users = nn.Parameter(users.clone())
        self.items = nn.Parameter(items.clone())
        self.user_map = nn.Parameter(torch.randn(user_features.shape[1], d) * 0.05)
        self.item_map = nn.Parameter(torch.randn(item_features.shape[1], d) * 0.05)
        self.stranger_user = nn.Parameter(torch.zeros(d))
        self.stranger_item = nn.Parameter(torch.zeros(d))
        widths = (4 * d + kinds, *hidden)
        self.body = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.code_dim = widths[-1] + 3 * d + kinds + 1
        self.weight = nn.Parameter(torch.zeros(self.code_dim))

    def forward(
        self,
        users: Int[Tensor, " examples"],
        items: Int[Tensor, " examples"],
        known_user: Float[Tensor, " _"],
        known_item: Float[Tensor, " _"],
        said: Float[Tensor, "examples kinds"],
        kind: Int[Tensor, ""],
    ) -> Float[Tensor, " examples"]:
        """Return the prediction of each pair.

        Args:
            users: 1 + index of the user; 0 for the stranger; -(1 + index) of a user whom training
                has not met.
            items: 1 + index of the item; likewise.
            known_user: features of the stranger, if it is a user.
            known_item: features of the stranger, if it is an item.
            said: the offsets of each pair.
            kind: whose offset is added.
        """
        features, offset = self.design(users, items, known_user, known_item, said, kind)
        return features @ self.weight + offset

    def design(
        self,
        users: Int[Tensor, " examples"],
        items: Int[Tensor, " examples"],
        known_user: Float[Tensor, " _"],
        known_item: Float[Tensor, " _"],
        said: Float[Tensor, "examples kinds"],
        kind: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "examples dim"], Float[Tensor, " examples"]]:
        """Return the features that the head weighs, and what is added to their sum."""
        user, item = users.abs(), items.abs()
        new_user, new_item = (users <= 0)[:, None], (items <= 0)[:, None]
        known_users = torch.where((user == 0)[:, None], known_user, self.user_features[user])
        known_items = torch.where((item == 0)[:, None], known_item, self.item_features[item])
        told_user, told_item = known_users @ self.user_map, known_items @ self.item_map
        u = torch.where(new_user, self.stranger_user, self.users[user])
        v = torch.where(new_item, self.stranger_item, self.items[item])
        h = torch.cat([u, v, told_user, told_item, said], dim=1)
        for layer in self.body:
            h = self.dropout(torch.relu(layer(h)))
        u, v = u + told_user, v + told_item
        known = [self.dropout(u * v), self.dropout(v), u, said]
        z = torch.cat([h, *known, torch.ones(len(users), 1)], dim=1)
        return z, said.take_along_dim(kind.expand(len(users))[:, None], dim=1)[:, 0]

    def codes(self, *inputs: Tensor) -> Float[Tensor, "examples code"]:
        """Return what the amortised learner reads of each example: the design's features."""
        return self.design(*inputs)[0]
