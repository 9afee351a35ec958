"""Rows of several tables under one another: the joined table, and those that a spec appends to it.

The joined table says which columns there are. A file that is appended has the same; rows out of the ledger have what
their versions were asked, the rest of them is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import logical, shelving
from turnout.steps.joining import Clean

__all__ = ["unite"]


def unite(base: Any | None, appended: Sequence[Clean], *, spec: ModelSpec) -> Any:
    """The instance table: rows in the order of their keys, columns keys first, then by name.

    Raises:
        DataError: a column is of kinds that are not the same, or a key is there twice.
    """
    tables = [*([] if base is None else [base]), *(clean.table for clean in appended)]
    names = _columns(base, tables, spec)
    for clean in appended:
        _misses_nothing(clean, names, spec)
    kinds = {name: _kind(name, tables) for name in names}
    united = pa.concat_tables([_shaped(table, kinds) for table in tables])
    _once(united, spec.key_columns)
    return shelving.in_order(united, spec.key_columns)


def _columns(base: Any | None, tables: Sequence[Any], spec: ModelSpec) -> list[str]:
    known = base.column_names if base is not None else [name for table in tables for name in table.column_names]
    return [*spec.key_columns, *sorted(set(known) - set(spec.key_columns))]


def _misses_nothing(clean: Clean, names: Sequence[str], spec: ModelSpec) -> None:
    missing = [name for name in names if name not in clean.table.column_names and name not in spec.key_columns]
    for name in missing:
        if name == spec.label or not spec.checks.rule(name).nullable:
            raise DataError(f"source {clean.name}: column {name} may never be missing, and none of its rows has it")


def _kind(name: str, tables: Sequence[Any]) -> Any:
    """The type that all tables have the column in; whole numbers and fractions are fractions, if there are any."""
    columns = [table.column(name) for table in tables if name in table.column_names]
    types = {column.type for column in columns}
    if types == {pa.int64(), pa.float64()}:
        return pa.int64() if all(_is_whole(column) for column in columns) else pa.float64()
    if len(types) > 1:
        kinds = ", ".join(sorted(str(logical.kind_of(kind)) for kind in types))
        raise DataError(f"column {name} is of different kinds ({kinds}); say which in checks.columns.{name}.type")
    # A key that no table has belongs to rows that are not there.
    return next(iter(types), pa.string())


def _is_whole(column: Any) -> bool:
    return bool(pc.all(pc.equal(column, pc.floor(column))).as_py() is not False)


def _shaped(table: Any, kinds: dict[str, Any]) -> Any:
    columns = {
        name: pc.cast(table.column(name), kind) if name in table.column_names else pa.nulls(table.num_rows, kind)
        for name, kind in kinds.items()
    }
    return pa.table(columns)


def _once(table: Any, keys: Sequence[str]) -> None:
    counted = table.group_by(list(keys)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted.column("count_all"), 1))
    if twice.num_rows:
        named = ", ".join(f"{key}={twice.column(key)[0].as_py()}" for key in keys if twice.column(key)[0].is_valid)
        raise DataError(
            f"{twice.num_rows} keys are in the table and again in what is appended to it, the first {named}; "
            "a row is there once"
        )
