"""A Gaussian belief about what one user would answer, updated by one answer at a time.

A user's value of item i is

    offset_i + f_i · w + noise            w ~ N(m, C), noise ~ N(0, s_i)

and an answer y moves the belief of w by one rank-one step,

    k = C f / (f · C f + s),  m ← m + k (y - offset - f · m),  C ← C - k (C f)ᵀ

which costs dim² a user, and is done for all users at once. Two such priors serve onboarding: one of
ratings, learned from what was rated (`learn_ratings`), and one of who has met what, for which every
pair of user and item is an observation (`learn_seen`).

References: Bishop 2006, eq. 3.49–3.54 for the posterior; the factors are learned by the EM of
probabilistic principal components, Tipping & Bishop 1999, with missing values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray

_SMALL = 50  # users or items, up to which the whole decomposition is cheap


class LinearBeliefConfig(Config):
    """Settings of both priors.

    Attributes:
        dim: width of a user, the user's own level of rating among them.
        seen_dim: width of what a user tends to have met.
        reg: ratings of nothing in particular that every item's factors start with.
        iterations: of EM.
    """

    dim: int = Field(8, ge=1)
    seen_dim: int = Field(8, ge=1)
    reg: float = Field(8.0, gt=0)
    iterations: int = Field(20, ge=1)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of some users.

    Attributes:
        mean: (users, dim).
        covariance: (users, dim, dim).
    """

    mean: FloatArray
    covariance: FloatArray

    def take(self, users: IntArray) -> Posterior:
        """Return these users, in this order."""
        return Posterior(self.mean[users], self.covariance[users])


