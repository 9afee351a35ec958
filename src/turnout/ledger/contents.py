"""Records as they are kept: many together in a compressed chunk, because neighbours say nearly the same.

A digits prediction is 800 bytes as JSON and less than 200 in a chunk of 32, and the database gets one row where it got
32. What it costs: reading one record opens its chunk (a tenth of a millisecond).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
from sqlalchemy import Connection, select, update

from turnout.ledger import partitions
from turnout.ledger.schema import CONTENTS

__all__ = ["CHUNK", "Chunk", "Content", "Place", "chunk", "chunked", "encode", "erase", "read"]

Content: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[int, int]  # number of the chunk, and the entry in it

CHUNK = 32
# These are in the row of a record, or in its version's; the rest is its content.
_COLUMNS = ("id", "time_us", "namespace", "endpoint", "version")
_LEVEL = 1  # 6 takes three times as long for a sixth less


@dataclass(frozen=True)
class Chunk:
    """Records of one month, and what is stored of them together."""

    records: Sequence[Content]
    content: bytes


def chunked(records: Sequence[Content]) -> list[Chunk]:
    """Records in chunks, none of which crosses the end of a month."""
    months: dict[str, list[Content]] = {}
    if records:
        first, last = (pick(record["time_us"] for record in records) for pick in (min, max))
        if partitions.month_of(first) == partitions.month_of(last):
            months[""] = list(records)
        else:
            for record in records:
                months.setdefault(partitions.month_of(record["time_us"]), []).append(record)
    return [chunk(portion) for month in months.values() for portion in _slices(month)]


def chunk(records: Sequence[Content], *, without: Collection[str] = ()) -> Chunk:
    """Records as one chunk; those of `without` leave an empty place."""
    kept = [None if record["id"] in without else _content(record) for record in records]
    return Chunk(records=records, content=encode(kept))


def encode(contents: Sequence[Content | None]) -> bytes:
    """A chunk."""
    return zlib.compress(orjson.dumps(contents), _LEVEL)


def read(connection: Connection, places: Iterable[Place]) -> dict[Place, Content]:
    """What lies at these places; an erased entry is left out."""
    wanted: dict[int, list[int]] = {}
    for no, entry in places:
        wanted.setdefault(no, []).append(entry)
    found: dict[Place, Content] = {}
    for numbers in _portions(list(wanted)):
        chunks = select(CONTENTS.c.no, CONTENTS.c.content).where(CONTENTS.c.no.in_(numbers))
        for no, chunk in connection.execute(chunks):
            entries = _decode(chunk)
            found |= {(no, entry): content for entry in wanted[no] if (content := entries[entry]) is not None}
    return found


def erase(connection: Connection, places: Iterable[Place]) -> None:
    """Write the chunks again without these entries."""
    wanted: dict[int, list[int]] = {}
    for no, entry in places:
        wanted.setdefault(no, []).append(entry)
    for no, erased in wanted.items():
        chunk = connection.execute(select(CONTENTS.c.content).where(CONTENTS.c.no == no)).scalar_one()
        entries = _decode(chunk)
        for entry in erased:
            entries[entry] = None
        connection.execute(update(CONTENTS).where(CONTENTS.c.no == no).values(content=encode(entries)))


def _content(record: Content) -> Content:
    """What a record holds besides its row."""
    content = record.copy()
    for name in _COLUMNS:
        content.pop(name, None)
    return content


def _slices(records: Sequence[Content]) -> Iterator[Sequence[Content]]:
    for start in range(0, len(records), CHUNK):
        yield records[start : start + CHUNK]


def _decode(chunk: bytes) -> list[Content | None]:
    entries: list[Content | None] = orjson.loads(zlib.decompress(chunk))
    return entries


def _portions(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), 500):
        yield numbers[start : start + 500]
