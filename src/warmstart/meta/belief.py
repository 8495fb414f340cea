"""The closed form: a Gaussian belief about what one user likes, corrected by a few events.

Before any event, user u's likings of the items are Gaussian with the mean m and the covariance C
of the training users. Seeing the evidence y on the items S with noise N gives the posterior

    mean       m + C[:, S] (C[S, S] + N)⁻¹ (y - m[S])
    covariance C - C[:, S] (C[S, S] + N)⁻¹ C[S, :]

by one shots × shots solve: nothing is iterated and nobody's vector is trained. Unlike a ridge on
whole profiles, it conditions on the seen items alone; what the user has not met is unknown, not
disliked, which is what makes it strong at one to ten shots.

A training user with n likes counts n^-γ: a support set is a draw from a user's likes, and without
that weight the heavy users, who like everything, would be most of the covariance.

Reference: Rasmussen & Williams 2006, eq. 2.25–2.26; for few-shot heads in this form see
Bertinetto et al. 2019, arXiv:1805.08136.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.layers import Sparse
from warmstart.core.rows import among
from warmstart.core.types import FloatArray, Histories


class BeliefConfig(Config):
    """Settings of the closed form.

    Attributes:
        damping: γ, how much less a user with many likes counts; 0 all alike, 1 by 1 / likes.
        noise: noise variance of one observation, in units of 1 / (effective number of users).
        relative_noise: further noise, as a share of the item's own variance.
        dislike: what a clear dislike is taken to say, on the scale where a like is 1 and "would
            never have met it" is 0.
        max_solve: largest number of events solved exactly; of longer histories the last ones.
    """

    damping: float = Field(1.0, ge=0, le=1)
    noise: float = Field(3.0, gt=0)
    relative_noise: float = Field(1.0, ge=0)
    dislike: float = Field(-0.1, le=0)
    max_solve: int = Field(200, ge=1)


@dataclass(frozen=True, slots=True)
class Belief:
    """The prior over users.

    Attributes:
        mean: (items,) expected liking.
        covariance: (items, items) between the likings of two items, dense or sparse.
        variance: (items,) its diagonal.
        effective_users: how many equally weighted users the estimate is worth.
    """

    mean: FloatArray
    covariance: FloatArray | Sparse
    variance: FloatArray
    effective_users: float


def learn_belief(
    likes: sp.csr_array, config: BeliefConfig, *, neighbours: int | None = None
) -> Belief:
    """Estimate the prior from (users, items) likes of training users.

    Args:
        likes: ones where a user likes an item.
        config: settings.
        neighbours: keep only this many co-liked items per item, as sparse rows; None keeps the
            dense (items, items) matrix.
    """
    counts = np.asarray(likes.sum(axis=1), np.float64).ravel()
    weight = np.where(counts > 0, np.maximum(counts, 1.0) ** -config.damping, 0.0)
    weight /= max(weight.sum(), 1e-12)
    weighted = sp.csr_array(likes.multiply(weight[:, None]))
    mean = np.asarray(weighted.sum(axis=0)).ravel()
    effective = 1.0 / max(float(np.square(weight).sum()), 1e-12)
    variance = mean - mean**2  # a like is 0 or 1
    if neighbours is None:
        dense = (likes.T @ weighted).toarray(order="C").astype(np.float32)  # read by rows
        dense -= np.outer(mean, mean).astype(np.float32)
        return Belief(mean.astype(np.float32), dense, variance.astype(np.float32), effective)
    rows = _sparse_covariance(likes, weighted, mean, neighbours)
    return Belief(mean.astype(np.float32), rows, variance.astype(np.float32), effective)


def observation_weights(histories: Histories, belief: Belief, config: BeliefConfig) -> sp.csr_array:
    """Return (users, items) sparse α = (C[S, S] + N)⁻¹ (y - m[S]); the posterior mean is m + α C.

    Users with the same number of events are solved together, with no loop over users.
    """
    weights = event_weights(histories, belief, config)
    shape = (len(histories), len(belief.mean))
    alpha = sp.csr_array((weights, histories.items, histories.indptr), shape=shape, copy=True)
    alpha.sum_duplicates()
    return alpha


def event_weights(histories: Histories, belief: Belief, config: BeliefConfig) -> FloatArray:
    """Return (events,) what `observation_weights` gives to each event."""
    shots = histories.shots
    weights = np.zeros(len(histories.items), np.float32)
    for k in np.unique(shots[shots > 0]):
        at = np.flatnonzero(shots == k)
        taken = min(int(k), config.max_solve)
        last = histories.indptr[at][:, None] + np.arange(k - taken, k)
        for start in range(0, len(at), max(1, 4_000_000 // taken**2)):
            part = last[start : start + max(1, 4_000_000 // taken**2)]
            weights[part] = _solve(histories.items[part], histories.values[part], belief, config)
    return weights


def posterior(
    histories: Histories, belief: Belief, config: BeliefConfig
) -> tuple[FloatArray, FloatArray]:
    """Return (users, items) posterior mean of the liking, and its standard deviation.

    What a truncated covariance leaves below zero is zero.
    """
    moved = observation_weights(histories, belief, config) @ belief.covariance
    mean = belief.mean + (moved if isinstance(moved, np.ndarray) else moved.toarray())
    spread = np.tile(np.sqrt(belief.variance), (len(histories), 1))
    for user in np.flatnonzero(histories.shots):
        begin, end = histories.indptr[user : user + 2]
        items = histories.items[max(begin, end - config.max_solve) : end]
        rows = belief.covariance[items]
        rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
        gram = _observed(items[None], belief, config)[0].astype(np.float64)
        known = np.einsum("si,si->i", rows, np.linalg.solve(gram, rows))
        spread[user] = np.sqrt(np.maximum(belief.variance - known, 0))
    return mean, spread


def _solve(
    items: npt.NDArray[Any], values: FloatArray, belief: Belief, config: BeliefConfig
) -> FloatArray:
    """Solve a batch of (users, shots) systems."""
    gram = _observed(items, belief, config)
    said = np.where(values > 0, values, -config.dislike * values)
    residual = said - belief.mean[items]
    solved = np.linalg.solve(gram.astype(np.float64), residual[..., None].astype(np.float64))
    return solved[..., 0].astype(np.float32)


def _observed(items: npt.NDArray[Any], belief: Belief, config: BeliefConfig) -> FloatArray:
    """Return (users, shots, shots) covariances of what was observed, noise included."""
    n = items.shape[1]
    gram: FloatArray
    if isinstance(belief.covariance, np.ndarray):
        gram = belief.covariance[items[:, :, None], items[:, None, :]]
    else:
        gram = among(belief.covariance, items)
        gram = np.maximum(gram, gram.transpose(0, 2, 1))  # truncated rows are not symmetric
    diagonal = belief.variance[items]
    noise = config.noise / belief.effective_users + config.relative_noise * diagonal
    # An item twice in one history would make two equal rows; the noise keeps the solve regular.
    gram[:, np.arange(n), np.arange(n)] = diagonal + noise
    return gram


def _sparse_covariance(
    likes: sp.csr_array, weighted: sp.csr_array, mean: npt.NDArray[np.float64], neighbours: int
) -> sp.csr_array:
    """Return the largest `neighbours` covariances of each item, the diagonal among them."""
    transposed = sp.csr_array(weighted.T)
    blocks = []
    for start in range(0, likes.shape[1], 1024):
        together = (transposed[start : start + 1024] @ likes).tocoo()
        row, col = together.coords
        value = together.data - mean[start + row] * mean[col]
        order = np.lexsort((col, -value, row))
        row, col, value = row[order], col[order], value[order]
        first = np.searchsorted(row, np.arange(together.shape[0] + 1))
        keep = np.arange(len(row)) - first[row] < neighbours
        blocks.append(
            sp.csr_array(
                (value[keep].astype(np.float32), (row[keep], col[keep])), shape=together.shape
            )
        )
    return sp.csr_array(sp.vstack(blocks, format="csr"))
