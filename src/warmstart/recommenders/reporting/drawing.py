"""Charts of a report as plain SVG and HTML: no script, no file beside the page.

Lines come in three sizes, of which the page shows the one that fits, so that letters never shrink.
What is a share or a place lies on a track whose marks are placed in percent, so it fits anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from warmstart.evaluation.calibration import Reliability
from warmstart.evaluation.plot import spread

_LETTER = 7.1  # mean width of a letter of the labels, in pixels


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: stands at its end.
        kind: CSS class: "ours", "popularity", "control", or "other0", "other1", ….
        values: one a number of shots; NaN where there is none.
        low: lower ends of the band, or None.
        high: upper ends.
    """

    name: str
    kind: str
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def lines(
    drawn: Sequence[Line],
    shots: Sequence[int],
    *,
    said: str,
    axis: str,
    spelled: Callable[[float], str],
    level: tuple[str, float] | None = None,
) -> str:
    """Return a chart of lines over the numbers of shots, which stand at equal distances.

    Args:
        drawn: the most important first.
        shots: ascending.
        said: what the chart shows, for those who hear it.
        axis: below the numbers of shots.
        spelled: writes a value on the axis.
        level: a name and a value to draw across, such as what people like themselves.
    """
    sizes = (("wide", 990, 380), ("middle", 660, 330), ("narrow", 350, 300))
    return '<div class="chart">' + "".join(
        _lines(drawn, shots, said, axis, spelled, level, name, width, height)
        for name, width, height in sizes
    ) + "</div>"  # fmt: skip


def _lines(
    drawn: Sequence[Line],
    shots: Sequence[int],
    said: str,
    axis: str,
    spelled: Callable[[float], str],
    level: tuple[str, float] | None,
    size: str,
    width: int,
    height: int,
) -> str:
    names = [line.name for line in drawn] + ([level[0]] if level else [])
    left, top, bottom = 46, 14, 46
    right = 20 + _LETTER * max(_long(name) for name in names)
    ends = [v for line in drawn for part in (line.values, line.low or (), line.high or ())
            for v in part if math.isfinite(v)]  # fmt: skip
    ticks = _ticks(min([*ends, *([level[1]] if level else [])]),
                   max([*ends, *([level[1]] if level else [])]))  # fmt: skip
    low, high = ticks[0], ticks[-1]

    def x(at: int) -> float:
        return left + (width - left - right) * at / max(1, len(shots) - 1)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - (value - low) / (high - low))

    parts = []
    for tick in ticks:
        parts.append(f'<path class="rule" d="M{left} {y(tick):.1f}H{width - right:.1f}"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{spelled(tick)}</text>'
        )
    for at, k in enumerate(shots):
        parts.append(
            f'<text x="{x(at):.1f}" y="{height - bottom + 20}" text-anchor="middle">{k}</text>'
        )
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{height - 6}" text-anchor="middle">{axis}</text>')
    if level:
        parts.append(f'<path class="level" d="M{left} {y(level[1]):.1f}H{width - right:.1f}"/>')
    labels: list[tuple[float, str, str]] = []
    for line in reversed(drawn):
        there = [i for i, v in enumerate(line.values) if math.isfinite(v)]
        if not there:
            continue
        if line.low is not None and line.high is not None:
            over = [f"{x(i):.1f} {y(line.high[i]):.1f}" for i in there]
            under = [f"{x(i):.1f} {y(line.low[i]):.1f}" for i in reversed(there)]
            parts.append(f'<path class="band {line.kind}" d="M{"L".join(over + under)}Z"/>')
        path = "L".join(f"{x(i):.1f} {y(line.values[i]):.1f}" for i in there)
        parts.append(f'<path class="line {line.kind}" d="M{path}"/>')
        if line.kind == "ours":
            parts += [
                f'<circle class="ours" cx="{x(i):.1f}" cy="{y(line.values[i]):.1f}" r="4"/>'
                for i in there
            ]
        labels.append((y(line.values[there[-1]]), line.name, line.kind))
    if level:
        labels.append((y(level[1]), level[0], "level"))
    labels.sort(key=lambda one: one[0])
    places = spread([at for at, *_ in labels], [16.0] * len(labels))
    shift = max(0.0, places[-1] - (height - bottom)) if places else 0.0
    parts += [
        f'<text class="name {kind}" x="{width - right + 10:.1f}" y="{at - shift + 4:.1f}">'
        f"{escape(name)}</text>"
        for at, (_, name, kind) in zip(places, labels, strict=True)
    ]
    return (
        f'<svg class="{size}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(said)}">{"".join(parts)}</svg>'
    )


