"""Taking in a batch of prediction records: one transaction, idempotent by record id.

The law that evidence rests on: a log's watermark says that every record up to it has been sent, so what comes later is
later in time. A record that breaks it (or that is older than what evidence has closed for its version, which happens
when a second pod's first batch is delayed) is stored and counted as `late`, but never becomes a unit of evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, insert, select, update

from turnout.errors import Conflict
from turnout.ledger import bulk, callers, contents, erasures, feedback, partitions, rows, totals
from turnout.ledger.contents import Chunk
from turnout.ledger.feedback import Joined
from turnout.ledger.records import Batch, Record
from turnout.ledger.schema import CONTENTS, LOGS, PREDICTIONS, VERSIONS
from turnout.ledger.totals import Change

__all__ = ["Taken", "take"]


@dataclass(frozen=True)
class _Log:
    """A log and its version, as they are before the batch."""

    no: int
    version_no: int
    watermark_us: int
    final: bool
    endpoint: str
    version: str
    closed_us: int


_FIND_LOG = (
    select(
        LOGS.c.no,
        LOGS.c.version_no,
        LOGS.c.watermark_us,
        LOGS.c.final,
        VERSIONS.c.endpoint,
        VERSIONS.c.version,
        VERSIONS.c.closed_us,
    )
    .join(VERSIONS, VERSIONS.c.no == LOGS.c.version_no)
    .where(LOGS.c.namespace == bindparam("namespace"), LOGS.c.log == bindparam("log"))
)
_UNLABELLED = Joined(outcome=None, feedback_us=None, feedback_count=0)


@dataclass(frozen=True)
class Taken:
    """What became of a batch."""

    accepted: int
    duplicates: int
    late: int


def take(connection: Connection, batch: Batch, *, now_us: int) -> Taken:
    """Store a batch and move its log's watermark.

    Raises:
        Conflict: the log belongs to another version.
    """
    log = _log(connection, batch)
    fresh = _without_known(connection, batch)
    change = _store(connection, fresh, log=log, now_us=now_us) if fresh.records else Change()
    totals.add(connection, {log.version_no: change})
    # A container that comes back under its Pod's name goes on with a log that had ended.
    if batch.watermark_us > log.watermark_us or batch.final != log.final:
        connection.execute(
            update(LOGS)
            .where(LOGS.c.no == log.no)
            .values(watermark_us=max(batch.watermark_us, log.watermark_us), final=batch.final)
        )
    duplicates = batch.repeated + len(batch.records) - len(fresh.records)
    return Taken(accepted=len(fresh.records), duplicates=duplicates, late=change.late)


def _log(connection: Connection, batch: Batch) -> _Log:
    """The batch's log, made known if this is its first batch."""
    key = {"namespace": batch.namespace, "log": batch.log}
    found = connection.execute(_FIND_LOG, key).one_or_none()
    if found is None:
        version_no = _version_no(connection, batch)
        connection.execute(insert(LOGS).values(**key, version_no=version_no, watermark_us=0, final=False))
        found = connection.execute(_FIND_LOG, key).one()
    log = _Log(**found._mapping)
    if (log.endpoint, log.version) != (batch.endpoint, batch.version):
        raise Conflict(
            f"log {batch.log} belongs to version {log.version} of {log.endpoint!r},"
            f" not to {batch.version} of {batch.endpoint!r}"
        )
    return log


def _version_no(connection: Connection, batch: Batch) -> int:
    names = {"namespace": batch.namespace, "endpoint": batch.endpoint, "version": batch.version}
    found = connection.execute(select(VERSIONS.c.no).filter_by(**names)).scalar_one_or_none()
    if found is None:
        found = connection.execute(insert(VERSIONS).values(**names).returning(VERSIONS.c.no)).scalar_one()
    return int(found)


def _without_known(connection: Connection, batch: Batch) -> Batch:
    """The batch without the records that are here; what was erased does not come back with a segment sent again."""
    known = {row.id for row in bulk.among(connection, PREDICTIONS.c.id, batch.records)}
    if not known:
        return batch
    fresh = {name: record for name, record in batch.records.items() if name not in known}
    return replace(batch, records=fresh, chunks=contents.chunked(list(fresh.values())))


def _store(connection: Connection, batch: Batch, *, log: _Log, now_us: int) -> Change:
    partitions.ensure(connection, (record["time_us"] for record in batch.records.values()), now_us=now_us)
    awaited = feedback.awaited(connection, batch.records)
    said = _said(connection, batch.records, awaited)
    erased = erasures.concerning(connection, batch.records.values(), awaited)
    chunks = [_without_erased(chunk, erased) for chunk in batch.chunks] if erased else batch.chunks
    numbers = bulk.numbers(connection, "contents", len(chunks))
    closed_us = max(log.watermark_us, log.closed_us)
    stored = [
        rows.of(
            record,
            version_no=log.version_no,
            closed_us=closed_us,
            place=(no, entry),
            said=said.get(record["id"], _UNLABELLED),
            erased_us=erased.get(record["id"]),
        )
        for no, chunk in zip(numbers, chunks, strict=True)
        for entry, record in enumerate(chunk.records)
    ]
    bulk.add(connection, PREDICTIONS, stored)
    bulk.add(
        connection,
        CONTENTS,
        [(no, chunk.records[0]["time_us"], chunk.content) for no, chunk in zip(numbers, chunks, strict=True)],
    )
    return totals.of_new(stored)


def _said(connection: Connection, arriving: Mapping[str, Record], awaited: Iterable[str]) -> dict[str, Joined]:
    """The feedback that came before its record, by prediction or by the caller's id."""
    joined = feedback.join(connection, arriving, list(awaited))
    return joined | callers.join(connection, [record for name, record in arriving.items() if name not in joined])


def _without_erased(chunk: Chunk, erased: dict[str, int]) -> Chunk:
    if erased.keys().isdisjoint(record["id"] for record in chunk.records):
        return chunk
    return contents.chunk(chunk.records, without=erased.keys())
