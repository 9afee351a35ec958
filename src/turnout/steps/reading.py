"""A source into one table.

It is read once, and its column kinds are settled once: as the spec declares them, else from all of its values.
Every row remembers the file and line that it came from, so that a complaint can be looked up in an editor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.errors import DataError
from turnout.spec import Checks, Column, ColumnType, Source
from turnout.spec.rules import did_you_mean
from turnout.steps import csvfiles, finding, logical, shelving
from turnout.steps.finding import Found
from turnout.steps.quarantine import BadCell

__all__ = ["File", "SourceTable", "read"]

NO_KINDS: Mapping[str, ColumnType] = MappingProxyType({})


@dataclass(frozen=True)
class File:
    """One file of a source: where it is, where it was read, and what was in it."""

    address: str
    local: Path
    sha256: str
    rows: int


@dataclass(frozen=True)
class SourceTable:
    """One source: its typed columns, and for each row the file and the position in it."""

    name: str
    table: Any
    files: tuple[File, ...]
    bad: tuple[BadCell, ...] = ()
    ragged: tuple[tuple[int, int, str], ...] = field(default=(), repr=False)
    separator: str = ","

    @property
    def rows(self) -> int:
        """How many rows could be read."""
        return int(self.table.num_rows)

    def place(self, rows: Sequence[int]) -> list[tuple[str, int]]:
        """File and line (for Parquet: row, from 1) of some rows."""
        ends = np.cumsum([file.rows for file in self.files])
        index_of = np.searchsorted(ends, rows, side="right").tolist()
        keys = [
            (index, int(row - ends[index] + self.files[index].rows)) for index, row in zip(index_of, rows, strict=True)
        ]
        lines: dict[tuple[int, int], int] = {}
        for index in set(index_of):
            wanted = {row for file, row in keys if file == index}
            found = _lines(self.files[index].local, self.separator, wanted)
            lines.update({(index, row): line for row, line in found.items()})
        return [(self.files[index].address, lines[index, row]) for index, row in keys]


@dataclass(frozen=True)
class _Part:
    """One file's content: words for CSV, the file's own types for Parquet; lines with a wrong number of values.

    `partitions` are the columns that its folders say, words in either case.
    """

    file: File
    table: Any
    ragged: tuple[tuple[int, str], ...] = ()
    partitions: frozenset[str] = frozenset()

    def is_words(self, column: str) -> bool:
        """Whether the kind of a column is still to be found out."""
        return finding.kind(self.file.local) == "csv" or column in self.partitions


def read(
    source: Source,
    found: Sequence[Found],
    *,
    checks: Checks,
    keys: tuple[str, ...] = (),
    kinds: Mapping[str, ColumnType] = NO_KINDS,
) -> SourceTable:
    """These files of a source as one table, its columns named as in the instance table.

    `kinds` are those of columns for which the spec does not say one; `keys` are taken whatever columns are wanted.

    Raises:
        DataError: a file is missing, empty, damaged, or has other columns than the first; it is named.
    """
    parts = [_read_file(one, source, keys) for one in found]
    names = parts[0].table.column_names
    for part in parts[1:]:
        _same_columns(parts[0], part, source.name)
    rows = [part.table.num_rows for part in parts]
    if not sum(rows):
        raise DataError(f"source {source.name} ({parts[0].file.address}): no rows, only the header {', '.join(names)}")
    columns: dict[str, Any] = {}
    bad: list[BadCell] = []
    for name in names:
        raw, kind = _settled(name, parts, checks.rule(name), source.name)
        if checks.rule(name).type is None:
            kind = kinds.get(name, kind)
        made = logical.to_kind(raw, kind)
        columns[name] = shelving.shelved(made.values)
        wrong = [int(row) for row in np.flatnonzero(made.failed)]
        bad += [BadCell(row=row, column=name, rule=f"type {kind}", value=str(raw[row].as_py())) for row in wrong]
    return SourceTable(
        name=source.name,
        table=pa.table(columns),
        files=tuple(part.file for part in parts),
        bad=tuple(bad),
        ragged=tuple((index, line, text) for index, part in enumerate(parts) for line, text in part.ragged),
        separator=source.separator,
    )


def _read_file(found: Found, source: Source, keys: tuple[str, ...]) -> _Part:
    where = f"source {source.name} ({found.address})"
    if found.local.stat().st_size == 0:
        raise DataError(f"{where}: the file is empty")
    if finding.kind(found.local) == "csv":
        words = csvfiles.read(found.local, separator=source.separator, where=where)
        table, sha256, ragged = words.table, words.sha256, words.ragged
    else:
        table, sha256, ragged = _read_parquet(found.local, where), _digest(found.local), ()
    said = {name: value for name, value in found.partitions if name not in table.column_names}
    for name, value in said.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{where}: columns named twice: {', '.join(twice)}")
    return _Part(
        File(found.address, found.local, sha256, table.num_rows),
        _wanted(table, source, keys, where),
        ragged,
        frozenset(map(source.renamed, said)),
    )


def _wanted(table: Any, source: Source, keys: tuple[str, ...], where: str) -> Any:
    """The columns that the spec wants, under the names that they have in the instance table."""
    needed = (*(source.columns or ()), *source.looked_up_by.values(), *([source.as_of] if source.as_of else []))
    for name in needed:
        if name not in table.column_names:
            near = did_you_mean(name, table.column_names)
            raise DataError(f"{where}: column {name} is missing{near}; columns: {', '.join(table.column_names)}")
    taken = table.select([name for name in table.column_names if source.takes(name, keys=keys)])
    return taken.rename_columns([source.renamed(name) for name in taken.column_names])


def _read_parquet(path: Path, where: str) -> Any:
    try:
        return shelving.read_parquet(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{where}: not a whole Parquet file: {str(error).splitlines()[0]}") from error


def _same_columns(first: _Part, other: _Part, source: str) -> None:
    wanted, found = first.table.column_names, other.table.column_names
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or extra:
        detail = "; ".join(
            f"{word} {', '.join(names)}" for word, names in (("lacks", missing), ("has besides", extra)) if names
        )
        raise DataError(f"source {source} ({other.file.address}): other columns than {first.file.address}: it {detail}")


def _settled(name: str, parts: list[_Part], rule: Column, source: str) -> tuple[Any, ColumnType]:
    """A column of all files with the kind that it is to have: the declared one, the files' own, or the inferred one."""
    chunks = [shelving.decoded(part.table.column(name)) for part in parts]
    kinds: set[ColumnType] = set()
    for chunk in chunks:
        kind = logical.kind_of(chunk.type)
        if kind is None:
            raise DataError(f"source {source}, column {name}: {chunk.type} is not a value that a table can hold")
        kinds.add(kind)
    if kinds == {"int", "float"}:
        return _one([chunk.cast(pa.float64(), safe=False) for chunk in chunks], name, source), rule.type or "float"
    if len(kinds) > 1 or any(part.is_words(name) for part in parts):
        words = _one([chunk.cast(pa.string()) for chunk in chunks], name, source)
        return words, rule.type or _inferred(words, rule)
    return _one(chunks, name, source), rule.type or kinds.pop()


def _inferred(words: Any, rule: Column) -> ColumnType:
    kind = logical.infer(words)
    bounded = rule.min is not None or rule.max is not None
    return "float" if bounded and kind != "int" else kind


def _one(chunks: list[Any], name: str, source: str) -> Any:
    """Chunks of one kind as one column, whatever width their numbers or times have."""
    tables = [pa.table({"column": chunk}) for chunk in chunks]
    try:
        return pa.concat_tables(tables, promote_options="permissive").column("column")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        types = ", ".join(sorted({str(chunk.type) for chunk in chunks}))
        raise DataError(f"source {source}, column {name}: its files hold different types: {types}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path, separator: str, rows: set[int]) -> dict[int, int]:
    if finding.kind(path) == "parquet":
        return {row: row + 1 for row in rows}
    return csvfiles.lines(path, separator=separator, rows=rows)
