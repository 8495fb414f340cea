"""k-shot curves with confidence bands, made for one column of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from warmstart.core.errors import DataError, MissingExtraError
from warmstart.evaluation.report import Report, Row

_NAMES = {
    "default": "warmstart",
    "popularity": "Popularity",
    "random": "Chance",
    "itemknn": "Item-kNN",
    "ease": "EASE",
    "ials": "iALS",
    "multvae": "Mult-VAE",
    "itemmean": "Item mean",
}
_OURS = "#0B4F8A"
_OTHERS = ("#C4762E", "#4E8B63", "#8A6BAE", "#A8475A", "#5E9AA8", "#9A8C3C")
_GREY = "#8A8A8A"
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.edgecolor": "#B0B0B0",
    "axes.labelcolor": "#333333",
    "axes.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def plot_shots(
    report: Report,
    path: str | Path,
    *,
    metric: str = "nDCG@10",
    title: str | None = None,
    width_inches: float = 3.5,
) -> None:
    """Draw one line a method over the number of shots, with its 95 % band, and save it.

    The first method of the report is emphasised, its shuffled-support control is its own dotted
    line, and every line is named at its end. Numbers of shots stand at equal distances.

    Args:
        report: a comparison; its pooled rows are drawn.
        path: where to save; the ending chooses the format (png, pdf, svg).
        metric: which metric.
        title: above the plot; by default the data set, scenario and number of tasks.
        width_inches: of the figure; 3.5 is a column.

    Raises:
        DataError: the report has no pooled row of this metric.
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", extra="compare") from None
    rows = [row for row in report.rows if row.metric == metric and row.split == "all"]
    if not rows:
        known = sorted({row.metric for row in report.rows})
        raise DataError(f"the report has no metric {metric!r}; it has {', '.join(known)}")
    shots = sorted({row.shots for row in rows})
    place = {k: i for i, k in enumerate(shots)}
    methods = list(dict.fromkeys(row.method for row in rows))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width_inches, 0.74 * width_inches), dpi=300)
        longest = max(len(part) for m in methods for part in _label(m, methods).split("\n"))
        left, right = 0.44 / width_inches, (0.16 + 0.062 * longest) / width_inches
        axes = figure.add_axes((left, 0.135, 1 - left - right, 0.765))
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        ends = []
        for order, method in enumerate(methods):
            line = sorted((r for r in rows if r.method == method), key=lambda r: r.shots)
            look = _look(method, methods)
            _draw(axes, line, place, look, above=10 - order)
            ends.append((line[-1].mean, _label(method, methods), look))
        axes.set_xticks(range(len(shots)), [str(k) for k in shots])
        axes.locator_params(axis="y", nbins=6)
        axes.tick_params(length=2, width=0.6, pad=2)
        axes.set_xlim(-0.15, len(shots) - 1 + 0.08)
        axes.set_xlabel("shots (interactions known of a new user)", labelpad=2)
        axes.set_ylabel(metric, labelpad=3)
        caption = _caption(report, rows[0]) if title is None else title
        axes.set_title(caption, loc="left", fontsize=7, color="#333333", pad=5)
        _name_lines(axes, ends, end=place[shots[-1]])
        figure.savefig(path, metadata={"Software": None} if str(path).endswith("png") else None)


def _draw(
    axes: Any,  # noqa: ANN401  (matplotlib comes untyped here)
    line: Sequence[Row],
    place: dict[int, int],
    look: dict[str, Any],
    above: int,
) -> None:
    x = [place[row.shots] for row in line]
    axes.plot(x, [row.mean for row in line], zorder=above + 10, clip_on=False, **look)
    banded = [row for row in line if row.ci_low is not None and row.ci_high is not None]
    axes.fill_between(
        [place[row.shots] for row in banded],
        [row.ci_low for row in banded],
        [row.ci_high for row in banded],
        color=look["color"],
        alpha=0.16 if look["linewidth"] > 1.5 else 0.07,
        linewidth=0,
        zorder=above,
    )


def _look(method: str, methods: Sequence[str]) -> dict[str, Any]:
    round_ends = {"solid_capstyle": "round", "markeredgewidth": 0}
    if method == methods[0]:
        return round_ends | {"color": _OURS, "linewidth": 1.9, "marker": "o", "markersize": 3.6}
    thin = round_ends | {"linewidth": 0.95, "marker": "o", "markersize": 2}
    if method.startswith(methods[0]):  # its shuffled-support control
        return thin | {"color": _OURS, "linestyle": (0, (1, 1.6)), "marker": ""}
    if method in ("popularity", "random", "itemmean"):
        return thin | {"color": _GREY, "linestyle": "-" if method == "popularity" else "--"}
    rank = [m for m in methods[1:] if m not in ("popularity", "random", "itemmean")].index(method)
    return thin | {"color": _OTHERS[rank % len(_OTHERS)]}


def _label(method: str, methods: Sequence[str]) -> str:
    if method != methods[0] and method.startswith(methods[0]):
        return "shuffled\nsupport"
    return _NAMES.get(method, method)


def _caption(report: Report, row: Row) -> str:
    data = report.run.get("dataset", "")
    parts = [str(data), row.scenario.replace("-", " ").replace("user cold", "cold users")]
    return ", ".join([p for p in parts if p]) + f" ({row.tasks:,} tasks)"


def _name_lines(
    axes: Any,  # noqa: ANN401
    ends: Sequence[tuple[float, str, dict[str, Any]]],
    end: int,
) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    points = 72 * axes.figure.get_size_inches()[1] * axes.get_position().height
    unit = (high - low) / points  # one point, in data units
    ends = sorted(ends, key=lambda e: e[0])
    heights = [7.6 * unit * (1 + label.count("\n")) for _, label, _ in ends]
    spots = spread([value for value, *_ in ends], heights)
    shift = max(0.0, spots[-1] + heights[-1] / 2 - high) if spots else 0.0
    for (value, label, look), spot in zip(ends, spots, strict=True):
        ours = look["linewidth"] > 1.5
        axes.annotate(
            label,
            xy=(end, value),
            xytext=(end + 0.36, spot - shift),
            color=look["color"],
            fontweight="bold" if ours else "normal",
            fontsize=7,
            va="center",
            linespacing=0.95,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look["color"],
                "linewidth": 0.4,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return the places nearest to `wanted` (ascending) at which labels do not overlap.

    Least squares under "each label clears the one below" is isotonic regression of the places
    less the room below them; pooling adjacent violators solves it exactly.

    Example:
        >>> spread([0.0, 0.5, 5.0], [1.0, 1.0, 1.0])
        [-0.25, 0.75, 5.0]
    """
    room = [0.0]
    for below, above in pairwise(heights):
        room.append(room[-1] + (below + above) / 2)
    blocks: list[list[float]] = []
    for place, offset in zip(wanted, room, strict=False):
        blocks.append([place - offset])
        while len(blocks) > 1 and _centre(blocks[-2]) > _centre(blocks[-1]):
            last = blocks.pop()
            blocks[-1].extend(last)
    levels = [_centre(block) for block in blocks for _ in block]
    return [level + offset for level, offset in zip(levels, room, strict=False)]


def _centre(block: Sequence[float]) -> float:
    return sum(block) / len(block)
