"""The comparison as a picture: requests per second of every server, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.rows import Row

__all__ = ["draw"]

_OURS, _THEIRS = "#2463a8", "#9aa5b1"


def draw(rows: Sequence[Row], to: Path) -> None:
    """One bar per server: the random forest, one row, 8 connections; whiskers from smallest to largest."""
    wanted = [row for row in rows if row.name.endswith((", random forest, 8 connections", ", V1, 8 connections"))]
    best = {row.name.split(",")[0]: row for row in wanted if not row.name.startswith(("hello", "turnout, "))}
    shown = sorted(best.items(), key=lambda item: item[1].value)
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(shown) + 1.2))
    values = [row.value for _, row in shown]
    whiskers = [[row.value - row.spread[0] for _, row in shown], [row.spread[1] - row.value for _, row in shown]]
    colours = [_OURS if name == "turnout" else _THEIRS for name, _ in shown]
    axes.barh([name for name, _ in shown], values, color=colours, xerr=whiskers, error_kw={"ecolor": "#444", "lw": 1})
    for position, value in enumerate(values):
        axes.annotate(f"{value:,.0f}", (value, position), textcoords="offset points", xytext=(12, 0), va="center")
    axes.set_xscale("log")
    axes.set_xlim(right=max(values) * 4)
    axes.set_xlabel("requests per second, random forest of 100, one row, one process, 8 connections (log)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(to, metadata={"Date": None} if to.suffix == ".svg" else None)
    plt.close(figure)
