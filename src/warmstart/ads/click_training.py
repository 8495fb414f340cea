"""How a `ClickModel` is learned: a fit without some ads, what they teach, then a fit with all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.ads import columns as cols
from warmstart.ads.additive import Additive, fit_additive
from warmstart.ads.backbone import Backbone
from warmstart.ads.clear_shares import clear_shares
from warmstart.ads.click_config import ClickConfig
from warmstart.ads.click_model import head_coordinates
from warmstart.ads.columns import TasteColumns
from warmstart.ads.log import AdLog
from warmstart.ads.taste import Taste, learn_taste, left_out
from warmstart.core.errors import MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress
from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace, learn_prior

Floats = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]

_FEWEST = 8  # ads that must be kept from the first fit, or nothing is learned of new ones
_HEAD_SCALE, _LEAST_SCALE = 0.3, 0.1  # standard deviations, in logits


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of some rows before any ad's own head.

    Attributes:
        base: (rows,) logits of the additive base, without ads.
        own: (rows,) what the base adds for the ads themselves, 0 of ads it has not met.
        beyond: (rows, 2) how far the network and the taste depart from the base.
        tastes: (rows, dim).
    """

    base: Floats
    own: Floats
    beyond: Floats
    tastes: Floats


@dataclass(frozen=True, slots=True)
class _Fit:
    """What was learned from some rows."""

    taste: Taste
    base: Additive
    network: Backbone

    def said(self, log: AdLog, rows: IntArray, dims: Floats, tastes: Floats) -> _Said:
        """Return what it says of rows whose users have these tastes."""
        codes, ads = _codes(log, rows), log.ad[rows]
        expected = self.taste.expected(dims)[ads]
        logit = expected[:, 0] + np.einsum("nd,nd->n", expected[:, 1:], tastes)
        base, network = self.base.without_last().logits(codes), np.zeros(len(rows))
        if self.network.sizes:
            network += self.network.logits(self.network.side(codes, 0))
        beyond = np.column_stack([base - self.base.intercept, network, logit - base])
        return _Said(base, self.base.weights[-1][ads], beyond, tastes)


