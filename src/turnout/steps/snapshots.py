"""The immutable instance table that a run learns from, named by its content.

The id is a digest of what the table says: column names, their kinds, and every value, rows in key order and columns
by name. It does not depend on file names, on the order or the number of files, on the order of columns, or on the
format; one changed cell changes it. Numbers are hashed as their 64 bits, so `5.0`, `5.00` and `5e0` are the same float
(and another kind than the int 5).
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import DataError
from turnout.spec import ColumnType
from turnout.steps import logical, shelving

__all__ = [
    "Snapshot",
    "SourceFile",
    "digest",
    "parse",
    "read",
    "read_table",
    "short_id",
    "write",
    "write_again",
]

_FORMAT = b"turnout snapshot 1\n"
_TABLE, _FACTS = "table.parquet", "snapshot.json"


@dataclass(frozen=True)
class SourceFile:
    """One file that a snapshot was made of."""

    name: str
    path: str
    sha256: str
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Snapshot:
    """What is known of a snapshot besides its rows; `snapshot.json`."""

    id: str
    digest: str
    rows: int
    columns: Mapping[str, ColumnType]
    keys: tuple[str, ...]
    label: str | None
    sources: tuple[SourceFile, ...]
    quarantined: int
    time: str | None = None


def write(
    folder: Path,
    table: Any,
    *,
    keys: tuple[str, ...],
    label: str | None,
    sources: tuple[SourceFile, ...],
    quarantined: int,
    time: str | None = None,
) -> Snapshot:
    """Write the table (rows in key order) and its facts as a folder, aside and renamed."""
    hexdigest = digest(table)
    snapshot = Snapshot(
        id=short_id(hexdigest),
        digest=f"sha256:{hexdigest}",
        rows=table.num_rows,
        columns=_kinds(table),
        keys=keys,
        label=label,
        sources=sources,
        quarantined=quarantined,
        time=time,
    )
    return write_again(folder, table, snapshot)


def write_again(folder: Path, table: Any, snapshot: Snapshot) -> Snapshot:
    """Write the rows and the facts of a snapshot that is known already."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shelving.write_parquet(table, aside / _TABLE)
    (aside / _FACTS).write_bytes(orjson.dumps(asdict(snapshot), option=orjson.OPT_INDENT_2) + b"\n")
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return snapshot


def read(folder: Path) -> Snapshot:
    """The facts of a snapshot.

    Raises:
        DataError: the folder holds none.
    """
    try:
        facts = orjson.loads((folder / _FACTS).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{folder}: no snapshot is here") from error
    return parse(facts)


def parse(facts: Mapping[str, Any]) -> Snapshot:
    """The facts of a snapshot out of JSON."""
    sources = tuple(SourceFile(**source) for source in facts["sources"])
    return Snapshot(**{**facts, "sources": sources, "keys": tuple(facts["keys"])})


def read_table(folder: Path) -> Any:
    """The rows of a snapshot.

    Raises:
        DataError: the folder holds no snapshot, or its rows are not those that its id names.
    """
    snapshot = read(folder)
    try:
        table = shelving.read_parquet(folder / _TABLE)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{folder / _TABLE}: not a whole Parquet file") from error
    if snapshot.digest != f"sha256:{digest(table)}":
        raise DataError(f"{folder}: the rows are not those of {snapshot.id}; somebody changed them")
    return table


def short_id(hexdigest: str) -> str:
    """How people and labels name a snapshot."""
    return f"snap-{hexdigest[:16]}"


def digest(table: Any) -> str:
    """The digest of a table whose columns are of the five kinds and whose rows are in key order."""
    kinds = _kinds(table)
    whole = hashlib.sha256(_FORMAT)
    whole.update(struct.pack("<q", table.num_rows))
    for name in sorted(kinds):
        whole.update(orjson.dumps([name, kinds[name]]))
        whole.update(_column_digest(table.column(name), kinds[name]))
        shelving.forget()
    return whole.hexdigest()


def _kinds(table: Any) -> dict[str, ColumnType]:
    kinds = {}
    for field in table.schema:
        kind = logical.kind_of(field.type)
        if kind is None or logical.ARROW[kind] != field.type:
            raise DataError(f"column {field.name}: {field.type} is no kind of column that a snapshot holds")
        kinds[field.name] = kind
    return kinds


def _column_digest(column: Any, kind: ColumnType) -> bytes:
    """Which values are there, then the values, as bytes that depend on nothing else."""
    found = hashlib.sha256(np.packbits(pc.is_valid(column).to_numpy()).tobytes())
    if kind == "string":
        words = pc.fill_null(column, "") if column.null_count else column
        found.update(pc.binary_length(words).to_numpy().astype("<i8").data)
        for chunk in words.chunks:
            found.update(_text_bytes(chunk))
        return found.digest()
    number = {"int": "<i8", "float": "<f8", "bool": "u1", "datetime": "<i8"}[kind]
    plain = pc.cast(column, pa.int64()) if kind == "datetime" else column
    zero: Any = False if kind == "bool" else 0
    values = (pc.fill_null(plain, zero) if plain.null_count else plain).to_numpy()
    found.update(np.ascontiguousarray(values, dtype=number).data)
    return found.digest()


def _text_bytes(words: Any) -> Any:
    """The bytes of all texts one after another, as they lie in memory (`words` has no nulls)."""
    _, borders, letters = words.buffers()
    if not len(words) or letters is None:
        return b""
    first, last = np.frombuffer(borders, dtype=np.int32)[[words.offset, words.offset + len(words)]]
    return memoryview(letters)[first:last]
