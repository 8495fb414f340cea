"""Which ad to show whom: clicks, conversions and bids in one recommender.

Two click models, one learner: the first learns from every impression whether it is clicked, the
second from every click whether it converts. Their product is the probability of both, over all
impressions and not only the clicked ones (the entire space of Ma et al. 2018, arXiv:1804.07931),
and it is never above the probability of the click alone. Conversions that are still to come are
reckoned in (`warmstart.ads.conversions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from warmstart.ads.auction import (
    Exclusion,
    FrequencyCap,
    PaysFor,
    Shown,
    capped,
    check_bids,
    excluded,
    expected_value_micros,
)
from warmstart.ads.click_config import ClickConfig
from warmstart.ads.click_model import ClickModel
from warmstart.ads.coding import ROLES, Coding
from warmstart.ads.conversions import DelayCurve, targets
from warmstart.ads.log import AdLog
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import IntArray, Progress
from warmstart.data.ids import Id
from warmstart.meta.exploring import checked_share, explore

Numbers = npt.NDArray[np.float64]


class AdConfig(Config):
    """Settings.

    Attributes:
        click: of the model of clicks.
        conversion: of the model of conversions after a click.
        least_share: clicks of an age by which fewer of all conversions have come are not learned
            from.
    """

    click: ClickConfig = ClickConfig()
    conversion: ClickConfig = ClickConfig()
    least_share: float = Field(0.2, gt=0, le=1)


@dataclass(frozen=True, slots=True)
class AdScores:
    """What is likely to come of impressions.

    Attributes:
        click: (n,) probability of a click.
        conversion: (n,) of a conversion after a click; None where the log knew of none.
        click_and_conversion: (n,) of both, never above `click`; None as well.
    """

    click: Numbers
    conversion: Numbers | None
    click_and_conversion: Numbers | None


@dataclass(frozen=True, slots=True)
class RankedAd:
    """One place of a list.

    Attributes:
        rank: from 1.
        ad: its id.
        expected_value_micros: bid × probability of what it pays for.
        bid_micros: in millionths of the currency.
        click: probability of a click.
        conversion: of a conversion after a click, or None.
        propensity: probability with which this ad stands at this place.
        explored: whether the place was given to an ad from outside of the list.
    """

    rank: int
    ad: Id
    expected_value_micros: float
    bid_micros: float
    click: float
    conversion: float | None
    propensity: float
    explored: bool


class AdRecommender:
    """Learn which ads are clicked and convert, by whom, and rank by what they are worth.

    Args:
        config: settings, or a mapping of them.
        seed: the same seed gives the same model.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> user, ad = rng.integers(60, size=3000), rng.integers(12, size=3000)
        >>> click = (rng.random(3000) < np.where(user % 2 == ad % 2, 0.6, 0.1)).astype(int)
        >>> log = {"user": user, "ad": ad, "click": click, "side": ad % 2}
        >>> model = AdRecommender().fit(log, ad_columns=["side"])
        >>> [line.ad % 2 for line in model.rank(7, bids={4: 100, 5: 100}, k=1)]
        [1]
        >>> model.rank(7, bids={4: 900, 5: 100}, k=1)[0].ad  # a high bid is worth a lower chance
        4
    """

    coding: Coding

    def __init__(
        self, config: AdConfig | Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> None:
        if not isinstance(config, AdConfig):
            config = AdConfig.parse(dict(config or {}))
        self.config, self.seed = config, seed
        self.click: ClickModel | None = None
        self.conversion: ClickModel | None = None
        self.delays: DelayCurve | None = None
        self.origin: dict[str, Any] = {}

    def fit(
        self,
        table: Any,  # noqa: ANN401  (a log, or whatever `AdLog.from_table` reads)
        *,
        seen_until: float | None = None,
        progress: Progress | None = None,
        **columns: Any,  # noqa: ANN401  (names of columns)
    ) -> Self:
        """Learn from a log.

        Args:
            table: an `AdLog`, or a table and, in `columns`, what `AdLog.from_table` wants to know.
            seen_until: seconds since 1970 up to which conversions were written down; by default
                the latest time in the log.
            progress: told how far training has come.
            columns: see `AdLog.from_table`.

        Raises:
            DataError: the log is not what it must be.
            MissingExtraError: torch is not installed.
        """
        log = table if isinstance(table, AdLog) else AdLog.from_table(table, **columns)
        self.click = self.conversion = self.delays = None
        self.coding = log.coding
        if log.coding.columns["click"] is not None:
            self.click = ClickModel(self.config.click).fit(
                log, label="click", seed=self.seed, progress=progress
            )
        if log.conversion is not None:
            learned = targets(log, seen_until=seen_until, least_share=self.config.least_share)
            self.delays = learned.curve
            self.conversion = ClickModel(self.config.conversion).fit(
                log.take(learned.rows), label="conversion", targets=learned.target,
                seed=self.seed, progress=progress,
            )  # fmt: skip
        if self.click is None and self.conversion is None:
            raise DataError("the log has neither clicks nor conversions; name one of the columns")
        self.ad_fields = _last(log.ad, log.fields_of("ad"), len(log.coding.ads))
        self.origin = {
            "rows": len(log),
            "users": len(log.coding.users),
            "ads": len(log.coding.ads),
            "clicks": int(np.nansum(log.click)),
            "conversions": None if log.conversion is None else int(np.nansum(log.conversion)),
            "fingerprint": fingerprint(log),
        }
        return self

    def encode(self, table: Any) -> AdLog:  # noqa: ANN401
        """Return a table, or an `AdLog`, coded as the model knows it."""
        self._check_fitted()
        return table if isinstance(table, AdLog) else AdLog.read(table, self.coding)

    def score(self, table: Any) -> AdScores:  # noqa: ANN401
        """Return what is likely to come of each row.

        Args:
            table: user, ad and the feature columns of the training; users and ads may be new.

        Raises:
            ConfigError: nothing is fitted.
            DataError: a column of the training is not there.
        """
        log = self.encode(table)
        n = len(log)
        click = np.ones(n) if self.click is None else _checked(self.click.probabilities(log))
        if self.conversion is None:
            return AdScores(click, None, None)
        conversion = _checked(self.conversion.probabilities(log))
        return AdScores(click, conversion, click * conversion)

    def rank(
        self,
        user: Id | None = None,
        *,
        bids: Mapping[Id, int],
        k: int = 10,
        pays_for: PaysFor = "click",
        user_columns: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        shown: Iterable[Shown] = (),
        caps: Sequence[FrequencyCap] = (),
        exclusions: Sequence[Exclusion] = (),
        now: float | None = None,
        explore_share: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> list[RankedAd]:
        """Return the ads that are worth most on one occasion, best first.

        Args:
            user: id; None or an unknown one is a stranger.
            bids: ad → bid in millionths of the currency; who has no bid is not shown.
            k: length of the list.
            pays_for: what the bids are paid for.
            user_columns: column → value of a stranger; of a known user the columns are known.
            context: column → value of the occasion.
            shown: what this user saw, for the caps.
            caps: most impressions of one ad to one user.
            exclusions: which ads must not be shown on which occasions.
            now: seconds since 1970, for the caps.
            explore_share: share of the places that go to ads of whose worth the model is unsure, by
                Thompson sampling; `propensity` says how likely each was, see
                `warmstart.meta.exploring`.
            rng: draws what is explored.

        Raises:
            ConfigError: nothing is fitted, k is below 1, caps without `now`, or a rule names what
                the model does not know.
            DataError: a bid is negative, or a column is one that training has not seen.
            UnknownItemError: an ad that the model does not know has a bid; `add_ads` adds it.
        """
        self._check_fitted()
        check_bids(bids)
        share = checked_share(explore_share)
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}")
        ads = self._known(bids)
        log = self._occasion(user, ads, user_columns or {}, context or {})
        bid = np.array([float(b) for b in bids.values()])
        scores = self.score(log)
        worth = expected_value_micros(bid, scores.click, scores.conversion, pays_for)
        barred = self._barred(log, ads, list(bids), shown, caps, exclusions, now)
        worth = np.where(barred, -np.inf, worth)
        order = np.argsort(-worth, kind="stable")
        listed: IntArray = order[: min(k, int((~barred).sum()))]
        propensity, new = np.ones(len(listed)), np.zeros(len(listed), bool)
        if share:
            spread = self._spread(log, bid, scores, pays_for)
            draws = rng if rng is not None else np.random.default_rng()
            found = explore(listed[None], worth[None], spread[None], share, draws)
            listed, propensity, new = found.items[0], found.propensity[0], found.new[0]
        return [
            RankedAd(
                rank,
                self.coding.ads[int(ads[at])],
                float(worth[at]),
                float(bid[at]),
                float(scores.click[at]),
                None if scores.conversion is None else float(scores.conversion[at]),
                float(chance),
                bool(fresh),
            )
            for rank, (at, chance, fresh) in enumerate(
                zip(listed, propensity, new, strict=True), start=1
            )
        ]

    def update(self, events: Any) -> Self:  # noqa: ANN401
        """Learn from further events at once, without training; new users and ads are met.

        A click or a conversion may be told later than its impression: leave the cell of the other
        label empty, so that nothing is counted twice.

        Args:
            events: rows with the columns of the training log.

        Raises:
            ConfigError: nothing is fitted.
            DataError: a label is not 0 or 1, or a column of the training is not there.
        """
        self._check_fitted()
        log = events if isinstance(events, AdLog) else None
        if isinstance(events, list) and len(events) == 1 and isinstance(events[0], Mapping):
            log = AdLog.of_event(events[0], self.coding)
        if log is None:
            log = AdLog.read(events, self.coding, meet=True)
            self._meet(log)
        if self.click is not None:
            told = ~np.isnan(log.click)
            if told.any():
                self.click.update(log.take(told), label="click")
        if self.conversion is not None and log.conversion is not None:
            told = ~np.isnan(log.conversion) & (log.click != 0)
            if told.any():
                self.conversion.update(log.take(told), label="conversion")
        return self

    def add_ads(self, table: Any) -> Self:  # noqa: ANN401
        """Add ads that nobody has seen; their columns say what to expect of them.

        Args:
            table: the ad column of the training and the ads' feature columns.

        Raises:
            ConfigError: nothing is fitted.
            DataError: a column is not there, or an ad is known already or given twice.
        """
        self._check_fitted()
        self._meet(AdLog.of_ads(table, self.coding))
        return self

    def save(self, path: str | Path, *, created: str | None = None) -> Path:
        """Write the model to a folder of plain data; see `warmstart.ads.artifact`.

        Raises:
            ConfigError: nothing is fitted.
            ArtifactError: the folder cannot be written, or holds something else.
        """
        from warmstart.ads.artifact import save

        self._check_fitted()
        return save(self, path, created=created)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; needs NumPy alone.

        Raises:
            ArtifactError: there is no model, or it is damaged, hostile, or newer than this code.
        """
        from warmstart.ads.artifact import load

        return load(path, cls)

    def on_occasions(self, log: AdLog, rows: IntArray, ads: IntArray) -> AdLog:
        """Return a log in which other ads are shown: `ads[i]` on the occasion of `rows[i]`."""
        own = {name: codes[ads] for name, codes in self.ad_fields.items()}
        fields = {n: own[n] if n in own else codes[rows] for n, codes in log.fields.items()}
        return AdLog(
            log.user[rows], ads, np.full(len(ads), np.nan), None, None, None, None,
            MappingProxyType(fields), log.coding,
        )  # fmt: skip

    def _check_fitted(self) -> None:
        if self.click is None and self.conversion is None:
            raise ConfigError("nothing is fitted yet; call fit, or load a model")

    def _known(self, bids: Mapping[Id, int]) -> IntArray:
        ads = self.coding.ads.find(list(bids))
        if (ads < 0).any():
            self.coding.ads.index(list(bids)[int(np.argmax(ads < 0))])  # raises, with proposals
        if len(np.unique(ads)) < len(ads):
            raise DataError("an ad has two bids, spelled as number and as text; give one")
        return ads

    def _occasion(
        self, user: Id | None, ads: IntArray, user_columns: Mapping[str, Any],
        context: Mapping[str, Any],
    ) -> AdLog:  # fmt: skip
        """Return one row per ad."""
        n = len(ads)
        fields: dict[str, IntArray] = {}
        for role, given in (("user", user_columns), ("context", context)):
            one = self.coding.encode_one(role, given)  # type: ignore[arg-type]
            fields |= {name: np.full(n, int(code[0])) for name, code in one.items()}
        fields |= {name: codes[ads] for name, codes in self.ad_fields.items()}
        ordered = {name: fields[name] for name in self.coding.sizes}
        who = -1 if user is None else self.coding.users.place(user)
        return AdLog(
            np.full(n, who), ads, np.full(n, np.nan), None, None, None, None,
            MappingProxyType(ordered), self.coding,
        )  # fmt: skip

    def _barred(
        self, log: AdLog, ads: IntArray, names: Sequence[Id], shown: Iterable[Shown],
        caps: Sequence[FrequencyCap], exclusions: Sequence[Exclusion], now: float | None,
    ) -> npt.NDArray[np.bool_]:  # fmt: skip
        barred = np.zeros(len(ads), bool)
        if caps:
            if now is None:
                raise ConfigError("frequency caps need now=, in seconds since 1970")
            full = self.coding.ads.find(list(capped(shown, caps, now=now)))
            barred |= np.isin(ads, full[full >= 0])
        if exclusions:
            own = {name: codes[ads] for name, codes in self.ad_fields.items()}
            occasion = {
                n: codes[:1] for r in ROLES if r != "ad" for n, codes in log.fields_of(r).items()
            }
            barred |= excluded(exclusions, self.coding, own, occasion)
        return barred

    def _spread(self, log: AdLog, bid: Numbers, scores: AdScores, pays_for: PaysFor) -> Numbers:
        """Return (n,) standard deviation of the worth: the logits' by the delta method."""
        if pays_for == "impression":
            return np.zeros(len(log))
        sd = np.zeros(len(log))
        if self.click is not None:
            sd = (1 - scores.click) * self.click.spread(log)
        if pays_for == "conversion" and self.conversion is not None:
            assert scores.conversion is not None
            sd = np.hypot(sd, (1 - scores.conversion) * self.conversion.spread(log))
        return expected_value_micros(bid, scores.click, scores.conversion, pays_for) * sd

    def _meet(self, log: AdLog) -> None:
        """Take in the users and ads of a log that the model does not know yet."""
        n_ads, n_users = len(self.coding.ads), len(self.coding.users)
        fresh_ads = _last_rows(log.ad, n_ads, len(log.coding.ads))
        fresh_users = _last_rows(log.user, n_users, len(log.coding.users))
        ids = list(log.coding.ads.values[n_ads:].to_pylist())
        ads_first = self.coding.with_ads(ids)
        for model in (self.click, self.conversion):
            if model is not None and len(fresh_ads):
                model.add_ads(ads_first, log.take(fresh_ads))
            if model is not None and len(fresh_users):
                model.add_users(log.coding, log.take(fresh_users))
        for name, codes in log.fields_of("ad").items():
            self.ad_fields[name] = np.concatenate([self.ad_fields[name], codes[fresh_ads]])
        self.coding = log.coding


def fingerprint(log: AdLog) -> str:
    """Return a hash of who was shown what with which outcome: tells a log from another."""
    digest = hashlib.sha256()
    for values in (log.user, log.ad, log.click):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _last_rows(codes: IntArray, begin: int, end: int) -> IntArray:
    """Return the last row of each code from begin to below end, in the order of the codes."""
    rows = np.full(end - begin, -1)
    new = np.flatnonzero(codes >= begin)
    rows[codes[new] - begin] = new
    return rows


def _last(codes: IntArray, fields: Mapping[str, IntArray], n: int) -> dict[str, IntArray]:
    rows = _last_rows(codes, 0, n)
    return {name: np.where(rows < 0, -1, values[rows]) for name, values in fields.items()}


def _checked(probability: Any) -> Numbers:  # noqa: ANN401
    found: Numbers = np.asarray(probability, np.float64)
    return np.clip(found, 0.0, 1.0)
