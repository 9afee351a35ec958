"""The picture of a canary being decided: who got which share, and what was known about the effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.demo.watching import Sample

__all__ = ["canary"]

_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756")
_MARKED = {
    "adopt": ("first champion", "#555555"),
    "promote": ("promoted", "#2e7d32"),
    "rollback": ("rolled back", "#c62828"),
    "revert": ("reverted", "#c62828"),
    "hold": ("held", "#8a6d00"),
    "expire": ("expired", "#c62828"),
}


def canary(samples: Sequence[Sample], audit: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write an SVG: shares over time above, effect of the challenger with its always-valid interval below."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    with plt.rc_context(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "turnout"}
    ):
        figure, (shares, effect) = plt.subplots(2, 1, sharex=True, figsize=(9, 4.6), height_ratios=(1, 1.1))
        versions = sorted({version for sample in samples for version in sample.weights})
        colours = dict(zip(versions, _COLOURS * len(versions), strict=False))
        _shares(shares, samples, versions, colours)
        _effects(effect, samples, colours)
        _marks(shares, effect, audit, _clock(samples, audit))
        effect.set_xlabel("seconds of the demo")
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _shares(axes: Any, samples: Sequence[Sample], versions: Sequence[str], colours: Mapping[str, str]) -> None:
    times = [sample.seconds for sample in samples]
    shares = [[sample.weights.get(version) or 0 for sample in samples] for version in versions]
    # A share holds until the next change: steps, not slopes.
    axes.stackplot(times, shares, labels=versions, colors=[colours[v] for v in versions], step="post", alpha=0.85)
    axes.set_ylabel("share of requests, %")
    axes.set_ylim(0, 100)
    axes.legend(loc="center left", frameon=True, fontsize=8)


def _effects(axes: Any, samples: Sequence[Sample], colours: Mapping[str, str]) -> None:
    axes.axhline(0, color="#888888", linewidth=0.8)
    for version in {sample.challenger for sample in samples if sample.challenger}:
        tested = [s for s in samples if s.challenger == version and s.verdict.get("effect") is not None]
        times = [s.seconds for s in tested]
        axes.plot(times, [s.verdict["effect"] for s in tested], color=colours.get(version, "#333333"), linewidth=1.6)
        low, high = ([s.verdict["interval"][side] for s in tested] for side in (0, 1))
        axes.fill_between(times, low, high, color=colours.get(version, "#333333"), alpha=0.2, step="post")
    axes.set_ylabel("effect on accuracy,\nalways-valid interval")
    axes.set_ylim(-1, 1)


def _clock(samples: Sequence[Sample], audit: Sequence[Mapping[str, Any]]) -> float:
    """The demo's second zero in microseconds of the audit: the first champion is seen by both."""
    adopted = next((row for row in audit if row["action"] == "adopt"), None)
    seen = next((sample for sample in samples if sample.champion), None)
    return adopted["time_us"] - seen.seconds * 1e6 if adopted and seen else 0.0


def _marks(upper: Any, lower: Any, audit: Sequence[Mapping[str, Any]], zero_us: float) -> None:
    for row in audit:
        if row["action"] not in _MARKED:
            continue
        word, colour = _MARKED[row["action"]]
        seconds = (row["time_us"] - zero_us) / 1e6
        for axes in (upper, lower):
            axes.axvline(seconds, color=colour, linewidth=1, linestyle="--")
        lower.annotate(
            f"{row['data']['version']}\n{word}",
            (seconds, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            va="top",
        )
