"""Values for rows out of tables that are looked up: by key, or by key as of the row's own time.

A value that became known after a row's time cannot reach it: the match is made on `as_of + delay <= time` and on
nothing else, so there is no window to set and no order of files that would let the future in. What is older than
`max_age` is missing. No row is lost or doubled: the table has the same rows before and after.

DuckDB matches row numbers only, in the order of the table; it spills to disk beyond its share of memory
(docs/adr/0010-duckdb-for-joins.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.spec import ModelSpec, Source
from turnout.steps import logical, shelving
from turnout.steps.joining import Clean

__all__ = ["attach", "identity"]

_MEMORY, _THREADS = "1GB", 2


def identity(source: Source) -> tuple[str, ...]:
    """The columns that make a row of a looked-up source the one that is meant."""
    return (*source.looked_up_by, *([source.known_at] if source.known_at else []))


def attach(table: Any, found: Sequence[tuple[Source, Clean]], *, spec: ModelSpec) -> Any:
    """The table with the columns of these sources, in the order of their names behind the keys.

    Raises:
        DataError: a column that something is looked up by is missing, or holds no times, or a name is there twice.
    """
    columns = {name: table.column(name) for name in table.column_names}
    for source, clean in found:
        _fits(table, source, clean, spec)
        taken = _taken(table, source, clean, time=spec.time)
        for name in taken.column_names:
            if name in columns:
                raise DataError(f"source {source.name}: column {name} is in the table already; give it a prefix")
            columns[name] = taken.column(name)
    rest = sorted(set(columns) - set(spec.key_columns))
    return pa.table({name: columns[name] for name in (*spec.key_columns, *rest)})


def _fits(table: Any, source: Source, clean: Clean, spec: ModelSpec) -> None:
    for ours in source.looked_up_by:
        if ours not in table.column_names:
            raise DataError(f"source {source.name} is looked up by {ours}, and no other source has that column")
    if source.known_at:
        _is_time(clean.table, source.known_at, f"source {source.name}")
        _is_time(table, str(spec.time), "the table")


def _is_time(table: Any, column: str, where: str) -> None:
    found = logical.kind_of(table.column(column).type) if column in table.column_names else None
    if found != "datetime":
        problem = (
            f"found {found}; if they are times, say checks.columns.{column}.type: datetime" if found else "missing"
        )
        raise DataError(f"{where}, column {column}: times were wanted, {problem}")


def _taken(table: Any, source: Source, clean: Clean, *, time: str | None) -> Any:
    """The source's columns, one row for each of the table; missing where there is nothing to take."""
    at = _matches(table, source, clean.table, time=time)
    names = [name for name in clean.table.column_names if name not in identity(source)]
    return shelving.taken(clean.table.select(names), at)


def _matches(table: Any, source: Source, side: Any, *, time: str | None) -> Any:
    """For each row of the table the row of `side` that is meant, or null."""
    on = list(source.looked_up_by)
    left = {f"k{place}": table.column(name) for place, name in enumerate(on)}
    right = {f"k{place}": side.column(name) for place, name in enumerate(on)}
    same = [f"t.k{place} = s.k{place}" for place in range(len(on))]
    if source.known_at is None:
        return _asked(left, right, join="LEFT JOIN", same=same)
    now, since = pc.cast(table.column(str(time)), pa.int64()), pc.cast(side.column(source.known_at), pa.int64())
    left["now"], right["known"] = now, pc.add(since, source.delay_us)
    at = _asked(left, right, join="ASOF LEFT JOIN", same=[*same, "t.now >= s.known"])
    if source.max_age_us is None:
        return at
    is_old = pc.greater(pc.subtract(now, since.take(at)), source.max_age_us)
    return pc.if_else(is_old, pa.scalar(None, pa.int64()), at)


def _asked(left: Mapping[str, Any], right: Mapping[str, Any], *, join: str, same: Sequence[str]) -> Any:
    import duckdb

    rows = len(next(iter(left.values())))
    with TemporaryDirectory(prefix="turnout-join-") as spill:
        options: dict[str, Any] = {"memory_limit": _MEMORY, "threads": _THREADS, "temp_directory": spill}
        with duckdb.connect(config=options) as engine:
            # It takes tables of Arrow for one row each, and would compare every row with every other (seen in 1.5).
            engine.execute("SET asof_loop_join_threshold = 0")
            engine.register("t", pa.table({**left, "at": np.arange(rows)}))
            engine.register("s", pa.table({**right, "at": np.arange(len(next(iter(right.values()))))}))
            query = f"SELECT s.at FROM t {join} s ON {' AND '.join(same)} ORDER BY t.at"  # noqa: S608 - our own words
            return engine.execute(query).to_arrow_table().column(0)
