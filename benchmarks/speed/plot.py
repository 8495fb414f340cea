"""Three small panels: seconds against users, items and shots, with the lines nearest to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.edgecolor": "#B0B0B0",
    "axes.labelcolor": "#333333",
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "svg.fonttype": "none",
    "svg.hashsalt": "warmstart",
}


def plot_cost(cost: dict[str, Any], threads: int, path: Path) -> None:
    """Draw the cost and save it as SVG."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.0, 2.1))
        for place, (name, found) in enumerate(cost.items()):
            axes = figure.add_axes((0.065 + 0.325 * place, 0.19, 0.265, 0.66))
            ends = [0, max(found["x"])]
            fitted = [found["start_seconds"] + found["slope_seconds"] * x for x in ends]
            axes.plot(ends, fitted, color="#C4762E", linewidth=0.9, zorder=1)
            axes.plot(found["x"], found["seconds"], "o", color="#0B4F8A", markersize=3.4)
            axes.set_xlim(0)
            axes.set_ylim(0)
            axes.locator_params(nbins=5)
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
            axes.tick_params(length=2, width=0.6, pad=2)
            fixed = [f"{found[other]:,} {other}" for other in cost if other != name]
            axes.set_title(", ".join(fixed), loc="left", fontsize=7, color="#333333")
            axes.set_xlabel(name, labelpad=2)
            if not place:
                axes.set_ylabel(f"seconds, {threads} thread{'s' * (threads > 1)}", labelpad=3)
        figure.savefig(path, metadata={"Date": None})
