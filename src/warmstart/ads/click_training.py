"""How a `ClickModel` is learned: a fit without some ads, what they teach, then a fit with all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.ads import columns as cols
from warmstart.ads.backbone import Backbone
from warmstart.ads.click_config import ClickConfig
from warmstart.ads.click_model import head_coordinates
from warmstart.ads.columns import TasteColumns
from warmstart.ads.log import AdLog
from warmstart.ads.taste import Taste, learn_taste, left_out
from warmstart.core.errors import MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress
from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace, learn_prior

Arrays = dict[str, npt.NDArray[Any]]

_FEWEST = 8  # ads that must be kept from the first fit, or nothing is learned of new ones
_DEFAULT_MIX = np.array([0.0, 0.2, 0.85])
_HEAD_SCALE = 0.3


def train_click_model(
    log: AdLog,
    labels: npt.NDArray[np.float64],
    config: ClickConfig,
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[TasteColumns, Arrays]:
    """Return the columns of taste and everything learned, by name."""
    rng = generator(seed, "click model")
    say = progress or (lambda done, total, message: None)
    n_ads = len(log.coding.ads)
    ad_codes = cols.last_codes(log.ad, cols.codes_of(log, "ad"), n_ads)
    traffic = np.bincount(log.ad[log.ad >= 0], minlength=n_ads)
    columns = TasteColumns.choose(log.coding, ad_codes[traffic > 0], config.columns)
    dims = columns.of(ad_codes).astype(np.float64)
    rows = np.flatnonzero(log.ad >= 0)
    met = np.flatnonzero(traffic > 0)
    held = rng.permutation(met)[: int(config.pretend_cold * len(met))]
    mix, covariance, start, by_traffic = _DEFAULT_MIX, None, None, 0.0
    if len(held) >= _FEWEST:
        say(0, 4, f"a first fit without {len(held)} ads")
        out = np.isin(log.ad, held)
        first = np.setdiff1d(rows, np.flatnonzero(out))
        start = _taste(log, labels, dims, first, config, rng)
        network = _network(log, labels, first, config, rng)
        say(1, 4, "what these ads teach of new ones")
        cold = np.flatnonzero(out)
        mix, by_traffic, covariance = _pretend(
            log, labels, dims, cold, traffic, start, network, config
        )
    say(2, 4, "tastes")
    taste = _taste(log, labels, dims, rows, config, rng, start)
    say(3, 4, "the network over columns")
    network = _network(log, labels, rows, config, rng)
    coords = head_coordinates(taste.ads.shape[1] - 1, config.latent)
    if covariance is None:
        covariance = _HEAD_SCALE**2 * np.eye(1 + len(coords))
    offset, parts = _offset(log, dims, rows, taste, network, left_out(
        taste, log.user[rows], log.ad[rows], labels[rows]))  # fmt: skip
    shift = by_traffic * _traffic(traffic, config)
    heads = Labelled.of(
        np.concatenate([np.ones((len(rows), 1)), parts[:, coords]], axis=1),
        labels[rows], offset @ mix + shift[log.ad[rows]], log.ad[rows], n_ads,
    )  # fmt: skip
    own = laplace(HeadPrior(np.zeros(1 + len(coords)), covariance), heads)
    say(4, 4, "done")
    n_users = len(log.coding.users)
    arrays: Arrays = {
        "mix": mix,
        "level": np.array([0.0, config.level_sd**2]),
        "taste_mean": taste.prior.mean,
        "taste_covariance": taste.prior.covariance,
        "taste_level": taste.level,
        "user_mean": taste.users.mean,
        "user_covariance": taste.users.covariance,
        "ad_shift": shift,
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
    labels: npt.NDArray[np.float64],
    dims: npt.NDArray[Any],
    cold: IntArray,
    traffic: IntArray,
    taste: Taste,
    network: Backbone,
    config: ClickConfig,
) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.float64]]:
    """Return c, β, γ, the weight of an ad's traffic, and the covariance of an ad's own head."""
    tastes = np.zeros((len(cold), len(taste.prior.mean)))
    known = log.user[cold] >= 0
    tastes[known] = taste.users.mean[log.user[cold][known]]
    offset, parts = _offset(log, dims, cold, taste, network, tastes)
    ads, wanted = log.ad[cold], labels[cold]
    when = np.arange(len(cold)) if log.timestamp is None else log.timestamp[cold]
    order = np.lexsort((when, ads))
    rank = np.empty(len(cold), np.int64)
    starts = np.searchsorted(ads[order], ads[order])
    rank[order] = np.arange(len(cold)) - starts
    early = rank < config.early_rows
    design = np.column_stack([offset, _traffic(traffic, config)[ads]])
    prior = HeadPrior(np.r_[_DEFAULT_MIX, 0.0], np.diag([1.0, 0.05, 0.05, 1.0]))
    one = Labelled.of(
        design[early] - 0.0, wanted[early], np.zeros(early.sum()), np.zeros(early.sum(), int), 1
    )
    found = laplace(prior, one).mean[0]
    coords = head_coordinates(taste.ads.shape[1] - 1, config.latent)
    heads = Labelled.of(
        np.concatenate([np.ones((len(cold), 1)), parts[:, coords]], axis=1),
        wanted, design @ found, ads, len(log.coding.ads),
    )  # fmt: skip
    learned = learn_prior(heads, scale=_HEAD_SCALE, prior_tasks=4.0, centred=True)
    return found[:3], float(found[3]), learned.covariance


def _traffic(traffic: IntArray, config: ClickConfig) -> npt.NDArray[np.float64]:
    """Return (ads,) log of the rows of each ad, 0 for a new one and one of low traffic."""
    low = max(1.0, float(np.quantile(traffic[traffic > 0], config.low_traffic)))
    return np.where(traffic > 0, np.log(np.maximum(traffic, 1) / low), 0.0)


def _offset(
    log: AdLog,
    dims: npt.NDArray[Any],
    rows: IntArray,
    taste: Taste,
    network: Backbone,
    tastes: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Return (rows, 3): one, the network's logit, the logit of taste on columns; and the tastes."""
    said = taste.expected(dims)[log.ad[rows]]
    logit = said[:, 0] + np.einsum("nd,nd->n", said[:, 1:], tastes)
    columns = np.zeros(len(rows))
    if network.sizes:
        codes = _codes(log, rows)
        columns = network.logits(network.side(codes, 0)).astype(np.float64)
    return np.column_stack([np.ones(len(rows)), columns, logit]), tastes


