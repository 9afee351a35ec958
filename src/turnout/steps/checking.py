"""The rules of the spec, as a pandera schema over one source; every broken rule with its row.

Besides what `checks` says: a key is never missing and identifies one row, a label is never missing, and a number is
finite, because neither a join nor a model can use anything else. When a row was is never missing and not in the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

from turnout.spec import Column, ModelSpec
from turnout.steps import shelving
from turnout.steps.quarantine import BadCell

__all__ = ["check"]

# What keeps "missing" and "whole number" apart: numpy's integers cannot be missing.
_PANDAS = {pa.int64(): pd.Int64Dtype(), pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()}
_PANDERA_NAMES = {"not_nullable": "not missing", "field_uniqueness": "unique"}


def check(table: Any, spec: ModelSpec, *, keys: Sequence[str], now_us: int) -> list[BadCell]:
    """Every broken rule of one source's table, in the order of columns and rows; `keys` identify its rows."""
    columns = {
        name: _column(table.column(name), spec.checks.rule(name), name, spec=spec, keys=keys, now_us=now_us)
        for name in table.column_names
    }
    ruled = {name: column for name, column in columns.items() if column is not None}
    # What is unique shows in the whole column only; everything else in any part of the table.
    whole = {name: column for name, column in ruled.items() if column.unique}
    found = _broken(table.select(list(whole)), whole, first=0) if whole else []
    rest, first = {name: column for name, column in ruled.items() if not column.unique}, 0
    for piece in shelving.slices(table.select(list(rest))):
        found += _broken(piece, rest, first=first)
        first += piece.num_rows
    return found + _same_keys(table, [key for key in keys if key in table.column_names])


def _broken(table: Any, columns: dict[str, Any], *, first: int) -> list[BadCell]:
    """What pandera says of a piece of the table that begins with the row `first`."""
    frame = table.to_pandas(types_mapper=_PANDAS.get)
    try:
        pandera.DataFrameSchema(columns).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return _cells(errors.failure_cases, frame, first=first)
    return []


def _column(values: Any, rule: Column, name: str, *, spec: ModelSpec, keys: Sequence[str], now_us: int) -> Any:
    """The pandera column for one of ours, or None when nothing is asked of it."""
    nullable = rule.nullable and name not in (*keys, *spec.key_columns, spec.label, spec.time)
    checks = _checks(values, rule)
    if name == spec.time and pa.types.is_timestamp(values.type):
        checks.append(pandera.Check.le(pd.Timestamp(now_us, unit="us", tz="UTC"), error="not in the future"))
    if nullable and not rule.unique and not checks:
        return None
    return pandera.Column(checks=checks, nullable=nullable, unique=rule.unique)


def _checks(values: Any, rule: Column) -> list[Any]:
    checks = []
    if pa.types.is_floating(values.type) and pc.any(pc.is_inf(values)).as_py():
        checks.append(pandera.Check(np.isfinite, error="finite"))
    if rule.min is not None:
        checks.append(pandera.Check.ge(rule.min, error=f"min {rule.min:g}"))
    if rule.max is not None:
        checks.append(pandera.Check.le(rule.max, error=f"max {rule.max:g}"))
    if rule.values is not None:
        wanted = list(rule.values)
        if pa.types.is_timestamp(values.type):
            wanted = list(pd.to_datetime(wanted, format="ISO8601", utc=True, errors="coerce"))
        checks.append(pandera.Check.isin(wanted, error=f"values {', '.join(map(str, rule.values))}"))
    return checks


def _cells(cases: pd.DataFrame, frame: pd.DataFrame, *, first: int) -> list[BadCell]:
    """pandera's findings in our words; the value is the cell's own, however the check saw it."""
    return [
        BadCell(
            row=first + int(row),
            column=str(column),
            rule=_PANDERA_NAMES.get(rule, str(rule)),
            value=_text(frame[column][row]),
        )
        for column, rule, row in zip(cases["column"], cases["check"], cases["index"], strict=True)
    ]


def _same_keys(table: Any, keys: list[str]) -> list[BadCell]:
    """Every row whose key another row has too: nobody can say which of them is right."""
    if not keys or (len(keys) == 1 and pc.count_distinct(table.column(keys[0])).as_py() == table.num_rows):
        return []
    frame = table.select(keys).to_pandas(types_mapper=_PANDAS.get)
    twice = frame.duplicated(keep=False) & frame.notna().all(axis="columns")
    column = ", ".join(keys)
    return [
        BadCell(row=int(row), column=column, rule="unique key", value=", ".join(map(_text, frame.iloc[row])))
        for row in np.flatnonzero(twice)
    ]


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
