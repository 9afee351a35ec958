"""Sources into a snapshot: read, check, set bad rows aside, join, name by content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.errors import DataError
from turnout.spec import ROW_KEY, ModelSpec
from turnout.spec.model import matches
from turnout.spec.rules import did_you_mean
from turnout.steps import checking, joining, quarantine, reading, snapshots
from turnout.steps.joining import Clean
from turnout.steps.quarantine import BadCell, BadRow, Tally
from turnout.steps.reading import SourceTable
from turnout.steps.snapshots import Snapshot, SourceFile

__all__ = ["ingest"]


def ingest(spec: ModelSpec, *, snapshot: Path, quarantined: Path) -> Snapshot:
    """Make the snapshot folder, and the file of the rows that were set aside (written also when the run stops).

    Raises:
        DataError: a file, a column or the key is missing or of the wrong kind, or too many rows are bad.
    """
    with TemporaryDirectory(prefix="turnout-ingest-") as scratch:
        sources = [reading.read(source, checks=spec.checks, scratch=Path(scratch)) for source in spec.sources]
        _have_the_columns(spec, sources)
        bad = {source.name: _bad_cells(source, spec) for source in sources}
        joined = joining.join([_clean(source, bad[source.name], spec) for source in sources], spec.key_columns)
        for name, rows in joined.unmatched.items():
            bad[name] += [BadCell(int(row), ", ".join(spec.keys), "a partner in every source", "") for row in rows]
        tallies = [_tally(source, bad[source.name], spec.keys) for source in sources]
    count = quarantine.write(quarantined, tallies)
    quarantine.complain(tallies, max_bad_rows=spec.checks.max_bad_rows, all_of_them=quarantined)
    rows = joined.table.num_rows
    if rows < spec.checks.min_rows or not rows:
        raise DataError(f"{rows} rows are left to learn from, {max(1, spec.checks.min_rows)} are needed (min_rows)")
    files = tuple(file for source, tally in zip(sources, tallies, strict=True) for file in _lineage(source, tally))
    return snapshots.write(
        snapshot, joined.table, keys=spec.key_columns, label=spec.label, sources=files, quarantined=count
    )


def _have_the_columns(spec: ModelSpec, sources: Sequence[SourceTable]) -> None:
    """Every key in every source, the label in one, and everything that a rule names in some."""
    for source in sources:
        for key in spec.keys:
            if key not in source.table.column_names:
                raise _missing(f"key {key}", key, [source])
            if pa.types.is_floating(source.table.column(key).type):
                raise DataError(
                    f"source {source.name} ({source.files[0].address}), column {key}: fractions cannot identify a row; "
                    f"say what the key is in checks.columns.{key}.type"
                )
        if ROW_KEY in source.table.column_names and not spec.keys:
            raise DataError(f"source {source.name}: column {ROW_KEY} has the name of the key that is made; rename it")
    known = {name for source in sources for name in source.table.column_names}
    if spec.label not in known:
        raise _missing(f"label {spec.label}", spec.label, sources)
    for where, names in (("checks.columns", tuple(spec.checks.columns)), ("drop", spec.drop)):
        for name in names:
            if not any(matches(column, name) for column in known):
                raise _missing(f"column {name} (named in {where})", name, sources)


def _missing(what: str, name: str, sources: Sequence[SourceTable]) -> DataError:
    found = {column: None for source in sources for column in source.table.column_names}
    where = ", ".join(f"{source.name} ({source.files[0].address})" for source in sources)
    columns = ", ".join(list(found)[:20]) + (", ..." if len(found) > 20 else "")
    return DataError(f"source {where}: {what} is missing{did_you_mean(name, list(found))}; columns: {columns}")


def _bad_cells(source: SourceTable, spec: ModelSpec) -> list[BadCell]:
    """Each broken rule once: a value of the wrong kind was made missing, and is not bad for that too."""
    unread = {(cell.row, cell.column) for cell in source.bad}
    broken = [cell for cell in checking.check(source.table, spec) if (cell.row, cell.column) not in unread]
    return [*source.bad, *broken]


def _clean(source: SourceTable, bad: Sequence[BadCell], spec: ModelSpec) -> Clean:
    """The source without its bad rows; where the spec names no key, a row's position becomes one."""
    good = np.ones(source.rows, dtype=bool)
    good[[cell.row for cell in bad]] = False
    table = source.table
    if not spec.keys:
        table = table.append_column(ROW_KEY, pa.array(np.arange(source.rows)))
    return Clean(source.name, table.filter(pa.array(good)), np.flatnonzero(good))


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
    return ", ".join(f"{key}={table.column(key)[row].as_py()}" for key in keys)


def _lineage(source: SourceTable, tally: Tally) -> list[SourceFile]:
    lost = {(row.file, row.line) for row in tally.bad}
    return [
        SourceFile(
            source.name, file.address, file.sha256, file.rows, quarantined=sum(path == file.address for path, _ in lost)
        )
        for file in source.files
    ]
