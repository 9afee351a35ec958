"""The training and the test part as a model sees them: columns by name, in the types that a request carries.

Numbers are FP32 (missing: NaN), times are FP64 (seconds since 1970; FP32 would round them to two minutes) and words are
text (missing: ""), in training, in evaluation and in serving alike, so
that no model learns from a precision or a marker that its requests cannot have. Read without pandas: two of the steps
that need this never import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import shelving

__all__ = ["Array", "Part", "blocks", "read", "read_label", "select"]

Array = np.ndarray[Any, Any]
_BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class Part:
    """Rows of the instance table: features by column, in the table's order, and the label, NaN where there is none.

    A split by group or by time divides them again in cross-validation: `groups` numbers each row's group, and rows are
    in the order of time.
    """

    features: Mapping[str, Array]
    label: Array
    groups: Array | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.label)

    @property
    def categorical(self) -> tuple[str, ...]:
        """The columns that hold words."""
        return tuple(name for name, values in self.features.items() if values.dtype == object)


def read(path: Path, *, spec: ModelSpec) -> Part:
    """One part from its Parquet file; keys, label and dropped columns are no features.

    Raises:
        DataError: a column is neither numbers nor words, or the label is missing somewhere.
    """
    table = shelving.read_parquet(path)
    if spec.split.method == "time":
        # Stable: rows of one moment stay in the order of their keys.
        table = shelving.in_order(table, [str(spec.time)])
    names = [name for name in table.column_names if name not in spec.hidden and not spec.dropped(name)]
    if not names:
        raise DataError(f"no column is left to learn from besides keys, label and dropped ones: {table.column_names}")
    features = {name: _feature(name, table.column(name)) for name in names}
    label = np.full(table.num_rows, np.nan)
    if spec.label is not None:
        label = read_label(table.column(spec.label), name=spec.label, task=spec.task)
    return Part(features=features, label=label, groups=_groups(table.column(spec.split.by)) if spec.split.by else None)


def select(features: Mapping[str, Array], rows: Any) -> dict[str, Array]:
    """The same columns, only these rows."""
    return {name: values[rows] for name, values in features.items()}


def blocks(features: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """The same columns, some rows at a time; at least one block."""
    rows = len(next(iter(features.values()), ()))
    for first in range(0, max(1, rows), _BLOCK_ROWS):
        yield select(features, slice(first, first + _BLOCK_ROWS))


def read_label(column: pa.ChunkedArray, *, name: str, task: str) -> Array:
    """The label as a model answers it: FP64 for a regression, else INT64 or text.

    Raises:
        DataError: a value is missing, or the type can be no label of this task.
    """
    missing = column.null_count
    if missing:
        raise DataError(f"label column '{name}': {missing} of {len(column)} rows have no value")
    kind = column.type
    if task == "regression":
        if not _is_number(kind):
            raise DataError(f"label column '{name}': a regression needs numbers, found {kind}")
        return _finite(_numbers(column, pa.float64()), name)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _numbers(column, pa.int64())
    if pa.types.is_floating(kind):
        return _whole(_finite(_numbers(column, pa.float64()), name), name)
    if _is_text(kind):
        return _text(column)
    raise DataError(f"label column '{name}': whole numbers or words were wanted for a classification, found {kind}")


def _groups(column: pa.ChunkedArray) -> Array:
    """The number of each row's group; rows without one are a group."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.from_dlpack(pc.cast(encoded.indices, pa.int64()))


def _feature(name: str, column: pa.ChunkedArray) -> Array:
    kind = column.type
    if pa.types.is_boolean(kind) or _is_number(kind) or pa.types.is_null(kind):
        # By way of FP64: Arrow refuses to round a large whole number to FP32 in one step.
        return _numbers(column, pa.float64()).astype(np.float32)
    if pa.types.is_timestamp(kind):
        return _numbers(pc.cast(pc.cast(column, pa.timestamp("us", tz="UTC")), pa.int64()), pa.float64()) / 1e6
    if _is_text(kind):
        return _text(column)
    raise DataError(f"column '{name}' holds {kind}: neither numbers, times nor words; add it to `drop`")


def _numbers(column: pa.ChunkedArray, kind: pa.DataType) -> Array:
    """A column's numbers, missing ones as NaN. Without `to_numpy`, which imports pandas."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    whole = pc.cast(column, kind, safe=False).combine_chunks()
    if not whole.null_count:
        return np.from_dlpack(whole)
    values = np.full(len(whole), np.nan)
    values[np.from_dlpack(pc.indices_nonzero(whole.is_valid()))] = np.from_dlpack(whole.drop_null())
    return values


def _text(column: pa.ChunkedArray) -> Array:
    """A column's words; each is one object, however many rows have it."""
    encoded = shelving.one_chunk(pc.fill_null(pc.cast(column, pa.string()), "")).dictionary_encode()
    words = np.array(["", *encoded.dictionary.to_pylist()], dtype=object)[1:]
    return np.asarray(words[np.from_dlpack(pc.cast(encoded.indices, pa.int64()))])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _finite(values: Array, name: str) -> Array:
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise DataError(f"label column '{name}': {wrong} of {len(values)} rows are not finite numbers")
    return values


def _whole(values: Array, name: str) -> Array:
    broken = values[values != np.floor(values)]
    if len(broken):
        raise DataError(
            f"label column '{name}': classes are whole numbers or words, found {broken[0]}; is this a regression?"
        )
    return values.astype(np.int64)
