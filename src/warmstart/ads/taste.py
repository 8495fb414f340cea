"""Users' tastes over what is known of ads, in closed form on both sides.

    logit = a_i + f_i · s_u        s_u ~ N(m, L)        (a_i, f_i) ~ N((b · x_i, [1, x_i, 0]), Ω)

s_u is the taste of user u: for clicking at all, for each value of the ads' columns, and for a few
dimensions that no column names. f_i says what ad i has of each; before its first event an ad has
what its columns x_i say and nothing else. Given the ads, the users are one Bayesian logistic
regression each; given the users, the ads are. So both sides are learned by alternating, and a new
user or a new ad is one small solve (`warmstart.meta.logistic_belief`).

A user's taste has read every row, that of the ad in question too. Whatever is learned of ads from
training rows therefore sees the taste without that one row (`left_out`).

Relatives: Zhang et al. 2016 (GLMix, doi:10.1145/2939672.2939684): a regression for each user and
each item on top of a global one; Agarwal & Chen 2009 (doi:10.1145/1557019.1557029): factors whose
priors are regressions on features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.types import IntArray
from warmstart.meta.logistic_belief import (
    HeadPrior,
    Heads,
    Labelled,
    laplace,
    limited,
    sigmoid,
    updated,
)

Array = npt.NDArray[np.float64]

_SCALE = 0.3  # standard deviation of a taste where EM starts, in logits
_AD_SCALE = 0.8  # the same of an ad's intercept


@dataclass(frozen=True, slots=True)
class Taste:
    """What was learned.

    Attributes:
        prior: m and L of a user's taste.
        users: the belief about each user that training has met.
        level: (1 + columns,) b: the intercept of an ad, its first entry the same for all ads.
        ads: (ads, 1 + dim) a_i and f_i of the ads that training has met; what the columns say
            of the others.
    """

    prior: HeadPrior
    users: Heads
    level: Array
    ads: Array

    @property
    def n_latent(self) -> int:
        """How many dimensions no column names."""
        return int(self.ads.shape[1] - 1 - len(self.level))

    def expected(self, columns: npt.NDArray[Any]) -> Array:
        """Return (ads, 1 + dim) intercepts and features of ads known by their columns alone."""
        return unmet(columns, self.level, self.n_latent)


def unmet(columns: npt.NDArray[Any], level: Array, n_latent: int) -> Array:
    """Return (ads, 1 + dim) intercepts and features that columns say.

    Args:
        columns: (ads, columns).
        level: (1 + columns,).
        n_latent: dimensions that no column names.
    """
    one = np.ones((len(columns), 1))
    known = np.concatenate([one, columns], axis=1)
    latent = np.zeros((len(columns), n_latent))
    return np.concatenate([(known @ level)[:, None], known, latent], axis=1)


def learn_taste(
    users: IntArray,
    ads: IntArray,
    labels: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    n_users: int,
    *,
    n_latent: int,
    iterations: int,
    rng: np.random.Generator,
    start: Taste | None = None,
) -> Taste:
    """Learn tastes and ads by alternating.

    Args:
        users: (n,) codes; -1 where nobody knows.
        ads: (n,) codes.
        labels: (n,).
        columns: (ads, columns) of every ad.
        n_users: how many users there are.
        n_latent: dimensions that no column names.
        iterations: of the alternation.
        rng: draws where those dimensions start.
        start: what fewer rows said; the dimensions keep their meaning.
    """
    n_columns, met = columns.shape[1], np.bincount(ads, minlength=len(columns)) > 0
    mean_rate = np.clip(labels.mean(), 1e-4, 1 - 1e-4)
    level = np.zeros(1 + n_columns)
    level[0] = np.log(mean_rate) - np.log1p(-mean_rate)
    table = unmet(columns, level, n_latent)
    table[met, 2 + n_columns :] = rng.normal(0, 0.5, (int(met.sum()), n_latent))
    dim = 1 + n_columns + n_latent
    first = _SCALE**2 * np.eye(dim)
    prior = HeadPrior(np.zeros(dim), first)
    known = np.bincount(users[users >= 0], minlength=n_users) > 0
    found = prior.start(n_users)
    if start is not None:
        prior, found, level = start.prior, start.users, start.level
        table[:, 0], table[:, 2 + n_columns :] = start.ads[:, 0], start.ads[:, 2 + n_columns :]
    for turn in range(iterations):
        seen = Labelled.of(table[ads, 1:], labels, table[ads, 0], users, n_users)
        found = laplace(prior, seen, start=found.mean, steps=1)
        if known.any():
            prior = updated(found, known, first=0.05 * first, prior_tasks=2.0, centred=True)
        if turn + 1 < iterations:
            table = _ads_given_users(users, ads, labels, table, found, level, n_columns)
            level = _level(columns, table[:, 0], met)
    table[~met] = unmet(columns[~met], level, n_latent)
    return Taste(prior, found, level, table)


def left_out(taste: Taste, users: IntArray, ads: IntArray, labels: npt.NDArray[Any]) -> Array:
    """Return (n, dim) the taste of each row's user, had that row not been.

    One rank-one step backwards; -1 users have the prior's mean.
    """
    if not len(taste.users.mean):  # the log knows no users
        return np.tile(taste.prior.mean, (len(users), 1))
    who = np.maximum(users, 0)
    features, mean = taste.ads[ads, 1:], taste.users.mean[who]
    p = sigmoid(taste.ads[ads, 0] + np.einsum("nd,nd->n", features, mean))
    curvature = np.maximum(p * (1 - p), 1e-4)
    spread = np.empty_like(mean)
    for start in range(0, len(users), 4096):
        part = slice(start, start + 4096)
        spread[part] = np.einsum("nde,ne->nd", taste.users.covariance[who[part]], features[part])
    read = np.einsum("nd,nd->n", features, spread)
    step = (labels - p) / np.maximum(1 - curvature * read, 0.1)
    found: Array = np.where((users >= 0)[:, None], mean - spread * step[:, None], taste.prior.mean)
    return found


def _ads_given_users(
    users: IntArray,
    ads: IntArray,
    labels: npt.NDArray[Any],
    table: Array,
    found: Heads,
    level: Array,
    n_columns: int,
) -> Array:
    """Return the ads' intercepts and latent features, given beliefs about the users."""
    at = np.r_[0, 2 + n_columns : table.shape[1]]  # what is learned of an ad
    latent = at[1:] - 1
    who = np.maximum(users, 0)
    if not len(found.mean):  # the log knows no users
        dim = table.shape[1] - 1
        found = Heads(np.zeros((1, dim)), np.zeros((1, dim, dim)))
    taste = found.mean[who] * (users >= 0)[:, None]
    unsure = np.einsum("udd->ud", found.covariance)[:, latent]
    order = np.argsort(ads, kind="stable")
    indptr = np.searchsorted(ads[order], np.arange(len(table) + 1))
    fixed = np.einsum("nd,nd->n", table[ads, 1:], taste)
    p = sigmoid(table[ads, 0] + fixed)
    weight, wrong = np.maximum(p * (1 - p), 1e-4), labels - p
    new = table.copy()
    precision = np.r_[1 / _AD_SCALE**2, np.ones(len(latent))]
    for ad in np.flatnonzero(np.diff(indptr)):
        rows = order[indptr[ad] : indptr[ad + 1]]
        design = np.concatenate([np.ones((len(rows), 1)), taste[rows][:, latent]], axis=1)
        curvature = design.T @ (design * weight[rows, None])
        # what is unsure of the users blurs the design: its expected square is larger
        spread = (weight[rows] * (users[rows] >= 0)) @ unsure[who[rows]]
        curvature[1:, 1:] += np.diag(spread)
        gradient = design.T @ wrong[rows]
        gradient[1:] -= spread * table[ad, at[1:]]
        before = table[ad, at] - np.r_[level[0], np.zeros(len(latent))]
        gradient -= precision * before
        curvature[np.diag_indices(len(at))] += precision
        new[ad, at] += limited(np.linalg.solve(curvature, gradient))
    return new


def _level(columns: npt.NDArray[Any], intercepts: Array, met: npt.NDArray[np.bool_]) -> Array:
    """Return the ridge regression of the ads' intercepts on their columns."""
    design, mean = columns[met] - columns[met].mean(axis=0), intercepts[met].mean()
    gram = design.T @ design + 20.0 * np.eye(design.shape[1])
    slope = np.linalg.solve(gram, design.T @ (intercepts[met] - mean))
    return np.concatenate([[mean - columns[met].mean(axis=0) @ slope], slope])
