"""A model of clicks that learns a new user and a new ad in closed form.

    logit = c + (1 + α - γ) · base + β · network(columns) + γ · (a_i + f_i · s_u) + w_i · [1, s_u]

The base is the shrunken rates of all columns (`warmstart.ads.additive`), and everything else has to
show that it is better: the network (`warmstart.ads.backbone`) adds to the base and knows no ids;
s_u is the user's taste, and a_i, f_i are what the ad's columns say (`warmstart.ads.taste`); w_i is
what this ad's own rows have added. s_u and w_i are Gaussian beliefs: an event is one rank-one step
on both sides, and there is nothing else to train when somebody or something new appears.

What is to be believed of a new ad is not what is true of established ones: those with many rows
are better liked. A quarter of the ads is therefore kept from a first fit; on their first rows c, α,
β, γ are fitted, with the ad's traffic beside them, and on all their rows the covariance of w_i. A
new ad is then taken for one with little traffic. α, β and γ are 0 where these ads do not clearly
gain by them (`warmstart.ads.clear_shares`); of a log with few ads a quarter of the rows is kept
instead.
The level of established ads is learned from their own rows.

What is served is one network: β, α and the base are in its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from warmstart.ads import columns as cols
from warmstart.ads.backbone import Backbone
from warmstart.ads.click_config import ClickConfig
from warmstart.ads.coding import Coding
from warmstart.ads.columns import TasteColumns
from warmstart.ads.taste import unmet
from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray, IntArray, Progress, State
from warmstart.meta.logistic_belief import sigmoid, told

if TYPE_CHECKING:
    from warmstart.ads.log import AdLog

Array = npt.NDArray[Any]


class ClickModel:
    """Predict the probability of a click, or of whatever else a row may lead to.

    Attributes:
        coding: the vocabularies; it grows with `add_ads` and `add_users`.
        arrays: everything learned, by name.

    Example:
        >>> from warmstart.ads.log import AdLog
        >>> rng = np.random.default_rng(0)
        >>> user, ad = rng.integers(0, 40, 2000), rng.integers(0, 20, 2000)
        >>> click = (rng.random(2000) < np.where((user + ad) % 2, 0.7, 0.2)).astype(int)
        >>> table = {"user": user, "ad": ad, "click": click, "kind": ad % 2}
        >>> log = AdLog.from_table(table, ad_columns=["kind"])
        >>> model = ClickModel().fit(log)
        >>> probability = model.probabilities(log)
        >>> bool(probability[click == 1].mean() > probability[click == 0].mean() + 0.1)
        True
    """

    config_type: ClassVar[type[Config]] = ClickConfig
    coding: Coding
    arrays: dict[str, Array]

    def __init__(self, config: ClickConfig | None = None) -> None:
        self.config = config or ClickConfig()

    def fit(
        self,
        log: AdLog,
        *,
        label: str = "click",
        targets: Array | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from a log.

        Args:
            log: training rows; ads of its coding without rows count as new.
            label: which label: "click" or "conversion".
            targets: (n,) numbers that stand for the labels, such as labels that are still to
                come; they may be larger than 1.
            seed: the same seed gives the same model.
            progress: told how far training has come.

        Raises:
            DataError: a label is missing, or all are alike.
            MissingExtraError: torch is not installed.
        """
        from warmstart.ads.click_training import train_click_model

        labels = labels_of(log, label, targets)
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"all {len(labels)} rows have {label} {labels[0] if len(labels) else '–'}; "
                "a model needs both kinds of rows"
            )
        self.coding = log.coding
        self.columns, self.arrays = train_click_model(
            log, labels, self.config, seed=seed, progress=progress
        )
        self._ready()
        return self

    def probabilities(self, log: AdLog) -> FloatArray:
        """Return (n,) probabilities of a click."""
        return np.asarray(sigmoid(self.logits(log)), np.float32)

    def logits(self, log: AdLog) -> FloatArray:
        """Return (n,) log-odds of a click.

        A known user's and a known ad's columns are those of the log that made them known.
        """
        return self._read(log)[0]

    def spread(self, log: AdLog) -> FloatArray:
        """Return (n,) standard deviations of the log-odds: how unsure the two beliefs are."""
        _, tastes, about = self._read(log)
        found = np.zeros(len(log))
        a, coords = self.arrays, self._coords
        for start in range(0, len(log), 4096):
            rows = slice(start, start + 4096)
            users, ads = log.user[rows], log.ad[rows]
            cov = np.tile(a["taste_covariance"], (len(users), 1, 1))
            cov[users >= 0] = a["user_covariance"][users[users >= 0]]
            own = np.where((ads >= 0)[:, None, None], a["ad_covariance"][ads], a["head_covariance"])
            read = np.concatenate([np.ones((len(cov), 1)), tastes[rows][:, coords]], axis=1)
            found[rows] = np.einsum("nd,nde,ne->n", about[rows][:, 1:], cov, about[rows][:, 1:])
            found[rows] += np.einsum("nd,nde,ne->n", read, own, read)
            found[rows] += a["level"][1] * self._newcomer(ads)
        return np.asarray(np.sqrt(np.maximum(found, 0)), np.float32)

    def pair_logits(self, users: IntArray, ads: IntArray) -> FloatArray:
        """Return (users, ads) log-odds of every pair of known users and ads, no occasion given."""
        a = self.arrays
        found = self._network.pair_logits(self._user_side.take(users), self._ad_side.take(ads))
        found *= np.float32(a["mix"][1])
        table = self._table[ads]
        found += a["user_mean"][users].astype(np.float32) @ table[:, 1:].T
        found += table[:, 0] + np.float32(a["level"][0]) * self._newcomer(ads)
        return np.asarray(found, np.float32)

    def update(self, log: AdLog, *, label: str = "click", targets: Array | None = None) -> Self:
        """Learn from further rows, one after the other; this changes the model.

        A row whose user is unknown teaches about its ad, and the other way round.

        Raises:
            DataError: a label is missing.
        """
        labels = labels_of(log, label, targets)
        offset = self._network_logits(log) * self.arrays["mix"][1]
        fresh = self._expected(cols.codes_of(log, "ad")) if (log.ad < 0).any() else None
        for row, (user, ad) in enumerate(zip(log.user.tolist(), log.ad.tolist(), strict=True)):
            about = self._table[ad] if fresh is None or ad >= 0 else fresh[row]
            self._event(user, ad, float(labels[row]), float(offset[row]), about)
        return self

    def add_ads(self, coding: Coding, log: AdLog) -> Self:
        """Make new ads known by their columns; this changes the model.

        Args:
            coding: this model's with further ads at its end (`Coding.with_ads`).
            log: rows coded by it, at least one for each new ad, labels not needed.

        Raises:
            DataError: a new ad has no row.
        """
        new = np.arange(len(self.coding.ads), len(coding.ads))
        missing = np.setdiff1d(new, log.ad)
        if len(missing):
            raise DataError(f"ad {coding.ads[int(missing[0])]!r} is new and has no row; give one")
        codes = cols.last_codes(log.ad, cols.codes_of(log, "ad"), len(coding.ads))[new]
        a = self.arrays
        head = len(self._coords) + 1
        a["ad_codes"] = np.concatenate([a["ad_codes"], codes])
        a["ad_shift"] = np.concatenate([a["ad_shift"], np.zeros(len(new))])
        a["ad_mean"] = np.concatenate([a["ad_mean"], np.zeros((len(new), head))])
        own = np.tile(a["head_covariance"], (len(new), 1, 1))
        a["ad_covariance"] = np.concatenate([a["ad_covariance"], own])
        a["established"] = np.concatenate([a["established"], np.zeros(len(new), bool)])
        self.coding = coding
        self._ready()
        return self

    def add_users(self, coding: Coding, log: AdLog | None = None) -> Self:
        """Make new users known; this changes the model.

        Args:
            coding: this model's with further users at its end (`Coding.with_users`).
            log: rows coded by it, for their columns; unknown without one.
        """
        n = len(coding.users)
        new = np.arange(len(self.coding.users), n)
        codes: IntArray = np.full((len(new), self.arrays["user_codes"].shape[1]), -1, np.int64)
        if log is not None:
            codes = cols.last_codes(log.user, cols.codes_of(log, "user"), n)[new]
        a = self.arrays
        a["user_codes"] = np.concatenate([a["user_codes"], codes])
        a["user_mean"] = np.concatenate([a["user_mean"], np.tile(a["taste_mean"], (len(new), 1))])
        own = np.tile(a["taste_covariance"], (len(new), 1, 1))
        a["user_covariance"] = np.concatenate([a["user_covariance"], own])
        self.coding = coding
        self._ready()
        return self

    def state(self) -> State:
        """Return everything that `from_state` needs, together with the coding."""
        arrays = {n: np.ascontiguousarray(a) for n, a in self.arrays.items()}
        return State(
            arrays | {"taste_places": self.columns.places},
            {"config": self.config.model_dump(mode="json")},
        )

    @classmethod
    def from_state(cls, state: State, coding: Coding) -> Self:
        """Rebuild a fitted model; needs NumPy alone."""
        model = cls(ClickConfig.parse(state.meta["config"]))
        sizes = coding.fields_of("ad")
        arrays = dict(state.arrays)
        model.columns = TasteColumns(
            tuple(sizes), arrays.pop("taste_places"), tuple(sizes.values())
        )
        model.coding, model.arrays = coding, arrays
        model._ready()
        return model

    def _ready(self) -> None:
        """Work out what serving needs from what was learned."""
        a = self.arrays
        self._network = Backbone(
            cols.arrays_of("network.", a), [n + 1 for n in self.coding.sizes.values()]
        )
        self._n_user, self._n_ad = (len(self.coding.fields_of(r)) for r in ("user", "ad"))
        self._user_side = self._network.side(a["user_codes"] + 1, 0)
        self._ad_side = self._network.side(a["ad_codes"] + 1, self._n_user)
        self._coords = head_coordinates(len(a["taste_mean"]), self.config.latent)
        self._table = self._expected(a["ad_codes"])
        self._table[:, 0] += a["ad_shift"] + a["ad_mean"][:, 0]
        self._table[:, 1 + self._coords] += a["ad_mean"][:, 1:]

    def _expected(self, codes: IntArray) -> FloatArray:
        """Return (ads, 1 + dim) intercepts and features of ads before their first event."""
        a = self.arrays
        said = unmet(self.columns.of(codes), a["taste_level"], self.config.latent)
        said *= a["mix"][2]
        said[:, 0] += a["mix"][0]
        return np.asarray(said, np.float32)

    def _newcomer(self, ads: IntArray) -> npt.NDArray[np.bool_]:
        return (ads < 0) | ~self.arrays["established"][ads]

    def _network_logits(self, log: AdLog) -> FloatArray:
        if not self._network.sizes:
            return np.zeros(len(log), np.float32)
        sides = []
        for ids, known, role, first in (
            (log.user, self._user_side, "user", 0),
            (log.ad, self._ad_side, "ad", self._n_user),
        ):
            side, strange = known.take(ids) if len(known.plain) else None, ids < 0
            if strange.any() or side is None:
                codes = cols.codes_of(log, role)[strange] + 1  # type: ignore[arg-type]
                fresh = self._network.side(codes, first)
                side = fresh if side is None else side.where(strange, fresh)
            sides.append(side)
        occasion = cols.codes_of(log, "context") + 1
        if occasion.shape[1]:
            sides.append(self._network.side(occasion, self._n_user + self._n_ad))
        return self._network.logits(*sides)

    def _read(self, log: AdLog) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (n,) logits, (n, dim) tastes and (n, 1 + dim) features of the ads."""
        a = self.arrays
        tastes = np.tile(a["taste_mean"], (len(log), 1))
        known = log.user >= 0
        tastes[known] = a["user_mean"][log.user[known]]
        about = (
            self._table[log.ad] if len(self._table) else np.zeros((len(log), 1 + tastes.shape[1]))
        )
        strange = log.ad < 0
        if strange.any():
            about[strange] = self._expected(cols.codes_of(log, "ad")[strange])
        logits = a["mix"][1] * self._network_logits(log)
        logits = logits + about[:, 0] + np.einsum("nd,nd->n", about[:, 1:], tastes)
        logits += a["level"][0] * self._newcomer(log.ad)
        return np.asarray(logits, np.float32), np.asarray(tastes, np.float32), about

    def _event(self, user: int, ad: int, label: float, offset: float, about: Array) -> None:
        """Move both beliefs by one event; `offset` is the network's share of the logit."""
        a, coords = self.arrays, self._coords
        taste = a["user_mean"][user] if user >= 0 else a["taste_mean"]
        covariance = a["user_covariance"][user] if user >= 0 else a["taste_covariance"]
        own = a["ad_covariance"][ad] if ad >= 0 else a["head_covariance"]
        new = ad < 0 or not a["established"][ad]
        level, level_variance = a["level"] if new else (0.0, 0.0)
        features, read = about[1:], np.concatenate([[1.0], taste[coords]])
        p = float(sigmoid(offset + about[0] + features @ taste + level))
        wrong, curvature = label - p, max(p * (1 - p), 1e-4)
        of_user, of_ad = float(features @ covariance @ features), float(read @ own @ read)
        if user >= 0:
            a["user_mean"][user], a["user_covariance"][user] = told(
                taste, covariance, features, wrong, curvature, of_ad + level_variance
            )
        if ad >= 0:
            before = a["ad_mean"][ad].copy()
            a["ad_mean"][ad], a["ad_covariance"][ad] = told(
                before, own, read, wrong, curvature, of_user + level_variance
            )
            moved = a["ad_mean"][ad] - before
            self._table[ad, 0] += moved[0]
            self._table[ad, 1 + coords] += moved[1:]
        if new:
            gain = level_variance / (1 + curvature * (level_variance + of_user + of_ad))
            a["level"][0] += gain * wrong
            a["level"][1] -= curvature * gain * level_variance


def head_coordinates(dim: int, latent: int) -> IntArray:
    """Return which coordinates of a taste an ad's own head reads: the general one, the nameless."""
    read: IntArray = np.r_[0, dim - latent : dim].astype(np.int64)
    return read


def labels_of(log: AdLog, label: str, targets: Array | None) -> npt.NDArray[np.float64]:
    """Return the labels of a log.

    Raises:
        DataError: the log has no such label, or one is missing.
    """
    given = getattr(log, label, None) if targets is None else targets
    if label not in ("click", "conversion") or given is None:
        raise DataError(f"the log has no label {label!r}; choose click or conversion")
    found = np.asarray(given, np.float64)
    bad = ~np.isfinite(found)
    if len(found) != len(log) or bad.any():
        raise DataError(
            f"{int(bad.sum())} of {len(found)} labels are missing, and there are {len(log)} rows "
            f"(first: row {int(np.argmax(bad))}); drop these rows"
        )
    return found