@dataclass(frozen=True, slots=True)
class LinearPrior:
    """What is believed of a user before any answer, and what an answer says.

    Attributes:
        offset: (items,) expected value for w = 0.
        factors: (items, dim).
        mean: (dim,) of w.
        covariance: (dim, dim) of w.
        noise: (items,) variance of an answer around its expectation.
    """

    offset: FloatArray
    factors: FloatArray
    mean: FloatArray
    covariance: FloatArray
    noise: FloatArray

    def start(self, n_users: int) -> Posterior:
        """Return the belief about users of whom nothing is known."""
        return Posterior(
            np.tile(self.mean, (n_users, 1)), np.tile(self.covariance, (n_users, 1, 1))
        )

    def expected(self, belief: Posterior) -> FloatArray:
        """Return (users, items) expected values."""
        found: FloatArray = belief.mean @ self.factors.T
        found += self.offset
        return found

    def variance(self, belief: Posterior) -> FloatArray:
        """Return (users, items) variance of the expectation, without the noise."""
        d = self.factors.shape[1]
        outer = self.factors[:, :, None] * self.factors[:, None, :]
        found: FloatArray = belief.covariance.reshape(-1, d * d) @ outer.reshape(-1, d * d).T
        return np.maximum(found, np.float32(0))

    def gain(self, belief: Posterior, target: FloatArray) -> FloatArray:
        """Return (users, items) by how much an answer would lower the variance of a target.

        A-optimal: the decrease of trace(G C) for G = `target`, (dim, dim), such as Σ p_j f_j f_jᵀ,
        the variance of the expected value of an item drawn with the probabilities p.
        """
        moved = np.asarray(belief.covariance @ target @ belief.covariance, np.float32)
        return self.variance(Posterior(belief.mean, moved)) / (self.variance(belief) + self.noise)

    def told(
        self,
        belief: Posterior,
        items: IntArray,
        values: npt.NDArray[np.floating[Any]],
        heard: npt.NDArray[np.bool_] | None = None,
    ) -> Posterior:
        """Return the belief after one answer of each user.

        Args:
            belief: before it.
            items: (users,) what was asked.
            values: (users,) the answer; whatever stands where nothing was heard.
            heard: (users,) who answered; None for all.
        """
        f = self.factors[items]
        spread = np.einsum("ude,ue->ud", belief.covariance, f)
        k = spread / ((f * spread).sum(axis=1) + self.noise[items])[:, None]
        wrong = values - self.offset[items] - (f * belief.mean).sum(axis=1)
        if heard is not None:
            k, wrong = k * heard[:, None], np.where(heard, wrong, 0)
        mean = belief.mean + k * wrong[:, None]
        covariance = belief.covariance - k[:, :, None] * spread[:, None, :]
        return Posterior(mean.astype(np.float32), covariance.astype(np.float32))

    def second_moment(self, weights: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Return (dim, dim) Σ weights_j f_j f_jᵀ."""
        return np.asarray((self.factors * weights[:, None]).T @ self.factors, np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> LinearPrior:
        """Rebuild from `arrays`."""
        return cls(**arrays)


def learn_ratings(
    values: sp.csr_array, config: LinearBeliefConfig, *, seed: int = 0
) -> LinearPrior:
    """Learn the prior from (users, items) ratings; what is not stored was not rated.

    The first factor of every item is 1: its coordinate is the user's own level.

    Args:
        values: ratings, also those that are 0.
        config: settings.
        seed: of the factors that EM starts from.
    """
    n_users, n_items = values.shape
    dim, n = config.dim, max(1, values.nnz)
    middle = float(values.data.mean()) if values.nnz else 0.0
    y = sp.csr_array((values.data - middle, values.indices, values.indptr), shape=values.shape)
    y = y.astype(np.float64)
    rated = sp.csr_array((np.ones_like(y.data), y.indices, y.indptr), shape=y.shape)
    rated_t, y_t = sp.csr_array(rated.T), sp.csr_array(y.T)
    rows = np.repeat(np.arange(n_users), np.diff(y.indptr))
    active = np.flatnonzero(np.diff(y.indptr))
    counts = np.diff(rated_t.indptr)
    offset = np.asarray(y.sum(axis=0)).ravel() / (counts + config.reg)
    factors = generator(seed, "linear belief").normal(0, 0.1, (n_items, dim))
    factors[:, 0] = 1
    mean, covariance = np.zeros(dim), np.eye(dim)
    variance = max(float(np.square(y.data).sum()) / n, 1e-6)
    free = np.array([0, *range(2, dim + 1)])  # of (1, w): all but the user's level is fitted
    shrunk = config.reg * np.r_[0.5, np.ones(dim - 1)]
    unsure = np.zeros((n_items, dim, dim))  # covariance of an item's factors
    for _ in range(config.iterations):
        outer = (factors[:, :, None] * factors[:, None, :] + unsure).reshape(n_items, -1)
        inverse = np.linalg.inv(covariance)
        precision = (rated @ outer).reshape(-1, dim, dim) / variance + inverse
        spread = np.linalg.inv(precision)
        heard = (y @ factors - rated @ (factors * offset[:, None])) / variance + inverse @ mean
        w = np.einsum("ude,ue->ud", spread, heard)
        one = np.concatenate([np.ones((n_users, 1)), w], axis=1)
        second = one[:, :, None] * one[:, None, :]
        second[:, 1:, 1:] += spread
        gram = (rated_t @ second.reshape(n_users, -1)).reshape(n_items, dim + 1, dim + 1)
        right = (y_t @ one)[:, free] - gram[:, free, 1]
        left = gram[:, free[:, None], free] + np.diag(shrunk)
        own = np.linalg.inv(left)
        solved = np.einsum("ide,ie->id", own, right)
        offset, factors[:, 1:] = solved[:, 0], solved[:, 1:]
        unsure[:, 1:, 1:] = variance * own[:, 1:, 1:]
        wrong = y.data - offset[y.indices] - (w[rows] * factors[y.indices]).sum(axis=1)
        outer = (factors[:, :, None] * factors[:, None, :] + unsure).reshape(n_items, -1)
        left_over = ((rated @ outer) * spread.reshape(n_users, -1)).sum()
        own_outer = (w[:, :, None] * w[:, None, :]).reshape(n_users, -1)
        left_over += ((rated @ unsure.reshape(n_items, -1)) * own_outer).sum()
        variance = max((float(np.square(wrong).sum()) + float(left_over)) / n, 1e-6)
        if len(active):
            mean = w[active].mean(axis=0)
            away = w[active] - mean
            covariance = (away.T @ away + spread[active].sum(axis=0)) / len(active)
            covariance += 1e-6 * np.eye(dim)
    # what is not known of an item is noise to whoever hears of it
    noise = variance + np.einsum("ide,de->i", unsure, covariance + np.outer(mean, mean))
    return _single(offset + middle, factors, mean, covariance, noise)


def learn_seen(rated: sp.csr_array, config: LinearBeliefConfig) -> LinearPrior:
    """Learn who has met what from a (users, items) matrix that is above zero where somebody has.

    Every pair counts, so one singular value decomposition does it. The noise of an item is what
    its factors leave of the variance of a chance.
    """
    n_users, n_items = rated.shape
    met = sp.csr_array((np.ones(rated.nnz), rated.indices, rated.indptr), shape=rated.shape)
    share = (np.asarray(met.sum(axis=0)).ravel() + 0.5) / (n_users + 1)
    dim = min(config.seen_dim, min(rated.shape) - 1)
    factors = np.zeros((n_items, config.seen_dim))
    if dim > 0 and met.nnz:
        values, vectors = _leading(met, share, dim)
        factors[:, :dim] = vectors * values / np.sqrt(n_users)
    # a factor takes no more than half of an item's variance: the rest is chance
    variance = share * (1 - share)
    taken = np.square(factors).sum(axis=1)
    factors *= np.sqrt(np.minimum(1, 0.5 * variance / np.maximum(taken, 1e-12)))[:, None]
    noise = variance - np.square(factors).sum(axis=1)
    d = config.seen_dim
    return _single(share, factors, np.zeros(d), np.eye(d), noise)


def _leading(
    met: sp.csr_array, share: npt.NDArray[np.float64], dim: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return leading singular values and right vectors of the centred matrix."""
    if min(met.shape) <= _SMALL:
        _, values, right = np.linalg.svd(met.toarray() - share, full_matrices=False)
        return values[:dim], right[:dim].T
    from scipy.sparse.linalg import LinearOperator, svds

    centred = LinearOperator(
        met.shape,
        matvec=lambda x: met @ x.ravel() - share @ x.ravel(),
        rmatvec=lambda x: met.T @ x.ravel() - share * x.sum(),
        dtype=np.float64,
    )
    # a vector of ones would be all but orthogonal to everything, for the matrix is centred
    start = np.random.default_rng(0).standard_normal(min(met.shape))
    _, values, right = svds(centred, k=dim, v0=start, tol=1e-6)
    order = np.argsort(-values)
    return values[order], right[order].T


def _single(*arrays: npt.NDArray[np.float64]) -> LinearPrior:
    return LinearPrior(*(array.astype(np.float32) for array in arrays))
