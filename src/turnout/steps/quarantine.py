"""Rows that break a rule: kept aside with their reasons, and counted; too many stop the run.

A row is bad once, however many of its cells are. The file that this writes is for people: source, file and line to
look at, the key, and for each broken rule the column, the rule and the value.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from turnout.errors import DataError

__all__ = ["BadCell", "BadRow", "Tally", "complain", "write"]

_SHOWN_RULES = 5
_SHOWN_ROWS = 3
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class BadCell:
    """A rule that one row of a source breaks; `row` counts the rows that could be read, from 0."""

    row: int
    column: str
    rule: str
    value: str


@dataclass(frozen=True)
class BadRow:
    """A broken rule as it is reported."""

    source: str
    file: str
    line: int
    key: str
    column: str
    rule: str
    value: str


@dataclass(frozen=True)
class Tally:
    """How many rows of a source there are, how many are bad, and why."""

    source: str
    rows: int
    bad: tuple[BadRow, ...]

    @property
    def bad_rows(self) -> int:
        """Rows, not broken rules."""
        return len({(row.file, row.line) for row in self.bad})


def write(path: Path, tallies: Iterable[Tally]) -> int:
    """Write every bad row to a CSV file, aside and renamed; returns how many rows (not rules) were bad."""
    tallies = list(tallies)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(BadRow))
        writer.writerows(astuple(row) for tally in tallies for row in tally.bad)
    aside.replace(path)
    return sum(tally.bad_rows for tally in tallies)


def complain(tallies: Iterable[Tally], *, max_bad_rows: float, all_of_them: Path) -> None:
    """Stop when more rows of a source are bad than the spec allows; `all_of_them` is where they were written.

    Raises:
        DataError: names source, file, column, rule and the first rows with their lines and keys.
    """
    reports = [_report(tally, max_bad_rows) for tally in tallies if tally.bad_rows > max_bad_rows * tally.rows]
    if reports:
        raise DataError("\n".join((*reports, f"all of them: {all_of_them}")))


def _report(tally: Tally, allowed: float) -> str:
    share = tally.bad_rows / tally.rows
    lines = [
        f"source {tally.source}: {tally.bad_rows} of {tally.rows} rows are bad ({share:.1%}), "
        f"more than max_bad_rows allows ({allowed:.1%})"
    ]
    rules = Counter((row.file, row.column, row.rule) for row in tally.bad)
    for (file, column, rule), count in rules.most_common(_SHOWN_RULES):
        broken = [row for row in tally.bad if (row.file, row.column, row.rule) == (file, column, rule)]
        first = "; ".join(_example(row) for row in broken[:_SHOWN_ROWS])
        more = f"; and {count - _SHOWN_ROWS} more" if count > _SHOWN_ROWS else ""
        where = f"column {column}, rule {rule}" if column else f"rule {rule}"
        lines.append(f"  {file}: {where}: {first}{more}")
    if len(rules) > _SHOWN_RULES:
        lines.append(f"  and {len(rules) - _SHOWN_RULES} more rules")
    return "\n".join(lines)


def _example(row: BadRow) -> str:
    value = row.value if len(row.value) <= _SHOWN_CHARACTERS else f"{row.value[:_SHOWN_CHARACTERS]}..."
    return f"line {row.line}{f' ({row.key})' if row.key else ''}: {value!r}"
