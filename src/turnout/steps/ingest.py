"""Sources into a snapshot: read, check, set bad rows aside, join, unite, name by content."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout import times
from turnout.errors import DataError, Unavailable
from turnout.spec import PREDICTION_KEY, ROW_KEY, ColumnType, ModelSpec, Source
from turnout.spec.fields import matches
from turnout.spec.rules import did_you_mean
from turnout.steps import (
    checking,
    differing,
    feedback,
    finding,
    joining,
    logical,
    lookups,
    quarantine,
    querying,
    reading,
    shelving,
    snapshots,
    uniting,
)
from turnout.steps.finding import Found
from turnout.steps.joining import Clean
from turnout.steps.logged import OpenBooks
from turnout.steps.quarantine import BadCell, BadRow, Tally
from turnout.steps.reading import SourceTable
from turnout.steps.snapshots import Snapshot, SourceFile

__all__ = ["Last", "ingest"]


@dataclass(frozen=True)
class Last:
    """The snapshot that the model's latest version learned from: its id and its rows."""

    id: str
    table: Any


_NOTHING = hashlib.sha256(b"").hexdigest()


def ingest(
    spec: ModelSpec,
    *,
    snapshot: Path,
    quarantined: Path,
    books: OpenBooks | None = None,
    last: Callable[[], Last | None] | None = None,
    now_us: int | None = None,
) -> Snapshot:
    """Make the snapshot folder, and the file of the rows that were set aside (written also when the run stops).

    `books` opens the ledger for a spec that has a source there; rows later than `now_us` are of the future.
    `last` finds the snapshot of the model's latest version, for a spec that bounds how far its data may drift.

    Raises:
        DataError: a file, a column or the key is missing or of the wrong kind, or too many rows are bad.
        Unavailable: the spec has a source in the ledger, which does not answer.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    with TemporaryDirectory(prefix="turnout-ingest-") as scratch:
        sources, empty = _read(spec, scratch=Path(scratch), books=books)
        _have_the_columns(spec, sources)
        identities = {source.name: _identity(source, spec) for source in spec.sources}
        bad = {s.name: _bad_cells(s, spec, keys=identities[s.name], now_us=now_us) for s in sources}
        table = _instance_table(spec, sources, bad)
        tallies = [_tally(source, bad[source.name], identities[source.name]) for source in sources]
    count = quarantine.write(quarantined, tallies)
    quarantine.complain(tallies, max_bad_rows=spec.checks.max_bad_rows, all_of_them=quarantined)
    _whole_table(table, spec, now_us=now_us)
    if spec.checks.max_drift is not None and last is not None and (before := last()) is not None:
        _has_not_drifted(table, before, spec)
    files = tuple(file for source, tally in zip(sources, tallies, strict=True) for file in _lineage(source, tally))
    return snapshots.write(
        snapshot,
        table,
        keys=spec.key_columns,
        label=spec.label,
        sources=(*files, *empty),
        quarantined=count,
        time=spec.time,
    )


def _read(spec: ModelSpec, *, scratch: Path, books: OpenBooks | None) -> tuple[list[SourceTable], list[SourceFile]]:
    """The sources with rows; and those in the ledger that have none yet, which is no mistake where others have some."""
    sources: list[SourceTable] = []
    empty: list[SourceFile] = []
    kinds: dict[str, ColumnType] = {}
    for source in sorted(spec.sources, key=lambda source: (source.is_appended, source.is_looked_up)):
        found = _found(source, spec, scratch=scratch, books=books)
        if not found:
            empty.append(SourceFile(source.name, source.path, _NOTHING, 0, 0))
            continue
        # What something is looked up by is of the kind that it has in the table.
        known = kinds if source.is_appended else {name: kinds[name] for name in source.looked_up_by if name in kinds}
        table = reading.read(source, found, checks=spec.checks, keys=spec.keys, kinds=known)
        if not source.is_appended:
            kinds |= _kinds(table.table, spec)
        sources.append(table)
    looked_up = {source.name for source in spec.sources if source.is_looked_up}
    if not {source.name for source in sources} - looked_up:
        names = ", ".join(source.path for source in spec.sources if source.is_ledger)
        raise DataError(f"there are no labelled predictions yet to learn from in {names}")
    return sources, empty


def _found(source: Source, spec: ModelSpec, *, scratch: Path, books: OpenBooks | None) -> list[Found]:
    if source.query is not None:
        return [querying.fetch(source, scratch)]
    if not source.is_ledger:
        return finding.find(source, scratch)
    if books is None:
        raise Unavailable(f"source {source.name} ({source.path}): no ledger is known here")
    assert spec.label is not None  # the spec's rules refuse a ledger source without one
    fetched = feedback.fetch(source, label=spec.label, time=spec.time, books=books(), scratch=scratch)
    return [fetched] if fetched else []


def _kinds(table: Any, spec: ModelSpec) -> dict[str, ColumnType]:
    """What columns of appended rows are read as. A feature whose first values were whole may go on with fractions."""
    kinds = {name: logical.kind_of(table.column(name).type) for name in table.column_names}
    fixed = (*spec.key_columns, spec.label)
    return {name: kind for name, kind in kinds.items() if kind and (kind != "int" or name in fixed)}


def _instance_table(spec: ModelSpec, sources: Sequence[SourceTable], bad: dict[str, list[BadCell]]) -> Any:
    """Joined, with the rows of files that are appended, then what is looked up, then the ledger's rows.

    Those have what was looked up for them when they were asked. Rows without a partner are added to the bad ones.
    """
    cleans = {clean.name: clean for clean in _cleans(sources, bad, spec)}
    named = [(source, cleans[source.name]) for source in spec.sources if source.name in cleans]
    joinable = [clean for source, clean in named if not source.is_appended and not source.is_looked_up]
    base = None
    if joinable:
        joined = joining.join(joinable, spec.keys or (ROW_KEY,))
        base = joined.table
        for name, rows in joined.unmatched.items():
            bad[name] += [BadCell(int(row), ", ".join(spec.keys), "a partner in every source", "") for row in rows]
    files = [clean for source, clean in named if source.is_appended and not source.is_ledger]
    if files:
        base = uniting.unite(base, files, spec=spec)
    looked_up = [(source, clean) for source, clean in named if source.is_looked_up]
    if base is not None and looked_up:
        base = lookups.attach(base, looked_up, spec=spec)
    if any(source.is_ledger for source in spec.sources):
        return uniting.unite(base, [clean for source, clean in named if source.is_ledger], spec=spec)
    return base


def _whole_table(table: Any, spec: ModelSpec, *, now_us: int) -> None:
    """What only all rows together can break: how many there are, and how old the latest is."""
    rows, checks = table.num_rows, spec.checks
    if rows < checks.min_rows or not rows:
        raise DataError(f"{rows} rows are left to learn from, {max(1, checks.min_rows)} are needed (min_rows)")
    if checks.max_rows is not None and rows > checks.max_rows:
        raise DataError(f"{rows} rows are there to learn from, no more than {checks.max_rows} were expected (max_rows)")
    if spec.time is None:
        return
    when = table.column(spec.time)
    if logical.kind_of(when.type) != "datetime":
        raise DataError(
            f"column {spec.time} says when a row was, and holds no times (first: {when[0].as_py()!r}); "
            f"with checks.columns.{spec.time}.type: datetime, rows that hold none are set aside"
        )
    latest_us = pc.cast(pc.max(when), pa.int64()).as_py()
    if checks.fresh_us is not None and now_us - latest_us > checks.fresh_us:
        raise DataError(
            f"the latest row is of {times.text(latest_us)}, {times.length(now_us - latest_us)} ago; "
            f"fresh wants one of the last {checks.fresh}"
        )


def _has_not_drifted(table: Any, before: Last, spec: ModelSpec) -> None:
    """Whether every column is distributed about as in the snapshot of the latest version."""
    most = spec.checks.max_drift or 0.0
    moved = []
    for name in table.column_names:
        if name in (*spec.key_columns, spec.time) or name not in before.table.column_names:
            continue
        old, new = before.table.column(name), table.column(name)
        far = differing.stability(old, new) if old.type == new.type else None
        if far is not None and far > most:
            moved.append(f"{name} by {far:.3g} ({_typical(old)} then, {_typical(new)} now)")
    if moved:
        raise DataError(
            f"since {before.id}, which the latest version learned from, columns moved further than max_drift allows "
            f"({most:g}): {'; '.join(moved[:5])}{f'; and {len(moved) - 5} more' if len(moved) > 5 else ''}"
        )


def _typical(column: Any) -> str:
    """The mean of numbers, the most frequent of words."""
    if logical.kind_of(column.type) in {"int", "float"}:
        return f"mean {pc.mean(column).as_py():.4g}"
    counts = pc.value_counts(pc.drop_null(column)).to_pylist()
    return f"most often {max(counts, key=lambda one: one['counts'])['values']}"


def _identity(source: Source, spec: ModelSpec) -> tuple[str, ...]:
    """The columns that identify a row of one source."""
    return lookups.identity(source) if source.is_looked_up else spec.key_columns


def _have_the_columns(spec: ModelSpec, sources: Sequence[SourceTable]) -> None:
    """Every key in every source of files, label and time in one, and everything that a rule names in some."""
    keyless = {source.name for source in spec.sources if source.is_ledger or source.is_looked_up}
    for source in sources:
        if source.name not in keyless:
            _has_keys(source, spec)
    known = {name for source in sources for name in source.table.column_names}
    named = {"label": spec.label, "time": spec.time, "group (split.by)": spec.split.by}
    for what, column in named.items():
        if column is not None and column not in known:
            raise _missing(f"{what} {column}", column, sources)
    for where, names in (("checks.columns", tuple(spec.checks.columns)), ("drop", spec.drop)):
        for name in names:
            if not any(matches(column, name) for column in known):
                raise _missing(f"column {name} (named in {where})", name, sources)


def _has_keys(source: SourceTable, spec: ModelSpec) -> None:
    for key in spec.keys:
        if key not in source.table.column_names:
            raise _missing(f"key {key}", key, [source])
        if pa.types.is_floating(source.table.column(key).type):
            raise DataError(
                f"source {source.name} ({source.files[0].address}), column {key}: fractions cannot identify a row; "
                f"say what the key is in checks.columns.{key}.type"
            )
    made = set(spec.key_columns) - set(spec.keys)
    for name in sorted(made & set(source.table.column_names)):
        raise DataError(f"source {source.name}: column {name} has the name of the key that is made; rename it")


def _missing(what: str, name: str, sources: Sequence[SourceTable]) -> DataError:
    found = {column: None for source in sources for column in source.table.column_names}
    where = ", ".join(f"{source.name} ({source.files[0].address})" for source in sources)
    columns = ", ".join(list(found)[:20]) + (", ..." if len(found) > 20 else "")
    return DataError(f"source {where}: {what} is missing{did_you_mean(name, list(found))}; columns: {columns}")


def _bad_cells(source: SourceTable, spec: ModelSpec, *, keys: tuple[str, ...], now_us: int) -> list[BadCell]:
    """Each broken rule once: a value of the wrong kind was made missing, and is not bad for that too."""
    unread = {(cell.row, cell.column) for cell in source.bad}
    broken = [
        cell
        for cell in checking.check(source.table, spec, keys=keys, now_us=now_us)
        if (cell.row, cell.column) not in unread
    ]
    return [*source.bad, *broken]


def _cleans(sources: Sequence[SourceTable], bad: Mapping[str, Sequence[BadCell]], spec: ModelSpec) -> list[Clean]:
    """The sources without their bad rows; where the spec names no key, a row's position in the files becomes one."""
    looked_up = {source.name for source in spec.sources if source.is_looked_up}
    cleans, position = [], 0
    for source in sources:
        good = np.ones(source.rows, dtype=bool)
        good[[cell.row for cell in bad[source.name]]] = False
        table = source.table
        if not spec.keys and source.name not in looked_up and PREDICTION_KEY not in table.column_names:
            table = table.append_column(ROW_KEY, pa.array(np.arange(position, position + source.rows)))
            position += source.rows
        if not good.all():
            table = shelving.where(table, good)
        cleans.append(Clean(source.name, table, np.flatnonzero(good)))
    return cleans


def _tally(source: SourceTable, bad: Sequence[BadCell], keys: tuple[str, ...]) -> Tally:
    """The bad rows of a source with their files, lines and keys, in the order of the files."""
    ordered = sorted(bad, key=lambda cell: cell.row)
    rows = [
        BadRow(source.name, file, line, _key(source.table, cell.row, keys), cell.column, cell.rule, cell.value)
        for cell, (file, line) in zip(ordered, source.place([cell.row for cell in ordered]), strict=True)
    ]
    rows += [
        BadRow(source.name, source.files[index].address, line, "", "", "as many values as columns", text)
        for index, line, text in source.ragged
    ]
    return Tally(source.name, source.rows + len(source.ragged), tuple(rows))


def _key(table: Any, row: int, keys: tuple[str, ...]) -> str:
    return ", ".join(f"{key}={table.column(key)[row].as_py()}" for key in keys if key in table.column_names)


def _lineage(source: SourceTable, tally: Tally) -> list[SourceFile]:
    lost = {(row.file, row.line) for row in tally.bad}
    return [
        SourceFile(
            source.name, file.address, file.sha256, file.rows, quarantined=sum(path == file.address for path, _ in lost)
        )
        for file in source.files
    ]
