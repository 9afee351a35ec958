"""The demo's HTML report: the endpoint's own, with what the story adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout import report as reports

__all__ = ["write"]


def write(folder: Path, result: Mapping[str, Any], report: reports.Report) -> Path:
    """Write `report.html` and `canary.svg` into the folder; returns the page's path."""
    (folder / "canary.svg").write_text(reports.picture(report), encoding="utf-8")
    requests, books = result["requests"], result["ledger"]
    more = [
        {
            "title": "What the demo built",
            "columns": ["version", "snapshot", "candidate", "cross-validated", "test part", "build, s", "right, live"],
            "rows": [_version(version) for version in result["versions"]],
        },
        {
            "title": "Requests and books",
            "columns": ["sent", "failed", "recorded", "labelled", "missing", "recorded twice"],
            "rows": [
                [
                    requests["sent"],
                    requests["failed"],
                    *(books[name] for name in ("recorded", "labelled", "missing", "duplicated")),
                ]
            ],
        },
        {
            "title": "Seconds",
            "columns": list(result["seconds"]),
            "rows": [[f"{value:.1f}" for value in result["seconds"].values()]],
        },
    ]
    path = folder / "report.html"
    path.write_text(reports.page(report, more=more), encoding="utf-8")
    return path


def _version(version: Mapping[str, Any]) -> list[str]:
    scores = (version["cv_score"], version["test_score"])
    return [
        version["version"] or "(gate closed)",
        version["snapshot"],
        version["candidate"],
        *("-" if score is None else f"{score:.3f}" for score in scores),
        f"{version['seconds']:.1f}",
        "-" if version["live_score"] is None else f"{version['live_score']:.3f}",
    ]
