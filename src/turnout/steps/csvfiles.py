"""One CSV file: its words by column, and the lines on which they stand.

Arrow reads the values, which is fast but counts no lines; Python's csv module counts them exactly, and reads the file
a second time only when there is something to complain about.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from turnout.errors import DataError
from turnout.steps import logical, shelving

__all__ = ["Words", "lines", "read"]

_BLOCK_BYTES = 16 << 20  # a row must fit into one block
_SCAN_BYTES = 1 << 20


@dataclass(frozen=True)
class Words:
    """A file's columns as text (missing: null); `ragged` are the lines with a wrong number of values, left out."""

    table: Any
    sha256: str
    ragged: tuple[tuple[int, str], ...]


def read(path: Path, *, separator: str, where: str) -> Words:
    """All of a file; `where` is how an error names it.

    Raises:
        DataError: it is not UTF-8, has no usable header, or no end to a quotation.
    """
    sha256 = _scan(path, where)
    names = _header(path, separator, where)
    skipped: list[int] = []

    def skip(row: Any) -> str:
        skipped.append(row.actual_columns)
        return "skip"

    options: dict[str, Any] = {
        "read_options": pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            default_column_type=pa.string(),
            null_values=logical.MISSING_WORDS,
            strings_can_be_null=True,
            check_utf8=False,
        ),
    }
    try:
        if path.stat().st_size <= _BLOCK_BYTES:
            table = pyarrow.csv.read_csv(path, **options)
        else:
            with pyarrow.csv.open_csv(path, **options) as blocks:
                table = shelving.gathered(blocks.schema, (pa.table(block) for block in blocks))
    except pa.ArrowInvalid as error:
        raise DataError(f"{where}: not a CSV file: {str(error).splitlines()[0]}") from error
    ragged = tuple(_ragged(path, separator, len(names))) if skipped else ()
    return Words(table.rename_columns(names), sha256, ragged)


def lines(path: Path, *, separator: str, rows: set[int]) -> dict[int, int]:
    """The line on which each of some rows of `Words.table` begins."""
    width = len(_first_record(path, separator))
    whole = (line for line, record in _records(path, separator) if len(record) == width)
    return {row: line for row, line in enumerate(whole) if row in rows}


def _scan(path: Path, where: str) -> str:
    """The digest of the file, read once to its end; every byte must be UTF-8, and none may be NUL, as in UTF-16."""
    digest, decoder, line = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        while block := file.read(_SCAN_BYTES):
            digest.update(block)
            if (nul := block.find(b"\0")) >= 0:
                line += block.count(b"\n", 0, nul)
                raise DataError(
                    f"{where}: line {line} has a NUL byte, which no text has (UTF-16?); save the file as UTF-8"
                )
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                line += bytes(error.object[: error.start]).count(b"\n")
                found = bytes(error.object[error.start : error.start + 1]).hex()
                raise DataError(
                    f"{where}: line {line} is not UTF-8 (byte 0x{found}); save the file as UTF-8"
                ) from error
    return digest.hexdigest()


def _header(path: Path, separator: str, where: str) -> list[str]:
    """The column names; a column without one (pandas writes its index so) is called by its number."""
    names = [name.strip() for name in _first_record(path, separator)]
    if not any(names):
        raise DataError(f"{where}: the first line names no columns")
    return [name or f"unnamed_{number}" for number, name in enumerate(names, start=1)]


def _first_record(path: Path, separator: str) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=separator), [])


def _records(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every record behind the header that is not a blank line, with the line on which it begins."""
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        next(reader, None)
        line = reader.line_num + 1
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1


def _ragged(path: Path, separator: str, width: int) -> Iterator[tuple[int, str]]:
    for line, record in _records(path, separator):
        if len(record) != width:
            yield line, separator.join(record)
