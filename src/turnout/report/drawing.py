"""The picture of a rollout: shares, effect, label delay, errors and latency on one time axis, with every decision."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from turnout.report.gathering import Answer, Report

__all__ = ["picture"]

_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d")
_MARKED = {
    "adopt": ("first champion", "#555555"),
    "promote": ("promoted", "#2e7d32"),
    "rollback": ("rolled back", "#c62828"),
    "revert": ("reverted", "#c62828"),
    "hold": ("held", "#8a6d00"),
    "expire": ("expired", "#c62828"),
    "restore": ("route restored", "#8a6d00"),
}
_UNITS = ((172_800.0, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
_BINS = 60
_NEAR = 0.12  # of the axis: words of decisions closer than that stand below each other
_HEIGHTS = (0.98, 0.74, 0.38, 0.14)
_FEWEST = 5  # of a bin, for a quantile or a share to mean something


def picture(report: Report) -> str:
    """An SVG, to be put into a page or a file. An endpoint without any weights yet has none: an empty text."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    if not report.shares:
        return ""
    scale = _Scale(report)
    style: dict[Any, Any] = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "turnout",
    }
    with plt.rc_context(style):
        figure, panels = plt.subplots(5, 1, sharex=True, figsize=(9, 9.4), height_ratios=(1.1, 1.4, 0.8, 0.7, 0.8))
        for draw, axes in zip((_shares, _effects, _delays, _errors, _latencies), panels, strict=True):
            draw(axes, report, scale)
        _marks(panels, report, scale)
        panels[-1].set_xlabel(f"{scale.unit} since the first weights")
        figure.align_ylabels(panels)
        figure.tight_layout()
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        plt.close(figure)
    text = drawn.getvalue()
    return text[text.index("<svg") :]


class _Scale:
    """Microseconds since the epoch on an axis that begins with the first weights, in a unit that fits the span."""

    def __init__(self, report: Report) -> None:
        self.zero_us = report.shares[0][0]
        ends = [report.shares[-1][0], *(d["time_us"] for d in report.decisions)]
        ends += [units[-1].time_us for units in report.answers.values() if units]
        ends += [points[-1].time_us for points in report.effects.values() if points]
        self.end_us = max(ends)
        span_s = (self.end_us - self.zero_us) / 1e6
        self.per_unit_s, self.unit = next((size, name) for least, size, name in _UNITS if span_s >= least)
        versions = report.versions
        self.colours = {version: _COLOURS[i % len(_COLOURS)] for i, version in enumerate(versions)}

    def at(self, time_us: float) -> float:
        """Place on the axis."""
        return (time_us - self.zero_us) / 1e6 / self.per_unit_s

    def edges(self) -> Any:
        """Borders of the bins."""
        return np.linspace(self.zero_us, max(self.end_us, self.zero_us + 1), _BINS + 1)


def _shares(axes: Any, report: Report, scale: _Scale) -> None:
    times = [*(scale.at(time_us) for time_us, _ in report.shares), scale.at(scale.end_us)]
    weights = [*(weights for _, weights in report.shares), report.shares[-1][1]]
    rows = [[each.get(version, 0) for each in weights] for version in report.versions]
    colours = [scale.colours[version] for version in report.versions]
    # A share holds until the next change: steps, not slopes.
    axes.stackplot(times, rows, labels=report.versions, colors=colours, step="post", alpha=0.85)
    axes.set_ylabel("share of\nrequests, %")
    axes.set_ylim(0, 100)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, frameon=False, fontsize=8)


def _effects(axes: Any, report: Report, scale: _Scale) -> None:
    axes.axhline(0, color="#888888", linewidth=0.8)
    margin = report.policy.margin
    axes.axhline(-margin, color="#888888", linewidth=0.8, linestyle=":")
    for (_, challenger), points in report.effects.items():
        if not points:
            continue
        times, colour = [scale.at(point.time_us) for point in points], scale.colours.get(challenger, "#333333")
        axes.plot(times, [point.effect for point in points], color=colour, linewidth=1.6)
        low, high = [point.low for point in points], [point.high for point in points]
        axes.fill_between(times, low, high, color=colour, alpha=0.2, step="post")
        last = points[-1]
        axes.annotate(
            f"{last.labels} labels",
            (times[-1], last.effect),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            va="center",
        )
    axes.set_ylabel(f"effect on {report.policy.metric},\nalways-valid interval")
    # The first intervals say next to nothing; what they end in is what the eye is to measure.
    ends = [max(abs(points[-1].low), abs(points[-1].high)) for points in report.effects.values() if points]
    most = min(1.0, max(0.1, 1.5 * max(ends, default=1.0)))
    axes.set_ylim(-most, most)


