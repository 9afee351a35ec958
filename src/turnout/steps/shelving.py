"""Columns that lie in files while a step works on others: a table may be larger than the memory of its machine.

A column is computed as a whole, because Arrow's functions take whole columns, and then put into a file without a name
that is mapped back: the operating system drops and fetches its pages as it likes, and the file is gone with the last
reference. So a step holds a few columns in memory and not the table. What is small stays where it is. Files are made in
the temporary folder (`TMPDIR`), which should be on a disk.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = [
    "decoded",
    "each",
    "forget",
    "gathered",
    "in_order",
    "one_chunk",
    "read_parquet",
    "shelved",
    "slices",
    "taken",
    "where",
    "write_parquet",
]

LEAST_BYTES = 8 << 20
"""Smaller columns stay in memory."""
SLICE_ROWS = 1 << 18
"""As many rows as are looked at as Python or pandas values at a time."""

_COLUMN = "column"
_GROUP_ROWS = 1 << 20
_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def shelved(column: Any) -> Any:
    """The same column, from now on in a file if it is large."""
    if column.nbytes < LEAST_BYTES:
        return column
    return _filed(pa.schema([(_COLUMN, column.type)]), [pa.table({_COLUMN: column})]).column(0)


def each(table: Any, change: Callable[[Any], Any]) -> Any:
    """The table with every column changed, one after the other."""
    return pa.table({name: shelved(change(table.column(name))) for name in table.column_names})


def taken(table: Any, rows: Any) -> Any:
    """These rows of a table, by their numbers; missing numbers give missing values."""
    at = one_chunk(rows)
    return each(table, lambda column: one_chunk(column).take(at))


def where(table: Any, rows: Any) -> Any:
    """The rows for which an array of flags is true."""
    chosen = pa.array(rows)
    return each(table, lambda column: column.filter(chosen))


def in_order(table: Any, by: Sequence[str]) -> Any:
    """The rows in ascending order of some columns."""
    at = pc.sort_indices(table.select(list(by)), sort_keys=[(name, "ascending") for name in by])
    numbers = at.to_numpy()
    if len(numbers) < 2 or bool((numbers[1:] > numbers[:-1]).all()):
        return each(table, one_chunk)
    return taken(table, at)


def one_chunk(column: Any) -> Any:
    """A column as one array, copied only if it is not one already."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def gathered(schema: Any, tables: Iterable[Any]) -> Any:
    """Tables of one schema under one another; once they are many, each is let go before the next is asked for."""
    rest, few, held = iter(tables), [], 0
    for table in rest:
        few.append(table)
        held += table.nbytes
        if held >= LEAST_BYTES:
            return _filed(schema, chain(few, rest))
    return pa.concat_tables([schema.empty_table(), *few])


def _filed(schema: Any, tables: Iterable[Any]) -> Any:
    with ExitStack() as stack:
        files = [stack.enter_context(NamedTemporaryFile(prefix="turnout-column-")) for _ in schema]
        with ExitStack() as writing:
            writers = [
                writing.enter_context(pa.ipc.new_file(file.name, pa.schema([(_COLUMN, _plain(field.type))])))
                for file, field in zip(files, schema, strict=True)
            ]
            for table in tables:
                for writer, column in zip(writers, table.columns, strict=True):
                    writer.write_table(pa.table({_COLUMN: decoded(column)}))
                forget()
        return pa.table([_mapped(file.name) for file in files], names=schema.names)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A Parquet file, column by column if it is large.

    Raises:
        pyarrow.ArrowInvalid, OSError: it is none, or a part of it is missing.
    """
    # Not `read_table`: that imports pyarrow's datasets and with them pandas, a third of a second.
    with pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names) if columns is None else list(columns)
        if len(set(names)) < len(names) or file.metadata.num_rows * len(names) * 8 < LEAST_BYTES:
            return file.read(columns=columns)
        return pa.table({name: shelved(decoded(file.read(columns=[name]).column(name))) for name in names})


def slices(table: Any) -> Iterator[Any]:
    """The table in pieces of so few rows that pandas, or Python, may have them; one piece at least."""
    for first in range(0, max(1, table.num_rows), SLICE_ROWS):
        yield table.slice(first, SLICE_ROWS)


def forget() -> None:
    """Let go of the memory that mapped files take, because others are looked at next; it comes back when it is read.

    Without this the system does so only when memory is short, and a process looks as large as its table.
    """
    for mapped in list(_maps):
        mapped.madvise(mmap.MADV_DONTNEED)


def write_parquet(table: Any, path: Path) -> None:
    """A table as Parquet, a group of rows after the other."""
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for first in range(0, max(1, table.num_rows), _GROUP_ROWS):
            writer.write_table(table.slice(first, _GROUP_ROWS))
            forget()


def _mapped(path: str) -> Any:
    with Path(path).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    _maps.add(mapped)
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all().column(0)


def _plain(kind: Any) -> Any:
    """Dictionaries may differ from batch to batch, which a file of columns cannot say."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def decoded(column: Any) -> Any:
    """A column of values, where the file has it as a dictionary and numbers."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