def train_click_model(
    log: AdLog,
    labels: Floats,
    config: ClickConfig,
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[TasteColumns, Arrays]:
    """Return the columns of taste and everything learned, by name."""
    rng = generator(seed, "click model")
    say = progress or (lambda done, total, message: None)
    n_ads, n_users = len(log.coding.ads), len(log.coding.users)
    ad_codes = cols.last_codes(log.ad, cols.codes_of(log, "ad"), n_ads)
    traffic = np.bincount(log.ad[log.ad >= 0], minlength=n_ads)
    columns = TasteColumns.choose(log.coding, ad_codes[traffic > 0], config.columns)
    dims = columns.of(ad_codes).astype(np.float64)
    rows = np.flatnonzero(log.ad >= 0)
    met = np.flatnonzero(traffic > 0)
    held = rng.permutation(met)[: int(config.pretend_cold * len(met))]
    new_ads = len(held) >= _FEWEST
    out = np.isin(log.ad[rows], held) if new_ads else rng.random(len(rows)) < config.pretend_cold
    say(0, 4, f"a first fit without {len(held)} ads" if new_ads else "a first fit of some rows")
    first = _fit(log, labels, dims, rows[~out], config, rng)
    say(1, 4, "what the others teach")
    shifts = _traffic(traffic, config) * new_ads
    mix, by_traffic, covariance = _pretend(
        log, labels, dims, rows[out], shifts, first, config, new_ads=new_ads
    )
    say(2, 4, "a fit of all rows")
    fit = _fit(log, labels, dims, rows, config, rng, first.taste)
    say(3, 4, "the ads themselves")
    if mix[3]:
        taste = fit.taste
        tastes = left_out(taste, log.user[rows], log.ad[rows], labels[rows])
    else:
        taste = _untold(fit.taste, n_users)
        tastes = np.tile(taste.prior.mean, (len(rows), 1))
    said = fit.said(log, rows, dims, tastes)
    shifts = by_traffic * shifts
    offset = said.base + mix[0] + said.beyond @ mix[1:] + shifts[log.ad[rows]]
    one = Labelled.of(np.ones((len(rows), 1)), labels[rows], offset, np.zeros(len(rows), int), 1)
    known = float(laplace(HeadPrior(np.zeros(1), np.eye(1)), one).mean[0, 0])
    if config.low_traffic is None:  # new ads are like the known ones
        mix[0], offset, known = mix[0] + known, offset + known, 0.0
    coords = head_coordinates(fit.taste.ads.shape[1] - 1, config.latent)
    heads = Labelled.of(_design(said.tastes, coords), labels[rows], offset + known, log.ad[rows],
                        n_ads)  # fmt: skip
    own = laplace(HeadPrior(np.zeros(1 + len(coords)), covariance), heads)
    covariance[0, 0] = max(covariance[0, 0], _HEAD_SCALE**2)  # what is to come may be less alike
    say(4, 4, "done")
    rest = 1 - mix[3]  # what is left of the base where the taste departs from it
    values = np.concatenate([np.zeros(0), *fit.base.weights[:-1]])
    network = fit.network.times(mix[2], (mix[1] + rest) * values)
    arrays: Arrays = {
        "mix": np.array([mix[0] + rest * fit.base.intercept, 1.0, mix[3] or 1.0]),  # 1: see _untold
        "level": np.array([0.0, config.level_sd**2]),
        "taste_mean": taste.prior.mean,
        "taste_covariance": taste.prior.covariance,
        "taste_level": taste.level,
        "user_mean": taste.users.mean,
        "user_covariance": taste.users.covariance,
        "ad_shift": shifts + known * (traffic > 0),
        "ad_mean": own.mean,
        "ad_covariance": own.covariance,
        "head_covariance": covariance,
        "established": traffic > 0,
        "ad_codes": ad_codes,
        "user_codes": cols.last_codes(log.user, cols.codes_of(log, "user"), n_users),
    }
    return columns, arrays | {f"network.{n}": a for n, a in network.arrays.items()}


def _pretend(
    log: AdLog,
    labels: Floats,
    dims: Floats,
    cold: IntArray,
    traffic: Floats,
    fit: _Fit,
    config: ClickConfig,
    *,
    new_ads: bool,
) -> tuple[Floats, float, Floats]:
    """Return c, β, γ, the weight of an ad's traffic, and the covariance of an ad's own head.

    Args:
        log: of all rows.
        labels: of all rows.
        dims: of all ads.
        cold: rows that were kept from a fit.
        traffic: (ads,) logarithm of their rows, less that of a new ad.
        fit: of the other rows.
        config: settings.
        new_ads: whether the ads of these rows were kept from the fit, and not these rows alone.
    """
    tastes = np.tile(fit.taste.prior.mean, (len(cold), 1))
    known = log.user[cold] >= 0
    tastes[known] = fit.taste.users.mean[log.user[cold][known]]
    said, ads, wanted = fit.said(log, cold, dims, tastes), log.ad[cold], labels[cold]
    design = np.column_stack([np.ones(len(cold)), said.beyond, traffic[ads]])
    groups = ads if new_ads else np.arange(len(cold))
    early = _rank(log, cold) < config.early_rows if new_ads else np.ones(len(cold), bool)
    learned = clear_shares(
        design[early], wanted[early], (said.base + said.own)[early], groups[early]
    )
    coords = head_coordinates(fit.taste.ads.shape[1] - 1, config.latent)
    scale = np.r_[max(float(fit.base.sd[-1]), _LEAST_SCALE), np.full(len(coords), _HEAD_SCALE)]
    covariance = np.diag(scale**2)
    if new_ads:
        heads = Labelled.of(
            _design(said.tastes, coords), wanted, said.base + design @ learned, ads, len(traffic)
        )
        covariance = learn_prior(heads, scale=scale, prior_tasks=4.0, centred=True).covariance
    return learned[:4], float(learned[4]), covariance


def _untold(taste: Taste, n_users: int) -> Taste:
    """Return tastes that say nothing yet, at a full share, so that events still teach them."""
    dim = len(taste.prior.mean)
    prior = HeadPrior(np.zeros(dim), _HEAD_SCALE**2 * np.eye(dim))
    ads = np.zeros_like(taste.ads)
    return Taste(prior, prior.start(n_users), np.zeros_like(taste.level), ads)


def _rank(log: AdLog, rows: IntArray) -> IntArray:
    """Return (rows,) the place of each among the rows of its ad, from 0."""
    ads = log.ad[rows]
    when = np.arange(len(rows)) if log.timestamp is None else log.timestamp[rows]
    order = np.lexsort((when, ads))
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - np.searchsorted(ads[order], ads[order])
    return rank


def _traffic(traffic: IntArray, config: ClickConfig) -> Floats:
    """Return (ads,) log of the rows of each ad, 0 for a new one and one of low traffic."""
    if config.low_traffic is None:
        return np.zeros(len(traffic))
    low = max(1.0, float(np.quantile(traffic[traffic > 0], config.low_traffic)))
    return np.where(traffic > 0, np.log(np.maximum(traffic, 1) / low), 0.0)


def _design(tastes: Floats, coords: IntArray) -> Floats:
    """Return (rows, 1 + coordinates) what an ad's own head reads."""
    return np.concatenate([np.ones((len(tastes), 1)), tastes[:, coords]], axis=1)


def _codes(log: AdLog, rows: IntArray) -> IntArray:
    """Return (rows, fields) codes for the network; 0 is unknown."""
    part = log.take(rows)
    return np.concatenate([cols.codes_of(part, r) + 1 for r in ("user", "ad", "context")], axis=1)


def _fit(
    log: AdLog,
    labels: Floats,
    dims: Floats,
    rows: IntArray,
    config: ClickConfig,
    rng: np.random.Generator,
    start: Taste | None = None,
) -> _Fit:
    """Learn tastes, the base of columns and ads, and a network that adds to that of columns."""
    taste = learn_taste(
        log.user[rows], log.ad[rows], labels[rows], dims, len(log.coding.users),
        n_latent=config.latent,
        iterations=config.iterations if start is None else max(1, config.iterations // 2),
        rng=rng, start=start,
    )  # fmt: skip
    codes = np.column_stack([_codes(log, rows), log.ad[rows]])
    sizes = [n + 1 for n in log.coding.sizes.values()]
    base = fit_additive(codes, labels[rows], [*sizes, len(log.coding.ads)])
    columns = codes[:, :-1]
    offset = base.without_last().logits(columns)  # the columns of ads are its to read
    network = _network(columns, labels[rows], offset, sizes, config, rng)
    return _Fit(taste, base, network)


def _network(
    codes: IntArray,
    labels: Floats,
    offset: Floats,
    sizes: list[int],
    config: ClickConfig,
    rng: np.random.Generator,
) -> Backbone:
    if not sizes:
        width, dim = 1, 1
        nothing = {"vectors": (0, dim), "weights": (0,), "bias": (), "layer": (width, 0),
                   "layer_bias": (width,), "out": (width,)}  # fmt: skip
        return Backbone({n: np.zeros(shape, np.float32) for n, shape in nothing.items()}, [])
    try:
        from warmstart.ads.backbone_training import train_backbone
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", extra="train") from None
    model = train_backbone(codes, labels, sizes, config.backbone, rng, offset=offset)
    weights = {n: p.detach().numpy() for n, p in model.named_parameters()}
    return Backbone.of_module(weights, sizes)
