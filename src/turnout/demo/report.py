"""The demo's HTML report: one page without outside parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.demo import pictures
from turnout.demo.watching import Sample

__all__ = ["write"]


def write(
    folder: Path, result: Mapping[str, Any], samples: Sequence[Sample], audit: Sequence[Mapping[str, Any]]
) -> Path:
    """Write `report.html` and `canary.svg` into the folder; returns the page's path."""
    import jinja2

    picture = folder / "canary.svg"
    pictures.canary(samples, audit, picture)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("turnout.demo", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    svg = picture.read_text()
    page = environment.get_template("report.html.j2").render(result=result, picture=svg[svg.index("<svg") :])
    path = folder / "report.html"
    path.write_text(page)
    return path
