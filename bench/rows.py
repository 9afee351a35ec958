"""A benchmark's result: rows of one form, printed as a table and written as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

__all__ = ["Row", "measured", "publish"]

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Row:
    """One figure. `spread` is [smallest, largest] of the runs; without a target nothing is promised."""

    name: str
    value: float
    unit: str
    spread: tuple[float, float]
    runs: int
    target: float | None = None
    holds: bool | None = None
    about: str = ""


def measured(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    about: str = "",
) -> Row:
    """The median of several runs, held against a target if there is one."""
    value = statistics.median(values)
    target, holds = None, None
    if at_most is not None:
        target, holds = at_most, value <= at_most
    if at_least is not None:
        target, holds = at_least, value >= at_least
    spread = (round(min(values), 4), round(max(values), 4))
    return Row(name, round(value, 4), unit, spread, len(values), target, holds, about)


def publish(name: str, rows: Sequence[Row]) -> bool:
    """Print and write the rows; returns whether every target holds."""
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))
    table = Table(title=name, title_justify="left", header_style="bold")
    explained = any(row.about for row in rows)
    for column in (
        "name",
        *(["what"] if explained else []),
        "median",
        "unit",
        "smallest to largest",
        "runs",
        "target",
        "holds",
    ):
        table.add_column(column, justify="right" if column in ("median", "runs", "target") else "left")
    for row in rows:
        holds = "-" if row.holds is None else "yes" if row.holds else "NO"
        spread = f"{row.spread[0]:g} to {row.spread[1]:g}"
        target = "-" if row.target is None else f"{row.target:g}"
        what = [row.about] if explained else []
        table.add_row(row.name, *what, f"{row.value:g}", row.unit, spread, str(row.runs), target, holds)
    console = Console()
    # Into a file or a pipe there is no width to keep to.
    (console if console.is_terminal else Console(width=170)).print(table)
    return all(row.holds is not False for row in rows)
