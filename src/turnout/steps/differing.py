"""What is otherwise in one snapshot than in another: rows, columns, distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.steps import keeping, logical
from turnout.steps.keeping import Kept, Part

__all__ = ["ColumnChange", "Difference", "compare", "stability"]

_SHOWN_ROWS = 5
_BINS = 10
_AT = "turnout row"


@dataclass(frozen=True)
class ColumnChange:
    """One column: in how many rows its value changed, and how far its distribution moved.

    `moved` is the population stability index over tenths of the earlier values (words: over the most frequent ones);
    below 0.1 is calm, above 0.25 another distribution by common practice.
    """

    column: str
    before: str
    after: str
    changed: int
    moved: float | None


@dataclass(frozen=True)
class Difference:
    """Rows that came, went and changed (by key, the first few named), and columns."""

    before: str
    after: str
    added: int
    removed: int
    changed: int
    examples: Mapping[str, tuple[str, ...]]
    columns: tuple[ColumnChange, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(before: Kept, after: Kept, *, artifacts_url: str) -> Difference:
    """Compare two snapshots; rows of parts that both have are the same and are looked at for distributions only.

    Raises:
        DataError: their rows are identified by other keys, so nobody can say which is which.
    """
    keys = before.snapshot.keys
    if keys != after.snapshot.keys:
        raise DataError(
            f"rows of {before.snapshot.id} are identified by {', '.join(keys)}, "
            f"those of {after.snapshot.id} by {', '.join(after.snapshot.keys)}"
        )
    shared = set(before.parts) & set(after.parts)
    old, new = (_rest(one, shared, artifacts_url) for one in (before, after))
    matched = _matched(old, new, keys)
    lost = pc.is_null(matched.column(f"{_AT} new"))
    come = pc.is_null(matched.column(f"{_AT} old"))
    both = matched.filter(pc.invert(pc.or_(lost, come)))
    first, second = old.take(both.column(f"{_AT} old")), new.take(both.column(f"{_AT} new"))
    cells = {name: _unequal(first, second, name) for name in first.column_names if name in second.column_names}
    any_cell = np.logical_or.reduce([*cells.values(), np.zeros(both.num_rows, dtype=bool)])
    whole = [keeping.read(one, artifacts_url=artifacts_url) for one in (before, after)]
    return Difference(
        before=before.snapshot.id,
        after=after.snapshot.id,
        added=pc.sum(come).as_py() or 0,
        removed=pc.sum(lost).as_py() or 0,
        changed=int(any_cell.sum()),
        examples={
            "added": _named(matched.filter(come), keys),
            "removed": _named(matched.filter(lost), keys),
            "changed": _named(both.filter(pa.array(any_cell)), keys),
        },
        columns=tuple(_columns(before, after, whole[0], whole[1], cells)),
    )


def stability(before: Any, after: Any) -> float | None:
    """How far a column's distribution moved (population stability index); None where one side has no values."""
    before, after = pc.drop_null(before), pc.drop_null(after)
    if not len(before) or not len(after):
        return None
    old, new = _shares(before, after)
    old, new = np.clip(old, 1e-4, None), np.clip(new, 1e-4, None)
    return float(np.sum((new - old) * np.log(new / old)))


def _rest(one: Kept, shared: set[Part], artifacts_url: str) -> Any:
    parts = [part for part in one.parts if part not in shared] or list(one.parts[:1])
    table = keeping.read(one, artifacts_url=artifacts_url, only=parts)
    return table if set(parts) - shared else table.slice(0, 0)


def _matched(old: Any, new: Any, keys: tuple[str, ...]) -> Any:
    """Keys of both, with the row of each."""
    sides = [
        table.select(list(keys)).append_column(f"{_AT} {name}", pa.array(np.arange(table.num_rows)))
        for name, table in (("old", old), ("new", new))
    ]
    joined = sides[0].join(sides[1], keys=list(keys), join_type="full outer")
    return joined.sort_by([(key, "ascending") for key in keys])


def _unequal(first: Any, second: Any, name: str) -> Any:
    one, other = first.column(name), second.column(name)
    if one.type != other.type:
        one, other = one.cast(pa.string()), other.cast(pa.string())
    same = pc.fill_null(pc.equal(one, other), False)
    both_missing = pc.and_(pc.is_null(one), pc.is_null(other))
    return pc.invert(pc.or_(same, both_missing)).to_numpy(zero_copy_only=False)


def _named(table: Any, keys: tuple[str, ...]) -> tuple[str, ...]:
    first = table.slice(0, _SHOWN_ROWS).select(list(keys)).to_pylist()
    return tuple(", ".join(f"{key}={row[key]}" for key in keys) for row in first)


def _columns(before: Kept, after: Kept, old: Any, new: Any, cells: Mapping[str, Any]) -> Iterator[ColumnChange]:
    """Those that came, went, changed their kind or any value."""
    names = {**before.snapshot.columns, **after.snapshot.columns}
    for name in names:
        kinds = str(before.snapshot.columns.get(name, "")), str(after.snapshot.columns.get(name, ""))
        changed = int(cells[name].sum()) if name in cells else 0
        is_both = all(kinds) and name not in before.snapshot.keys
        moved = stability(old.column(name), new.column(name)) if is_both and kinds[0] == kinds[1] else None
        if changed or kinds[0] != kinds[1] or (moved or 0) >= 0.01:
            yield ColumnChange(name, *kinds, changed, moved)


def _shares(before: Any, after: Any) -> tuple[Any, Any]:
    if logical.kind_of(before.type) in {"string", "bool"}:
        words = [item["values"] for item in pc.value_counts(before).to_pylist()]
        first = pa.array(words[:_BINS], before.type)
        old, new = (pc.fill_null(pc.index_in(column, first), _BINS).to_numpy() for column in (before, after))
    else:
        plain = [pc.cast(c, pa.int64()) if pa.types.is_timestamp(c.type) else c for c in (before, after)]
        old, new = (pc.cast(c, pa.float64()).to_numpy() for c in plain)
        borders = np.unique(np.quantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
        old, new = np.searchsorted(borders, old, side="right"), np.searchsorted(borders, new, side="right")
    return np.bincount(old, minlength=_BINS + 1) / len(old), np.bincount(new, minlength=_BINS + 1) / len(new)
