"""How commands print: tables for people, JSON for programs, errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from turnout import times

__all__ = ["err", "out", "print_json", "print_table", "show_progress"]

# A pipe has no width of its own; what is written into it must not be folded at 80 columns.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Rows as a table, or with `as_json` as a list of objects with all their fields."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    out.print(table)


def show_progress(event: Any) -> None:
    """One line for a step of a run (`turnout.runs.Progress`) that began or ended."""
    took = f"{event.seconds:6.1f} s" if event.seconds is not None else ""
    left = f"   about {times.length(round(event.left_s) * 1_000_000)} left" if event.left_s else ""
    out.print(f"  {event.step:<28} {event.state:<10} {took}{left}".rstrip(), soft_wrap=True)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)