def track(
    *,
    scale: tuple[float, float] = (0.0, 1.0),
    band: tuple[float, float] | None = None,
    first: float | None = None,
    last: float | None = None,
    truth: float | None = None,
    joined: bool = True,
) -> str:
    """Return a track with a ring (before), a dot (after), a bar (the truth) and an interval.

    Args:
        scale: values at its two ends.
        band: an interval.
        first: where the ring stands.
        last: where the dot stands.
        truth: where the upright bar stands.
        joined: whether ring and dot are joined.
    """

    def at(value: float) -> float:
        share = (value - scale[0]) / ((scale[1] - scale[0]) or 1.0)
        return 100 * min(1.0, max(0.0, share))

    parts = []
    if band is not None:
        low, high = at(band[0]), at(band[1])
        parts.append(f'<i class="band" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>')
    if joined and first is not None and last is not None:
        low, high = sorted((at(first), at(last)))
        parts.append(f'<i class="way" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>')
    for kind, value in (("truth", truth), ("first", first), ("last", last)):
        if value is not None and math.isfinite(value):
            parts.append(f'<i class="{kind}" style="left:{at(value):.2f}%"></i>')
    return f'<span class="track" aria-hidden="true">{"".join(parts)}</span>'


def bar(share: float, kind: str = "") -> str:
    """Return a bar as long as a share."""
    if not math.isfinite(share):
        return ""
    width = 100 * min(1.0, max(0.0, share))
    return f'<span class="bar {kind}" aria-hidden="true"><i style="width:{width:.2f}%"></i></span>'


def reliability_plot(
    series: Sequence[tuple[str, Reliability]], *, said: str, axes: tuple[str, str]
) -> str:
    """Return what was said against what happened, both in powers of ten.

    Args:
        series: CSS class and diagram; the last lies on top.
        said: what the chart shows, for those who hear it.
        axes: names of the two.
    """
    size, left, bottom, top = 340, 62, 46, 12
    values = np.concatenate([np.concatenate([r.said, r.happened]) for _, r in series])
    values = values[values > 0]
    low = math.floor(math.log10(max(float(values.min()), 1e-6))) if len(values) else -4
    high = math.ceil(math.log10(float(values.max()))) if len(values) else 0
    high = max(high, low + 1)

    def at(value: float) -> float:
        power = math.log10(max(value, 10.0**low))
        return (power - low) / (high - low)

    def x(value: float) -> float:
        return left + (size - left - 14) * at(value)

    def y(value: float) -> float:
        return top + (size - top - bottom) * (1 - at(value))

    parts = [
        f'<path class="level" d="M{x(10.0**low):.1f} {y(10.0**low):.1f}'
        f'L{x(10.0**high):.1f} {y(10.0**high):.1f}"/>'
    ]
    for power in range(low, high + 1):
        v, text = 10.0**power, _percent(power)
        parts.append(f'<path class="rule" d="M{left} {y(v):.1f}H{size - 14}"/>')
        parts.append(f'<text x="{left - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{text}</text>')
        parts.append(
            f'<text x="{x(v):.1f}" y="{size - bottom + 20}" text-anchor="middle">{text}</text>'
        )
    parts.append(
        f'<text x="{(left + size - 14) / 2}" y="{size - 6}" text-anchor="middle">{axes[0]}</text>'
    )
    parts.append(
        f'<text transform="translate(13 {(size - bottom + top) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{axes[1]}</text>'
    )
    for kind, found in series:
        points = [(x(a), y(b)) for a, b in zip(found.said, found.happened, strict=True)]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path class="line {kind}" d="M{path}"/>')
        parts += [f'<circle class="{kind}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in points]
    return (
        f'<svg class="square" viewBox="0 0 {size} {size}" role="img" '
        f'aria-label="{escape(said)}">{"".join(parts)}</svg>'
    )


def _percent(power: int) -> str:
    return f"{10.0 ** (power + 2):g}%"


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers that hold all values between them."""
    span = max(high - low, 1e-9)
    raw = 10 ** math.floor(math.log10(span / 4))
    step = next(raw * m for m in (1, 2, 5, 10) if span / (raw * m) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]


def _long(name: str) -> float:
    """Return how many letters wide a name is; Chinese ones take two."""
    return sum(1.8 if ord(c) > 0x2E80 else 1.0 for c in name)
