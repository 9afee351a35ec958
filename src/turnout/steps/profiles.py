"""What the training part looked like, column by column: what later traffic is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.steps import logical

__all__ = ["profile"]

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MOST_CATEGORIES = 20


def profile(table: Any, *, classes: str | None = None) -> dict[str, Any]:
    """Rows, and for each column its kind, missing values, and moments and quantiles or the most frequent values.

    The column `classes` is counted by value even if its classes are numbers.
    """
    columns = {name: _column(table.column(name), count=name == classes) for name in table.column_names}
    return {"format": 1, "rows": table.num_rows, "columns": columns}


def _column(column: Any, *, count: bool) -> dict[str, Any]:
    kind = logical.kind_of(column.type)
    facts = {
        "type": kind,
        "missing": column.null_count,
        "distinct": pc.count_distinct(column, mode="only_valid").as_py(),
    }
    if column.null_count == len(column):
        return facts
    if kind in {"int", "float"} and not count:
        return facts | _numbers(pc.cast(pc.drop_null(column), pa.float64()).to_numpy())
    if kind == "datetime":
        ends = pc.min_max(column).as_py()
        return facts | {"min": ends["min"].isoformat(), "max": ends["max"].isoformat()}
    return facts | {"top": _top(column)}


def _numbers(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    quantiles = np.quantile(values, _QUANTILES)
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "quantiles": {f"{q:g}": float(value) for q, value in zip(_QUANTILES, quantiles, strict=True)},
    }


def _top(column: Any) -> list[dict[str, Any]]:
    """The most frequent values, ties in the order of their names."""
    counts = [(found["values"], found["counts"]) for found in pc.value_counts(pc.drop_null(column)).to_pylist()]
    ordered = sorted(counts, key=lambda pair: (-pair[1], str(pair[0])))
    return [{"value": value, "count": count} for value, count in ordered[:_MOST_CATEGORIES]]
