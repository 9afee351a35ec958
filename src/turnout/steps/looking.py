"""What somebody who sees a table for the first time would say about it: key, label, task, and what is of no use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import InputError
from turnout.spec import Checks, ColumnType, Source, Task
from turnout.spec.rules import did_you_mean
from turnout.steps import finding, logical, reading

__all__ = ["Facts", "Look", "look"]

_KEY_NAMES = re.compile(
    r"(?i:id|key|uuid|guid|index|no|nr|number|unnamed_1|.*[_ -](id|key|uuid|no|nr))|.*[a-z](Id|ID|Key|No)"
)
_SEPARATORS = ",;\t|"
_MOST_CATEGORIES = 50
_MOST_CLASSES = 20
_DECIMAL_COMMA = r"^\s*[-+]?[0-9.]*,[0-9]+\s*$"


@dataclass(frozen=True)
class Facts:
    """What one column looks like."""

    name: str
    kind: ColumnType
    rows: int
    missing: int
    distinct: int
    least: Any
    most: Any
    decimal_comma: bool

    @property
    def unique(self) -> bool:
        """Whether its values could identify the rows."""
        return not self.missing and self.distinct == self.rows and self.kind != "float"


@dataclass(frozen=True)
class Look:
    """What a table looks like, and what is made of it."""

    path: Path
    separator: str
    rows: int
    label: Facts
    counts: Sequence[tuple[Any, int]]
    """The label's values and how often each is there, the most frequent first."""
    task: Task
    key: str | None
    features: tuple[Facts, ...]
    dropped: tuple[tuple[str, str], ...]
    """Columns that no model should see, each with the reason."""
    unreadable: int


def look(path: Path, label: str) -> Look:
    """Look at every column of a file.

    Raises:
        InputError: there is no such file, or the label cannot be learned.
        DataError: the file is empty or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    separator = _separator(path)
    with TemporaryDirectory() as scratch:
        source = Source(name="data", path=str(path), separator=separator)
        read = reading.read(source, finding.find(source, Path(scratch)), checks=Checks())
    facts = {name: _facts(name, read.table.column(name)) for name in read.table.column_names}
    if label not in facts:
        near = did_you_mean(label, list(facts))
        raise InputError(f"{path}: no column '{label}'{near}; columns: {', '.join(facts)}")
    values = pc.drop_null(read.table.column(label))
    counts = _counts(values)
    task = _task(facts[label], counts, path)
    key = _key([column for column in facts.values() if column.name != label])
    others = [column for column in facts.values() if column.name not in (label, key)]
    dropped = tuple((column.name, why) for column in others if (why := _useless(column)))
    features = tuple(column for column in others if not _useless(column))
    if not features:
        raise InputError(f"{path}: no column is left to learn '{label}' from: {_reasons(dropped)}")
    return Look(
        path=path,
        separator=separator,
        rows=read.rows,
        label=facts[label],
        counts=counts,
        task=task,
        key=key,
        features=features,
        dropped=dropped,
        unreadable=len(read.ragged),
    )


def _separator(path: Path) -> str:
    """The separator that stands most often in the first line of a text file."""
    with path.open("rb") as file:
        header = file.readline(1 << 20).decode("utf-8", errors="replace")
    return max(_SEPARATORS, key=header.count) if path.suffix.lower() not in {".parquet", ".pq"} else ","


def _facts(name: str, column: Any) -> Facts:
    kind = logical.kind_of(column.type)
    assert kind is not None  # reading refuses any other
    ends = pc.min_max(column).as_py() if kind != "bool" else {"min": None, "max": None}
    text = pc.drop_null(column) if kind == "string" else pa.array([], pa.string())
    comma = len(text) > 0 and bool(pc.all(pc.match_substring_regex(text, _DECIMAL_COMMA)).as_py())
    return Facts(
        name=name,
        kind=kind,
        rows=len(column),
        missing=column.null_count,
        distinct=pc.count_distinct(column, mode="only_valid").as_py(),
        least=ends["min"],
        most=ends["max"],
        decimal_comma=comma,
    )


def _counts(values: Any) -> list[tuple[Any, int]]:
    found = [(item["values"], item["counts"]) for item in pc.value_counts(values).to_pylist()]
    return sorted(found, key=lambda pair: (-pair[1], str(pair[0])))


def _task(label: Facts, counts: Sequence[tuple[Any, int]], path: Path) -> Task:
    """Words and flags are classes; so are few whole numbers; other numbers are a quantity.

    Raises:
        InputError: the label is missing everywhere, is the same everywhere, or is different in nearly every row.
    """
    where, present = f"{path}: label '{label.name}'", label.rows - label.missing
    if not present:
        raise InputError(f"{where} has no value in any row")
    if len(counts) < 2:
        raise InputError(f"{where} has the same value in every row: {counts[0][0]!r}; nothing can be learned")
    if label.kind in {"int", "float"} and not _few_whole(counts, present):
        return "regression"
    if label.decimal_comma:
        raise InputError(f"{where} has numbers with a decimal comma; write them with a point")
    if label.kind == "datetime" or len(counts) > present / 2:
        raise InputError(
            f"{where} has {len(counts)} different values of type {label.kind} in {present} rows; no classes"
        )
    return "classification"


def _few_whole(counts: Sequence[tuple[Any, int]], present: int) -> bool:
    whole = all(float(value).is_integer() for value, _ in counts)
    return whole and len(counts) <= min(_MOST_CLASSES, max(2, present // 10))


def _key(columns: Sequence[Facts]) -> str | None:
    """The first column with the name of a key whose values identify the rows."""
    return next((column.name for column in columns if column.unique and _KEY_NAMES.fullmatch(column.name)), None)


def _useless(column: Facts) -> str | None:
    """Why no model should see a column as it is, or None."""
    if column.missing == column.rows:
        return "no values"
    if column.distinct == 1:
        return "the same value everywhere"
    if column.kind == "datetime":
        return "dates or times; make features of them (hour, weekday, age)"
    if column.decimal_comma:
        return "numbers with a decimal comma; write them with a point"
    if column.kind == "string" and column.distinct > _MOST_CATEGORIES:
        return f"{column.distinct} different words: a name or free text"
    if column.unique and _KEY_NAMES.fullmatch(column.name):
        return "identifies the row"
    return None


def _reasons(dropped: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in dropped) or "the table has no other column"
