"""Sources into the instance table: one row for each key that every source has, in the order of the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.errors import DataError
from turnout.steps import shelving

__all__ = ["Clean", "Joined", "join"]

_AT = "turnout row of "


@dataclass(frozen=True)
class Clean:
    """One source without its bad rows; `rows` says where each row stood before."""

    name: str
    table: Any
    rows: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Joined:
    """The instance table, and for each source the rows (as `Clean.rows` counts) that found no partner."""

    table: Any
    unmatched: dict[str, np.ndarray[Any, Any]]


def join(sources: Sequence[Clean], keys: tuple[str, ...]) -> Joined:
    """Join on the keys, which identify a row in every source.

    Columns come in one order whatever order the files have: keys, then the others by name.

    Raises:
        DataError: a key is of different kinds in two sources, or another column is in two sources.
    """
    _fit_together(sources, keys)
    index = _matches(sources, keys)
    columns = {key: index.column(key) for key in keys}
    others: dict[str, Any] = {}
    for source in sources:
        rest = source.table.select([name for name in source.table.column_names if name not in keys])
        taken = shelving.taken(rest, index.column(_AT + source.name))
        others |= {name: taken.column(name) for name in taken.column_names}
    table = pa.table(columns | {name: others[name] for name in sorted(others)})
    unmatched = {}
    for source in sources:
        alone = np.ones(len(source.rows), dtype=bool)
        alone[index.column(_AT + source.name).to_numpy()] = False
        unmatched[source.name] = source.rows[alone]
    return Joined(shelving.each(table, shelving.one_chunk), unmatched)


def _fit_together(sources: Sequence[Clean], keys: tuple[str, ...]) -> None:
    first = sources[0]
    for source in sources[1:]:
        for key in keys:
            wanted, found = first.table.column(key).type, source.table.column(key).type
            if wanted != found:
                raise DataError(
                    f"key {key} is {wanted} in source {first.name} and {found} in source {source.name}; "
                    f"say which in checks.columns.{key}.type"
                )
    owner: dict[str, str] = {}
    for source in sources:
        for name in source.table.column_names:
            if name not in keys and owner.setdefault(name, source.name) != source.name:
                raise DataError(
                    f"column {name} is in source {owner[name]} and in source {source.name}; "
                    "rename one of them, or name it as a key"
                )


def _matches(sources: Sequence[Clean], keys: tuple[str, ...]) -> Any:
    """For each key that all have, in order: the key, and its row in every source."""
    matches: Any = None
    for source in sources:
        rows = pa.array(np.arange(source.table.num_rows))
        indexed = source.table.select(list(keys)).append_column(_AT + source.name, rows)
        matches = indexed if matches is None else matches.join(indexed, keys=list(keys), join_type="inner")
    return shelving.in_order(matches, keys)
