"""The table of docs/conformance.md: a row per test, a column per server, kept between runs."""

from __future__ import annotations

import re
from pathlib import Path

Outcomes = dict[str, str]
_BEGIN, _END = "<!-- results: written by make conformance -->", "<!-- end of results -->"


def publish(page: Path, version: str, outcomes: Outcomes) -> None:
    """Put a server's column into the page, beside those of other servers."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    table, after = rest.split(_END)
    columns = _columns(table)
    title = "embedded engine" if "turnout" in version else f"Kubernetes {version}"
    same_sort = {known for known in columns if (known == "embedded engine") == (title == "embedded engine")}
    kept = {known: column for known, column in columns.items() if known not in same_sort}
    lines = _table(
        dict(sorted({**kept, title: _by_test(outcomes)}.items(), key=lambda item: item[0] != "embedded engine"))
    )
    page.write_text("\n".join([before + _BEGIN, "", *lines, "", _END + after]), encoding="utf-8")


def _by_test(outcomes: Outcomes) -> dict[str, str]:
    """One line per test function: how many of its variants passed, and what became of the others."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, outcome in outcomes.items():
        file, _, test = name.partition("::")
        function, _, variant = test.partition("[")
        words = function.removeprefix("test_").replace("_", " ")
        topic = file.removeprefix("test_").removesuffix(".py").replace("_", " ")
        found.setdefault(f"{topic}: {words}", []).append((variant.rstrip("]"), outcome))
    return {test: _said(variants) for test, variants in found.items()}


def _said(variants: list[tuple[str, str]]) -> str:
    variants = [variant for variant in variants if "does not apply" not in variant[1]]
    passed = sum(1 for _, outcome in variants if outcome == "passed")
    if len(variants) == 1:
        return variants[0][1]
    others = [f"{variant} {outcome}" for variant, outcome in variants if outcome != "passed"]
    return "; ".join([f"{passed} of {len(variants)} passed", *others])


def _columns(table: str) -> dict[str, dict[str, str]]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines() if "|" in line]
    if not rows:
        return {}
    header, body = rows[0], [row for row in rows[1:] if not re.fullmatch(r"-+", row[0])]
    return {title: {row[0]: row[place] for row in body} for place, title in enumerate(header) if place}


def _table(columns: dict[str, dict[str, str]]) -> list[str]:
    tests = list(dict.fromkeys(test for column in columns.values() for test in column))
    header = f"| behaviour | {' | '.join(columns)} |"
    rule = "|" + "---|" * (len(columns) + 1)
    rows = [f"| {test} | {' | '.join(column.get(test, 'not run') for column in columns.values())} |" for test in tests]
    return [header, rule, *rows]
