"""`MetaRecommender`: users and their items as arrays, a meta-learner behind `fit` and `predict`.

A short way in for those who hold item indices rather than tables; everything that tables can
carry is in `Recommender`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, Histories
from warmstart.data import Dataset
from warmstart.recommenders.recommender import Recommender

Items = Sequence[Iterable[int]] | npt.NDArray[Any]


class MetaRecommender:
    """Meta-learn how to find a user's query vector from a few item indices.

    Args:
        embedding_size: width of item and query vectors.
        num_items: size of the catalogue; items are 0 … num_items - 1.
        learning_rate: of the outer loop.
        epochs: of the outer loop.
        learner: which meta-learner, see `Recommender`.
        seed: the same seed gives the same model.

    Example:
        >>> users = np.arange(60)
        >>> items = [[(u % 2) + 2 * i for i in range(5) if (u // 2 + i) % 5] for u in users]
        >>> model = MetaRecommender(embedding_size=8, num_items=10, learning_rate=0.05, epochs=40)
        >>> model = model.fit(users, items)
        >>> odd, even = model.predict(["new", "newer"], [[7, 4], [7, 4]], history=[[1, 3], [0, 2]])
        >>> bool(odd[0] > odd[1]), bool(even[0] > even[1])
        (True, False)
    """

    def __init__(
        self,
        embedding_size: int = 32,
        num_items: int = 1,
        learning_rate: float = 0.01,
        epochs: int = 40,
        *,
        learner: str = "maml",
        seed: int = 0,
    ) -> None:
        if not isinstance(num_items, int | np.integer) or num_items < 1:
            raise ConfigError(f"num_items must be a whole number of at least 1, got {num_items!r}")
        if learner == "default":
            raise ConfigError("the default method is Recommender(); name one of its relatives here")
        self.num_items = int(num_items)
        outer = {"epochs": epochs, "outer_lr": learning_rate, "weight_decay": 0.01}
        settings = {"embedding_dim": embedding_size, "outer": outer}
        self.recommender = Recommender(learner=learner, config=settings, seed=seed)
        self._known: dict[Any, Any] = {}

    def fit(self, user_data: Iterable[Any], item_data: Items) -> Self:
        """Meta-train on what users did.

        Args:
            user_data: (users,) ids of any kind.
            item_data: for each of them the items; negative numbers pad rectangular arrays.

        Raises:
            DataError: the lengths differ, or an item is outside the catalogue.
        """
        users, items = list(user_data), self._items(item_data)
        if len(users) != len(items):
            raise DataError(f"{len(users)} users and {len(items)} lists of items; give one each")
        self._known = dict(zip(map(_plain, users), items, strict=True))
        if len(self._known) < len(users):
            raise DataError("a user occurs twice; give each of them once, with all of their items")
        lists = enumerate(self._known.values())  # users by their place: 1 and "1" are two
        rows = [(user, int(item)) for user, own in lists for item in own]
        if not rows:
            raise DataError("no user has any item; there is nothing to learn from")
        table = {"user": [user for user, _ in rows], "item": [item for _, item in rows]}
        catalogue = {"item": np.arange(self.num_items)}
        self.recommender.fit(Dataset.from_tables(table, catalogue), progress=False)
        return self

    def predict(
        self, user_data: Iterable[Any], item_data: Items, history: Items | None = None
    ) -> FloatArray:
        """Return (users, items) scores of the items that are asked about; higher is better.

        Args:
            user_data: (users,) ids; who was fitted is adapted to what they did then.
            item_data: (users, items) which items to score.
            history: what each user did, instead of what was fitted; for users who were not, no
                history means zero shots.

        Raises:
            ConfigError: nothing was fitted yet.
            DataError: the shapes do not fit, or an item is outside the catalogue.
        """
        served = self.recommender.fitted
        users, asked = [_plain(u) for u in user_data], self._items(item_data)
        own = [self._known.get(u, np.zeros(0, np.int64)) for u in users]
        if history is not None:
            own = self._items(history)
        own = [np.unique(items) for items in own]  # as in training, repeated items are one event
        widths = {len(items) for items in asked}
        if not len(users) == len(asked) == len(own) or len(widths) > 1:
            raise DataError(
                f"{len(users)} users, {len(asked)} lists of items to score (lengths "
                f"{sorted(widths)}) and {len(own)} histories; give one each, of one length"
            )
        place = served.catalogue.items.find(np.arange(self.num_items))
        events = np.concatenate([np.zeros(0, np.int64), *own])
        histories = Histories(
            np.concatenate([[0], np.cumsum([len(o) for o in own])]).astype(np.int64),
            place[events].astype(np.int32),
            np.ones(len(events), np.float32),
        )
        scores: FloatArray = served.method.score(histories)
        wanted = np.array(asked, np.int64).reshape(len(users), max(widths, default=0))
        return np.take_along_axis(scores, place[wanted], axis=1)

    def _items(self, lists: Items) -> list[npt.NDArray[np.int64]]:
        found = []
        for row, items in enumerate(lists):
            if np.ndim(items) != 1:
                raise DataError(f"row {row} is {items!r}; give a list of items for each user")
            own = np.asarray(list(items) or [-1])
            if own.dtype.kind not in "iu":
                raise DataError(f"row {row} holds {own.tolist()}; give items as whole numbers")
            own = own[own >= 0].astype(np.int64)
            if len(own) and own.max() >= self.num_items:
                raise DataError(
                    f"row {row} holds the item {own.max()}; the catalogue ends at "
                    f"{self.num_items - 1}"
                )
            found.append(own)
        return found


def _plain(user: Any) -> Any:  # noqa: ANN401
    """Return NumPy's scalars as Python's, so that either finds the other."""
    return user.item() if isinstance(user, np.generic) else user
