"""What may be shown to whom, and which of it is worth most.

The worth of showing an ad is its bid times the probability of what the bid pays for. How fast an
advertiser's budget is spent (pacing) is not decided here: whoever paces lowers a bid or leaves it
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from warmstart.ads.coding import Coding
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import IntArray
from warmstart.data.cells import numbers
from warmstart.data.ids import Id

Numbers = npt.NDArray[np.float64]
PaysFor = Literal["impression", "click", "conversion"]


class FrequencyCap(Config):
    """Show no ad to one user more often than this.

    Attributes:
        most: impressions of one ad.
        within_seconds: of the last so many seconds.
    """

    most: int = Field(ge=1)
    within_seconds: float = Field(gt=0)


class Exclusion(Config):
    """Show no ad of this kind on occasions of that kind.

    Attributes:
        ad: column of the ads → values; an ad is meant if it has one of them in every column.
        when: column of users or occasions → values; empty: always.

    Example:
        >>> Exclusion(ad={"category": ["alcohol"]}, when={"age": ["under 18"]}).ad
        {'category': ('alcohol',)}
    """

    ad: dict[str, tuple[str, ...]] = Field(min_length=1)
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """One impression that a user had.

    Attributes:
        ad: its id.
        timestamp: seconds since 1970.
    """

    ad: Id
    timestamp: float


def capped(shown: Iterable[Shown], caps: Iterable[FrequencyCap], *, now: float) -> set[Id]:
    """Return the ads that a user has seen as often as a cap allows.

    Args:
        shown: what the user saw.
        caps: all of which hold.
        now: seconds since 1970.

    Example:
        >>> seen = [Shown("a", 10.0), Shown("a", 95.0), Shown("b", 99.0)]
        >>> capped(seen, [FrequencyCap(most=2, within_seconds=60)], now=100.0)
        set()
        >>> capped(seen, [FrequencyCap(most=2, within_seconds=91)], now=100.0)
        {'a'}
    """
    seen, full = list(shown), set()
    for cap in caps:
        counts: dict[Id, int] = {}
        for one in seen:
            if now - cap.within_seconds < one.timestamp <= now:
                counts[one.ad] = counts.get(one.ad, 0) + 1
        full |= {ad for ad, n in counts.items() if n >= cap.most}
    return full


def excluded(
    rules: Iterable[Exclusion],
    coding: Coding,
    ad_fields: Mapping[str, IntArray],
    occasion: Mapping[str, IntArray],
) -> npt.NDArray[np.bool_]:
    """Return (ads,) which ads must not be shown on one occasion.

    Args:
        rules: any of which excludes.
        coding: the vocabularies.
        ad_fields: field → (ads,) codes.
        occasion: field → (1,) codes of the user and the context.

    Raises:
        ConfigError: a rule names a column or a value that there is not.
    """
    n = len(next(iter(ad_fields.values()), ()))
    out = np.zeros(n, bool)
    for rule in rules:
        meant = np.ones(n, bool)
        for column, values in rule.ad.items():
            meant &= _matches(coding, ("ad",), column, values, ad_fields)
        for column, values in rule.when.items():
            meant &= bool(_matches(coding, ("user", "context"), column, values, occasion).any())
        out |= meant
    return out


def _matches(
    coding: Coding,
    roles: tuple[Literal["user", "ad", "context"], ...],
    column: str,
    values: tuple[str, ...],
    fields: Mapping[str, IntArray],
) -> npt.NDArray[np.bool_]:
    blocks = {b.column: b for role in roles for b in coding.space(role).blocks}
    if column not in blocks:
        raise ConfigError(
            f"an exclusion names the {' or '.join(roles)} column {column!r}; the model knows: "
            f"{', '.join(blocks) or 'none'}"
        )
    block = blocks[column]
    unknown = [value for value in values if value not in block.values]
    if unknown:
        raise ConfigError(
            f"an exclusion names {column}={unknown[0]!r}, which training has not seen; its values "
            f"are: {', '.join(block.values[:20]) or 'bins of numbers, which no rule can name'}"
        )
    if block.kind == "multi-category":
        has = [fields[f"{column}={value}"] == 1 for value in values]
        return np.asarray(np.any(has, axis=0), bool)
    codes = [block.values.index(value) for value in values]
    return np.asarray(np.isin(fields[column], codes), bool)


def check_bids(bids: Mapping[Id, int]) -> None:
    """Refuse bids that nobody can mean.

    Raises:
        DataError: there is none, or one is negative or not a finite number.
    """
    if not bids:
        raise DataError("no ad has a bid; give ad → bid_micros, at least one")
    for ad, bid in bids.items():
        number = isinstance(bid, int | float | np.number) and not isinstance(bid, bool)
        if not number or not np.isfinite(bid) or bid < 0:
            raise DataError(
                f"the bid of ad {ad!r} is {bid!r}; give millionths of the currency, 0 or more"
            )


def check_bid_column(column: pa.ChunkedArray) -> Numbers:
    """Return (n,) bids of a table.

    Raises:
        DataError: one is missing, negative or not a finite number.
    """
    bids = numbers(column)
    bad = ~(np.isfinite(bids) & (bids >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"the bid of row {row} is {column[row].as_py()!r} ({int(bad.sum())} of {len(bad)} are "
            "bad); give millionths of the currency, 0 or more"
        )
    return bids


def expected_value_micros(
    bid_micros: Numbers, click: Numbers, conversion: Numbers | None, pays_for: PaysFor
) -> Numbers:
    """Return (n,) bid × probability of what it pays for.

    Args:
        bid_micros: (n,) in millionths of the currency.
        click: (n,) probability of a click.
        conversion: (n,) probability of a conversion after a click, if there is a model of it.
        pays_for: what the bid is paid for.

    Raises:
        ConfigError: bids pay for conversions, of which nothing was learned.

    Example:
        >>> bids, click = np.array([2e6, 1e6]), np.array([0.1, 0.3])
        >>> conversion = np.array([0.5, 0.1])
        >>> expected_value_micros(bids, click, None, "click").round().tolist()
        [200000.0, 300000.0]
        >>> expected_value_micros(bids, click, conversion, "conversion").round().tolist()
        [100000.0, 30000.0]
    """
    if pays_for == "impression":
        return bid_micros
    if pays_for == "click":
        return bid_micros * click
    if conversion is None:
        raise ConfigError(
            "bids for conversions need a model of conversions; train on a log that has them"
        )
    return bid_micros * click * conversion
