"""The report as one HTML page without outside parts."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from turnout.report import drawing
from turnout.report.gathering import Report

__all__ = ["page"]


def page(report: Report, *, more: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page; `more` are tables (title, columns, rows) to put at its end."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("turnout.report", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html.j2").render(
        report=report,
        picture=drawing.picture(report),
        versions=[_version(report, version) for version in report.versions],
        decisions=[_decision(row) for row in report.decisions],
        more=more,
    )


def _version(report: Report, version: str) -> dict[str, Any]:
    labels, answers = report.labels[version], report.answers[version]
    outcomes = [label.outcome for label in labels if label.outcome is not None]
    delays = [label.delay_us / 1e6 for label in labels if label.delay_us is not None]
    return {
        "version": version,
        "judged": (report.status.get("judged") or {}).get(version, ""),
        "requests": len(answers),
        "errors": sum(answer.error for answer in answers),
        "p50": _number(drawing.latency_ms(answers, 0.5)),
        "p99": _number(drawing.latency_ms(answers, 0.99)),
        "labelled": f"{len(outcomes)} of {len(labels)}",
        "outcome": _number(statistics.fmean(outcomes) if outcomes else None),
        "delay": _number(statistics.median(delays) if delays else None),
    }


def _decision(row: Mapping[str, Any]) -> dict[str, Any]:
    data = row["data"]
    evidence = data.get("evidence") or {}
    interval, window = evidence.get("interval"), evidence.get("window") or {}
    return {
        "time": datetime.datetime.fromtimestamp(row["time_us"] / 1e6, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "seq": row["seq"],
        "action": row["action"],
        "actor": row["actor"],
        "sentence": data["sentence"],
        "outside": data.get("guarantee") == "outside",
        "n": evidence.get("n"),
        "effect": _number(evidence.get("effect"), signed=True),
        "interval": f"[{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else "",
        "spent": _spent(evidence.get("spent")),
        "window": [window["first"], window["last"]] if window.get("first") else [],
    }


def _spent(spent: Mapping[str, float] | None) -> str:
    return f"{spent['rollback']:.2g} / {spent['promote']:.2g}" if spent else ""


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.3f}" if signed else f"{value:.3g}"
