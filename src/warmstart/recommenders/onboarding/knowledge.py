"""What the training users teach about asking: how people rate, what they have met, what divides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import ArtifactError
from warmstart.core.types import FloatArray, IntArray
from warmstart.meta.linear_belief import (
    LinearBeliefConfig,
    LinearPrior,
    learn_ratings,
    learn_seen,
)

_MOST_LEVELS = 20  # different ratings, of which entropy is taken


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What every policy may know of the items, and of a user before the first question.

    Attributes:
        ratings: prior of what a user says of an item they know.
        seen: prior of which items a user knows.
        counts: (items,) how many training users rated each.
        n_users: of how many.
        entropy: (items,) in nats, of the ratings of those who rated it.
        entropy0: (items,) the same with "not seen" as one more value, of half the weight.
        target: (dim, dim) the variance of what it is that is to become small: the expected rating
            of an item drawn by popularity.
        weights: of the learned policy, or None.
        listed: (length,) items of the greedy list, first question first, or None.
    """

    ratings: LinearPrior
    seen: LinearPrior
    counts: FloatArray
    n_users: int
    entropy: FloatArray
    entropy0: FloatArray
    target: FloatArray
    weights: FloatArray | None = None
    listed: IntArray | None = None

    @property
    def share(self) -> FloatArray:
        """(items,) of the training users who rated each item."""
        return self.counts / np.float32(max(1, self.n_users))

    @property
    def divides(self) -> bool:
        """Whether ratings differ at all; where they do not, who has met what is all there is."""
        return bool(self.entropy.any())

    @property
    def target_seen(self) -> FloatArray:
        """(dim, dim) the same of what is met: the chance that any item is."""
        n = max(1, len(self.counts))
        return self.seen.second_moment(np.full(n, 1 / n, np.float32))

    @property
    def helf(self) -> FloatArray:
        """(items,) harmonic mean of entropy and log frequency, each as a share of its largest."""
        entropy = self.entropy / max(float(self.entropy.max(initial=0)), 1e-12)
        frequency = np.log1p(self.counts) / np.log1p(max(1, self.n_users))
        both = entropy + frequency
        found: FloatArray = 2 * entropy * frequency / np.maximum(both, 1e-12)
        return found

    def take(self, items: IntArray) -> Self:
        """Return what is known of these items alone; the target stays, and there is no list."""
        ratings, seen = (
            replace(p, offset=p.offset[items], factors=p.factors[items], noise=p.noise[items])
            for p in (self.ratings, self.seen)
        )
        return replace(
            self,
            ratings=ratings,
            seen=seen,
            counts=self.counts[items],
            entropy=self.entropy[items],
            entropy0=self.entropy0[items],
            listed=None,
        )

    def grown(self, n_new: int) -> Self:
        """Return the knowledge with `n_new` further items, which nobody has met yet."""

        def longer(prior: LinearPrior) -> LinearPrior:
            mean = float(prior.offset.mean()) if prior is self.ratings else 0.0
            factors = np.pad(prior.factors, [(0, n_new), (0, 0)])
            noise = np.pad(prior.noise, (0, n_new), constant_values=float(prior.noise.max()))
            offset = np.pad(prior.offset, (0, n_new), constant_values=mean)
            return replace(prior, offset=offset, factors=factors, noise=noise)

        return replace(
            self,
            ratings=longer(self.ratings),
            seen=longer(self.seen),
            counts=np.pad(self.counts, (0, n_new)),
            entropy=np.pad(self.entropy, (0, n_new)),
            entropy0=np.pad(self.entropy0, (0, n_new)),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        found: dict[str, npt.NDArray[Any]] = {
            f"{part}.{name}": array
            for part, prior in (("ratings", self.ratings), ("seen", self.seen))
            for name, array in prior.arrays().items()
        }
        for name in ("counts", "entropy", "entropy0", "target", "weights", "listed"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found | {"n_users": np.array([self.n_users])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays`."""
        rest: dict[str, Any] = dict(arrays)
        for part in ("ratings", "seen"):
            own = {n: rest.pop(f"{part}.{n}") for n in LinearPrior.__slots__}
            rest[part] = LinearPrior.from_arrays(own)
        n_users, n = int(rest.pop("n_users")[0]), len(rest["counts"])
        listed = rest.get("listed")
        if listed is not None and len(listed) and not 0 <= listed.min() <= listed.max() < n:
            raise ArtifactError("the greedy list names an item outside the catalogue")
        return cls(**rest, n_users=n_users)


def learn_knowledge(
    ratings: sp.csr_array, config: LinearBeliefConfig, *, seed: int = 0
) -> Knowledge:
    """Learn from the (users, items) ratings of training users; what is not stored is not seen."""
    n_users, n_items = ratings.shape
    counts = np.bincount(ratings.indices, minlength=n_items).astype(np.float64)
    prior = learn_ratings(ratings, config, seed=seed)
    share = counts / max(1.0, counts.sum())
    entropy, entropy0 = _entropies(ratings, counts)
    return Knowledge(
        prior,
        learn_seen(ratings, config),
        counts.astype(np.float32),
        n_users,
        entropy,
        entropy0,
        prior.second_moment(share),
    )


def knowledge_of_likes(likes: npt.NDArray[np.integer[Any]], n_users: int) -> Knowledge:
    """Return what the numbers of likes alone tell, for models that have not learned to ask."""
    n, share = len(likes), np.asarray((likes + 0.5) / (n_users + 1), np.float32)
    flat = np.zeros((n, 1), np.float32)
    nothing, one = np.zeros(n, np.float32), np.eye(1, dtype=np.float32)
    share = np.minimum(share, np.float32(1)).astype(np.float32)
    variance = share * (1 - share)
    factors = (0.5 * variance)[:, None]  # one taste for all: the more divided, the more it says
    seen = LinearPrior(share, factors, one[0] * 0, one, variance - factors[:, 0] ** 2)
    ratings = LinearPrior(nothing, flat, one[0] * 0, one, nothing + 1)
    counts = likes.astype(np.float32)
    return Knowledge(ratings, seen, counts, n_users, nothing, nothing, one * 0)


def _entropies(
    ratings: sp.csr_array, counts: npt.NDArray[np.float64]
) -> tuple[FloatArray, FloatArray]:
    """Return entropy, and entropy0 with the weights ½ of "not seen" and 1 of each rating."""
    n_users, n_items = ratings.shape
    levels, at = np.unique(ratings.data, return_inverse=True)
    if len(levels) > _MOST_LEVELS:
        edges = np.quantile(ratings.data, np.linspace(0, 1, 6)[1:-1])
        at = np.searchsorted(edges, ratings.data, side="right")
    width = int(at.max(initial=0)) + 1
    table = np.bincount(ratings.indices * width + at, minlength=n_items * width)
    table = table.reshape(n_items, width).astype(np.float64)
    entropy = _plogp(table / np.maximum(counts, 1)[:, None]).sum(axis=1)
    of_all = _plogp(table / max(1, n_users)).sum(axis=1)
    unseen = _plogp(1 - counts / max(1, n_users))
    entropy0 = (of_all + 0.5 * unseen) / (width + 0.5)
    return entropy.astype(np.float32), entropy0.astype(np.float32)


def _plogp(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = -p * np.log(np.where(p > 0, p, 1))
    return found
