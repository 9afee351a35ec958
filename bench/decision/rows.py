"""One figure of a bar: what was wanted, what was measured, and how far chance may have moved it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from bench.rows import OUT

__all__ = ["Direction", "Row", "exact", "mean", "median", "publish", "rate", "write"]

Direction = Literal["<=", ">="]
_TOLERANCE = 3.0  # Monte Carlo standard errors
_WIDTH = 170  # columns that the table needs without breaking its words


@dataclass(frozen=True)
class Row:
    """`error` is the Monte Carlo standard error; a row holds within three of them. `note` names any deviation from the
    shipped default; a row that is not `counted` informs and promises nothing."""

    bar: str
    name: str
    target: float
    direction: Direction
    value: float
    repetitions: int
    error: float = 0.0
    note: str = ""
    counted: bool = True

    @property
    def holds(self) -> bool:
        """Whether the target is met within the tolerance."""
        slack = _TOLERANCE * self.error
        return self.value <= self.target + slack if self.direction == "<=" else self.value >= self.target - slack


def rate(bar: str, name: str, hits: np.ndarray, target: float, direction: Direction = "<=", **more: object) -> Row:
    """A share of repetitions; its error is taken at the target."""
    error = math.sqrt(max(target * (1.0 - target), 1e-9) / len(hits))
    return Row(bar, name, target, direction, float(np.mean(hits)), len(hits), error, **more)  # type: ignore[arg-type]


def mean(bar: str, name: str, values: np.ndarray, target: float, direction: Direction = "<=", **more: object) -> Row:
    """A mean over repetitions."""
    error = float(np.std(values) / math.sqrt(len(values)))
    return Row(bar, name, target, direction, float(np.mean(values)), len(values), error, **more)  # type: ignore[arg-type]


def median(bar: str, name: str, values: np.ndarray, target: float, direction: Direction = "<=", **more: object) -> Row:
    """A median; its error is half the distance of the order statistics one standard deviation of their rank apart."""
    ranks = np.clip(0.5 + np.array([-0.5, 0.5]) / math.sqrt(len(values)), 0.0, 1.0)
    low, high = np.quantile(values, ranks)
    error = float(high - low) / 2
    return Row(bar, name, target, direction, float(np.median(values)), len(values), error, **more)  # type: ignore[arg-type]


def exact(bar: str, name: str, value: float, target: float, direction: Direction = "<=", **more: object) -> Row:
    """A figure without chance, or one derived from others."""
    return Row(bar, name, target, direction, float(value), 1, **more)  # type: ignore[arg-type]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def write(rows: Sequence[Row], *, name: str) -> None:
    """The rows as JSON, in `bench/out`."""
    OUT.mkdir(exist_ok=True)
    data = [{**asdict(row), "holds": row.holds} for row in rows]
    (OUT / f"{name}.json").write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))


def publish(rows: Sequence[Row], *, name: str = "decision") -> bool:
    """Print the table and write it as JSON; returns whether every counted row holds."""
    write(rows, name=name)
    table = Table(title=name, title_justify="left", header_style="bold")
    for column in ("bar", "what", "target", "measured", "± MC", "runs", "holds", "note"):
        table.add_column(column, justify="right" if column in ("target", "measured", "± MC", "runs") else "left")
    for row in rows:
        holds = ("yes" if row.holds else "NO") if row.counted else ("(yes)" if row.holds else "(no)")
        if math.isinf(row.target):
            holds = "-"
        target = f"{row.direction} {_digits(row.target)}" if math.isfinite(row.target) else "-"
        error = f"{row.error:.2g}" if row.error else "-"
        table.add_row(row.bar, row.name, target, _digits(row.value), error, f"{row.repetitions:,}", holds, row.note)
    Console(width=max(Console().width, _WIDTH)).print(table)
    return all(row.holds for row in rows if row.counted)