def _codes(log: AdLog, rows: IntArray) -> IntArray:
    """Return (rows, fields) codes for the network; 0 is unknown."""
    part = log.take(rows)
    return np.concatenate([cols.codes_of(part, r) + 1 for r in ("user", "ad", "context")], axis=1)


def _taste(
    log: AdLog,
    labels: npt.NDArray[np.float64],
    dims: npt.NDArray[Any],
    rows: IntArray,
    config: ClickConfig,
    rng: np.random.Generator,
    start: Taste | None = None,
) -> Taste:
    return learn_taste(
        log.user[rows], log.ad[rows], labels[rows], dims, len(log.coding.users),
        n_latent=config.latent,
        iterations=config.iterations if start is None else max(1, config.iterations // 2),
        rng=rng, start=start,
    )  # fmt: skip


def _network(
    log: AdLog,
    labels: npt.NDArray[np.float64],
    rows: IntArray,
    config: ClickConfig,
    rng: np.random.Generator,
) -> Backbone:
    sizes = [n + 1 for n in log.coding.sizes.values()]
    if not sizes:
        width, dim = 1, 1
        nothing = {"vectors": (0, dim), "weights": (0,), "bias": (), "layer": (width, 0),
                   "layer_bias": (width,), "out": (width,)}  # fmt: skip
        return Backbone({n: np.zeros(shape, np.float32) for n, shape in nothing.items()}, [])
    try:
        from warmstart.ads.backbone_training import train_backbone
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", extra="train") from None
    model = train_backbone(_codes(log, rows), labels[rows], sizes, config.backbone, rng)
    weights = {n: p.detach().numpy() for n, p in model.named_parameters()}
    return Backbone.of_module(weights, sizes)
