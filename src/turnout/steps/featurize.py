"""A snapshot into a training part, a test part, the baseline profile, and what looks like a leak between them.

Transforms that a model needs (imputing, scaling, encoding) are not made here: they are learned by the scikit-learn
pipeline and travel inside the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import leaks as finding_leaks
from turnout.steps import logical, profiles, shelving, snapshots, splitting
from turnout.steps.leaks import Leak

__all__ = ["Parts", "featurize"]

_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Parts:
    """How many rows each part has, and what of them looks like a leak."""

    train: int
    test: int
    leaks: tuple[Leak, ...] = ()


def featurize(spec: ModelSpec, *, snapshot: Path, train: Path, test: Path, profile: Path) -> Parts:
    """Write both parts as Parquet files (keys, features, label; rows in key order) and the profile as JSON.

    What a split looks at stays in them, also where no model may see it: cross-validation divides rows alike.

    Raises:
        DataError: the label suits the task badly, a feature is of a kind that no model takes, or a part is empty.
    """
    table = snapshots.read_table(snapshot)
    kept = {*spec.hidden, *([spec.time] if spec.time else [])}
    table = table.select([name for name in table.column_names if name in kept or not spec.dropped(name)])
    label = None if spec.label is None else table.column(spec.label)
    if label is not None:
        _label_suits(label, spec)
    table = _learnable(table, spec)
    tested = splitting.rows_of_test(
        _values(table, spec.key_columns),
        None if label is None else label.to_numpy(),
        split=spec.split,
        by=(value for (value,) in _values(table, (spec.split.by,))) if spec.split.by else (),
        times_us=pc.cast(table.column(spec.time), pa.int64()).to_numpy() if spec.time else None,
    )
    parts = {train: _part(table, ~tested, spec), test: _part(table, tested, spec)}
    for path, part in parts.items():
        _write(path, part)
    classes = spec.label if spec.task == "classification" else None
    leaks = tuple(finding_leaks.find(parts[train], parts[test], spec=spec))
    facts = profiles.profile(parts[train].drop_columns(list(spec.key_columns)), classes=classes)
    facts["leaks"] = [asdict(leak) for leak in leaks]
    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2) + b"\n")
    return Parts(train=parts[train].num_rows, test=parts[test].num_rows, leaks=leaks)


def _values(table: Any, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Some columns row by row as Python's values, of which many at once would be large."""
    for piece in shelving.slices(table.select(list(names))):
        yield from zip(*(column.to_pylist() for column in piece.columns), strict=True)


def _part(table: Any, rows: Any, spec: ModelSpec) -> Any:
    """The rows that are true; where the spec bounds them, those that come first by another hash of their keys."""
    if spec.split.most_rows is not None and rows.sum() > spec.split.most_rows:
        # Not the places that divided the rows: in each part those lie on one side of a border.
        at = splitting.places(_values(table, spec.key_columns), seed=spec.split.seed + 1)
        rows = splitting.fewest(rows, at, most=spec.split.most_rows)
    return shelving.where(table, rows)


def _label_suits(label: Any, spec: ModelSpec) -> None:
    kind, distinct = logical.kind_of(label.type), pc.count_distinct(label).as_py()
    if distinct < 2:
        raise DataError(f"label {spec.label}: every row has the value {label[0].as_py()!r}; nothing can be learned")
    if spec.task == "regression" and kind not in {"int", "float"}:
        raise DataError(
            f"label {spec.label}: a regression needs numbers, found {kind} (first: {label[0].as_py()!r}); "
            f"with checks.columns.{spec.label}.type: float, rows that hold none are set aside"
        )
    if spec.task == "classification" and (kind == "datetime" or distinct > _MOST_CLASSES):
        raise DataError(f"label {spec.label}: {distinct} distinct values of type {kind} are no classes; a regression?")


def _learnable(table: Any, spec: ModelSpec) -> Any:
    """Features as numbers, times and words: flags become 0 and 1; a whole number that may be missing a float."""
    columns, features = {}, 0
    for name in table.column_names:
        column, kind = table.column(name), logical.kind_of(table.column(name).type)
        if name not in spec.hidden and not spec.dropped(name):
            features += 1
            if kind == "bool":
                column = pc.cast(column, pa.int64())
            if kind in {"bool", "int"} and column.null_count:
                column = pc.cast(column, pa.float64(), safe=False)
        columns[name] = column
    if not features:
        raise DataError("no feature is left besides the keys and the label")
    return pa.table(columns)


def _write(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    shelving.write_parquet(table, aside)
    aside.replace(path)
