"""The comparison as a picture: requests per second of every server, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.rows import Row

__all__ = ["compared", "draw"]

_OURS, _THEIRS = "#2463a8", "#69747f"
_SETTINGS = (", random forest, 8 connections", ", V1, 8 connections")  # the later one is the longer measurement
_NO_SERVERS = ("hello", "turnout, no batching")


def compared(rows: Sequence[Row]) -> dict[str, Row]:
    """The random forest, one row, 8 connections: a server's name and its figure, the slowest first."""
    found: dict[str, Row] = {}
    for setting in _SETTINGS:
        found |= {row.name.removesuffix(setting): row for row in rows if row.name.endswith(setting)}
    servers = {name: row for name, row in found.items() if name not in _NO_SERVERS}
    return dict(sorted(servers.items(), key=lambda item: item[1].value))


def draw(rows: Sequence[Row], to: Path) -> None:
    """One point per server with whiskers from smallest to largest."""
    shown = compared(rows)
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(shown) + 1.0))
    for position, (name, row) in enumerate(shown.items()):
        colour = _OURS if name.startswith("turnout") else _THEIRS
        # Rounding may put the median a hair outside of what was seen.
        whiskers = [[max(row.value - row.spread[0], 0)], [max(row.spread[1] - row.value, 0)]]
        axes.errorbar(row.value, position, xerr=whiskers, fmt="o", color=colour, capsize=3)
        axes.annotate(
            f"{row.value:,.0f}", (row.spread[1], position), textcoords="offset points", xytext=(8, 0), va="center"
        )
    axes.set_yticks(range(len(shown)), list(shown))
    axes.set_xscale("log")
    axes.set_xlim(right=max(row.value for row in shown.values()) * 2.5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="x", color="#dde2e7")
    axes.set_axisbelow(True)
    axes.set_xlabel("requests per second, random forest of 100, one row, one process, 8 connections (log)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(to, metadata={"Date": None} if to.suffix == ".svg" else None)
    plt.close(figure)
