"""Files into tables: CSV and Parquet, one file, a pattern or a folder, local or on S3.

A source is read once, and its column kinds are settled once: as the spec declares them, else from all of its values.
Every row remembers the file and line that it came from, so that a complaint can be looked up in an editor.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from turnout import storage
from turnout.errors import DataError, NotFound
from turnout.spec import Checks, Column, ColumnType, Source
from turnout.steps import csvfiles, logical
from turnout.steps.quarantine import BadCell

__all__ = ["File", "SourceTable", "read"]

_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True)
class File:
    """One file of a source, as its lineage names it."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class SourceTable:
    """One source: its typed columns, and for each row the file and the position in it."""

    name: str
    table: Any
    files: tuple[File, ...]
    file_of: np.ndarray[Any, Any]
    row_of: np.ndarray[Any, Any]
    bad: tuple[BadCell, ...] = ()
    ragged: tuple[tuple[int, int, str], ...] = field(default=(), repr=False)
    separator: str = ","

    @property
    def rows(self) -> int:
        """How many rows could be read."""
        return int(self.table.num_rows)

    def place(self, rows: Sequence[int]) -> list[tuple[str, int]]:
        """File and line (for Parquet: row, from 1) of some rows."""
        lines: dict[tuple[int, int], int] = {}
        for index, file in enumerate(self.files):
            wanted = {int(self.row_of[row]) for row in rows if self.file_of[row] == index}
            if wanted:
                found = _lines(Path(file.path), self.separator, wanted)
                lines.update({(index, row): line for row, line in found.items()})
        keys = [(int(self.file_of[row]), int(self.row_of[row])) for row in rows]
        return [(self.files[index].path, lines[index, row]) for index, row in keys]


@dataclass(frozen=True)
class _Part:
    """One file's content: words for CSV, the file's own types for Parquet; lines with a wrong number of values."""

    file: File
    table: Any
    ragged: tuple[tuple[int, str], ...] = ()

    @property
    def is_words(self) -> bool:
        """Whether the kinds of its columns are still to be found out."""
        return _SUFFIXES[Path(self.file.path).suffix.lower()] == "csv"


def read(source: Source, *, checks: Checks, scratch: Path) -> SourceTable:
    """All files of a source as one table; `scratch` receives what must be fetched first.

    Raises:
        DataError: a file is missing, empty, damaged, or has other columns than the first; it is named.
    """
    parts = [_read_file(path, source) for path in _files(source, scratch)]
    names = parts[0].table.column_names
    for part in parts[1:]:
        _same_columns(parts[0], part, source.name)
    rows = [part.table.num_rows for part in parts]
    if not sum(rows):
        raise DataError(f"source {source.name} ({parts[0].file.path}): no rows, only the header {', '.join(names)}")
    columns: dict[str, Any] = {}
    bad: list[BadCell] = []
    for name in names:
        raw, kind = _settled(name, parts, checks.rule(name), source.name)
        made = logical.to_kind(raw, kind)
        columns[name] = made.values
        wrong = [int(row) for row in np.flatnonzero(made.failed)]
        bad += [BadCell(row=row, column=name, rule=f"type {kind}", value=str(raw[row].as_py())) for row in wrong]
    return SourceTable(
        name=source.name,
        table=pa.table(columns),
        files=tuple(part.file for part in parts),
        file_of=np.repeat(np.arange(len(parts)), rows),
        row_of=np.concatenate([np.arange(count) for count in rows]),
        bad=tuple(bad),
        ragged=tuple((index, line, text) for index, part in enumerate(parts) for line, text in part.ragged),
        separator=source.separator,
    )


def _files(source: Source, scratch: Path) -> list[Path]:
    """The files of a source in the order of their names."""
    path = Path(source.path)
    if storage.is_url(source.path):
        path = _fetch(source, scratch)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and _visible(file, path))
    elif path.exists():
        found = [path]
    else:
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
    if not found:
        raise DataError(f"source {source.name}: {source.path}: no such file, and no files that match it")
    return found


def _visible(file: Path, root: Path) -> bool:
    """Not below a folder or with a name that writers of tables use for their own (`_temporary`, `.crc`)."""
    return not any(part.startswith(("_", ".")) for part in file.relative_to(root).parts)


def _fetch(source: Source, scratch: Path) -> Path:
    """A local path with the content of a URL."""
    address = urlsplit(source.path)
    if address.scheme == "file":
        return Path(unquote(address.path))
    place, target = storage.at(source.path), scratch / source.name
    try:
        if Path(address.path).suffix.lower() in _SUFFIXES:
            target.mkdir(parents=True, exist_ok=True)
            file = target / Path(address.path).name
            file.write_bytes(place.read_bytes())
            return file
        place.download_folder(target)
    except NotFound as error:
        raise DataError(f"source {source.name}: {error}") from error
    return target


def _read_file(path: Path, source: Source) -> _Part:
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"source {source.name} ({path}): a .csv or .parquet file was wanted")
    if path.stat().st_size == 0:
        raise DataError(f"source {source.name} ({path}): the file is empty")
    part = _read_csv(path, source) if kind == "csv" else _read_parquet(path, source)
    _named_once(part.table.column_names, path, source.name)
    return part


def _read_csv(path: Path, source: Source) -> _Part:
    words = csvfiles.read(path, separator=source.separator, source=source.name)
    return _Part(File(str(path), words.sha256, words.table.num_rows), words.table, words.ragged)


def _read_parquet(path: Path, source: Source) -> _Part:
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"source {source.name} ({path}): not a whole Parquet file: {str(error).splitlines()[0]}"
        ) from error
    return _Part(File(str(path), _digest(path), table.num_rows), table)


def _named_once(names: list[str], path: Path, source: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"source {source} ({path}): columns named twice: {', '.join(twice)}")


def _same_columns(first: _Part, other: _Part, source: str) -> None:
    wanted, found = first.table.column_names, other.table.column_names
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or extra:
        detail = "; ".join(
            f"{word} {', '.join(names)}" for word, names in (("lacks", missing), ("has besides", extra)) if names
        )
        raise DataError(f"source {source} ({other.file.path}): other columns than {first.file.path}: it {detail}")


def _settled(name: str, parts: list[_Part], rule: Column, source: str) -> tuple[Any, ColumnType]:
    """A column of all files with the kind that it is to have: the declared one, the files' own, or the inferred one."""
    chunks = [part.table.column(name) for part in parts]
    kinds: set[ColumnType] = set()
    for chunk in chunks:
        kind = logical.kind_of(chunk.type)
        if kind is None:
            raise DataError(f"source {source}, column {name}: {chunk.type} is not a value that a table can hold")
        kinds.add(kind)
    if kinds == {"int", "float"}:
        return _one([chunk.cast(pa.float64(), safe=False) for chunk in chunks], name, source), rule.type or "float"
    if len(kinds) > 1 or any(part.is_words for part in parts):
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
    if _SUFFIXES[path.suffix.lower()] == "parquet":
        return {row: row + 1 for row in rows}
    return csvfiles.lines(path, separator=separator, rows=rows)
