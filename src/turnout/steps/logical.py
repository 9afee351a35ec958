"""The five kinds of column that Turnout knows, and how text or an Arrow column becomes one of them.

`int`, `float`, `string`, `bool` and `datetime` (UTC, microseconds) are what CSV can say and Parquet can hold alike, so
that the same content is the same table whichever file it came in. Missing is null; a NaN is missing; -0.0 is 0.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from turnout.spec import ColumnType
from turnout.steps import shelving

__all__ = ["ARROW", "MISSING_WORDS", "Cast", "infer", "kind_of", "to_kind"]

ARROW: dict[ColumnType, Any] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us", tz="UTC"),
}
MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "<NA>", "NULL", "null", "None", "#N/A")

# A number that begins with a zero is a code (a postcode, an account), and one of more than 18 digits is an id.
_WHOLE = r"0|[1-9][0-9]{0,17}"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_PATTERNS: dict[ColumnType, str] = {
    "int": rf"^\s*[-+]?({_WHOLE})\s*$",
    "float": rf"^\s*[-+]?((({_WHOLE})(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|(?i:inf(inity)?))\s*$",
    "bool": r"^\s*(?i:true|false)\s*$",
    "datetime": rf"^\s*{_DAY}([T ]{_TIME}(Z|[-+][0-9]{{2}}:?[0-9]{{2}})?)?\s*$",
}
# What is accepted besides when the spec says what the column is.
_DECLARED: dict[ColumnType, str] = {
    **_PATTERNS,
    "int": r"^\s*[-+]?[0-9]{1,18}(\.0*)?\s*$",
    "float": r"^\s*[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|(?i:inf(inity)?))\s*$",
    "bool": r"^\s*(?i:true|false|yes|no|1|0)\s*$",
}


_MOST_SECONDS = 2.0**38  # some nine thousand years


@dataclass(frozen=True)
class Cast:
    """A column made into one kind; `failed` says which of its values could not be (they are null in `values`)."""

    values: Any
    failed: Any


def infer(words: Any) -> ColumnType:
    """The kind of a column of words: the first of the patterns that fits every value; all missing counts as numbers."""
    if words.null_count == len(words):
        return "float"
    for kind, pattern in _PATTERNS.items():
        if pc.all(pc.match_substring_regex(words, pattern)).as_py():
            return kind if kind != "datetime" or not _times(words).failed.any() else "string"
    return "string"


def kind_of(arrow_type: Any) -> ColumnType | None:
    """The kind that an Arrow type is, or None for lists, structures, bytes and the like."""
    types = pa.types
    if types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    return next((kind for kind, matches in _kinds(types) if any(match(arrow_type) for match in matches)), None)


def to_kind(column: Any, kind: ColumnType) -> Cast:
    """The column as this kind, value by value; what cannot be is null and marked."""
    plain = _plain(column)
    present = kind_of(plain.type)
    if present == kind or {present, kind} <= {"int", "float"}:
        return _same(plain, kind)
    if kind == "string":
        return _whole_cast(pc.cast(plain, pa.string()))
    if kind == "datetime" and present in {"int", "float"}:
        return _from_seconds(plain)
    return _parse(pc.cast(plain, pa.string()), kind)


def _kinds(types: Any) -> Iterator[tuple[ColumnType, tuple[Any, ...]]]:
    yield "bool", (types.is_boolean,)
    yield "int", (types.is_integer,)
    yield "float", (types.is_floating, types.is_decimal, types.is_null)
    yield "datetime", (types.is_timestamp, types.is_date)
    yield "string", (types.is_string, types.is_large_string, types.is_string_view)


def _plain(column: Any) -> Any:
    """One contiguous array without dictionary encoding."""
    array = shelving.one_chunk(column)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _whole_cast(values: Any) -> Cast:
    return Cast(values, np.zeros(len(values), dtype=bool))


def _same(column: Any, kind: ColumnType) -> Cast:
    """Between kinds that hold the same values, up to a fraction that no whole number can be."""
    if kind == "float":
        return _whole_cast(_canonical_floats(pc.cast(column, pa.float64(), safe=False)))
    if kind == "int" and pa.types.is_integer(column.type):
        return _from_integers(column)
    if kind == "int":
        return _from_floats(_canonical_floats(pc.cast(column, pa.float64())))
    return _whole_cast(pc.cast(column, ARROW[kind], safe=False))


def _from_integers(column: Any) -> Cast:
    failed = np.zeros(len(column), dtype=bool)
    if pa.types.is_uint64(column.type):
        most = pa.scalar(2**63 - 1, pa.uint64())
        failed = pc.fill_null(pc.greater(column, most), False).to_numpy(zero_copy_only=False)
        column = pc.if_else(pa.array(failed), pa.scalar(None, pa.uint64()), column)
    return Cast(pc.cast(column, pa.int64()), failed)


def _from_floats(column: Any) -> Cast:
    values = column.to_numpy(zero_copy_only=False)
    missing = np.isnan(values)
    with np.errstate(invalid="ignore"):
        failed = ~missing & ~((values == np.floor(values)) & (np.abs(values) < 2.0**63))
    whole = np.where(missing | failed, 0, values).astype(np.int64)
    return Cast(pa.array(whole, mask=missing | failed), failed)


def _from_seconds(column: Any) -> Cast:
    """Numbers are times as models get them: seconds since 1970 in UTC."""
    seconds = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    failed = ~np.isnan(seconds) & ~(np.abs(seconds) < _MOST_SECONDS)
    missing = np.isnan(seconds) | failed
    micros = np.round(np.where(missing, 0.0, seconds) * 1e6).astype(np.int64)
    return Cast(pa.array(micros, mask=missing).cast(ARROW["datetime"]), failed)


def _canonical_floats(column: Any) -> Any:
    values = column.to_numpy(zero_copy_only=False)
    return pa.array(values + 0.0, from_pandas=True)


def _parse(words: Any, kind: ColumnType) -> Cast:
    fits = pc.fill_null(pc.match_substring_regex(words, _DECLARED[kind]), True).to_numpy(zero_copy_only=False)
    fitting = pc.utf8_trim_whitespace(pc.if_else(pa.array(fits), words, pa.scalar(None, pa.string())))
    if kind == "datetime":
        times = _times(fitting)
        return Cast(times.values, times.failed | ~fits)
    if kind == "bool":
        true = pc.is_in(pc.utf8_lower(fitting), pa.array(["true", "yes", "1"]))
        return Cast(pc.if_else(pc.is_null(fitting), pa.scalar(None, pa.bool_()), true), ~fits)
    if kind == "int":
        digits = pc.replace_substring_regex(fitting, r"^\+|\.0*$", "")
        return Cast(pc.cast(digits, pa.int64()), ~fits)
    return Cast(_canonical_floats(pc.cast(fitting, pa.float64())), ~fits)


def _times(words: Any) -> Cast:
    """Words of ISO 8601 as UTC; one that looks like a date but is none (February 30) has failed."""
    series = pd.Series(words.to_pandas(), dtype="object")
    times = cast("pd.Series[Any]", pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce"))
    failed = np.asarray(times.isna() & series.notna(), dtype=bool)
    return Cast(pa.array(times.dt.as_unit("us"), type=ARROW["datetime"], from_pandas=True), failed)