def _delays(axes: Any, report: Report, scale: _Scale) -> None:
    """Median and 90 % of the delay from request to label, by the time of the request."""
    for version, labels in report.labels.items():
        known = [(label.time_us, label.delay_us / 1e6) for label in labels if label.delay_us is not None]
        colour = scale.colours[version]
        _quantile(axes, known, 0.5, scale, color=colour)
        _quantile(axes, known, 0.9, scale, color=colour, linestyle=":")
    axes.set_ylabel("label delay, s\n(median, 90 %)")
    axes.set_ylim(bottom=0)


def _errors(axes: Any, report: Report, scale: _Scale) -> None:
    for version, answers in report.answers.items():
        found = _binned([(a.time_us, 100.0 * a.error) for a in answers], scale)
        rows = [(middle, float(np.mean(values))) for middle, values in found]
        axes.plot([x for x, _ in rows], [y for _, y in rows], color=scale.colours[version], marker=".", markersize=3)
    axes.set_ylabel("errors, %")
    axes.set_ylim(bottom=0, top=max(1.0, axes.get_ylim()[1]))


def _latencies(axes: Any, report: Report, scale: _Scale) -> None:
    for version, answers in report.answers.items():
        good = [(answer.time_us, answer.duration_us / 1e3) for answer in answers if not answer.error]
        _quantile(axes, good, 0.5, scale, color=scale.colours[version])
        _quantile(axes, good, 0.99, scale, color=scale.colours[version], linestyle=":")
    axes.set_ylabel("latency, ms\n(median, 99 %)")
    axes.set_yscale("log")


def _quantile(axes: Any, points: Sequence[tuple[float, float]], q: float, scale: _Scale, **style: Any) -> None:
    rows = [(middle, float(np.quantile(values, q))) for middle, values in _binned(points, scale)]
    axes.plot([x for x, _ in rows], [y for _, y in rows], linewidth=1.2, marker=".", markersize=3, **style)


def _binned(points: Sequence[tuple[float, float]], scale: _Scale) -> list[tuple[float, Any]]:
    """Values by bin of time; bins with too few are left out, so a line never invents what nobody asked."""
    if not points:
        return []
    times, values = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    edges = scale.edges()
    places = np.clip(np.digitize(times, edges) - 1, 0, _BINS - 1)
    found = []
    for place in np.unique(places):
        chosen = values[places == place]
        if len(chosen) >= _FEWEST:
            found.append((scale.at(float(edges[place] + edges[place + 1]) / 2), chosen))
    return found


def _marks(panels: Sequence[Any], report: Report, scale: _Scale) -> None:
    """Every decision on every panel; its words on the effect's, where it was made."""
    shown = [decision for decision in report.decisions if decision["action"] in _MARKED]
    near, before, level = _NEAR * scale.at(scale.end_us), -math.inf, 0
    for decision in shown:
        word, colour = _MARKED[decision["action"]]
        place = scale.at(decision["time_us"])
        level = (level + 1) % len(_HEIGHTS) if place - before < near else 0
        before = place
        for axes in panels:
            axes.axvline(place, color=colour, linewidth=1, linestyle="--")
        panels[1].annotate(
            _words(decision, word),
            (place, _HEIGHTS[level]),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            va="top",
        )


def _words(decision: Mapping[str, Any], word: str) -> str:
    by = "" if decision["actor"] == "controller" else f"\nby {decision['actor']}"
    return f"{decision['data'].get('version', '')}\n{word}{by}".strip()


def latency_ms(answers: Sequence[Answer], q: float) -> float | None:
    """A quantile of the answers that were no errors."""
    good = [answer.duration_us / 1e3 for answer in answers if not answer.error]
    return float(np.quantile(good, q)) if good else None
