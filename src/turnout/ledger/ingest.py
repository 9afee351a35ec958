"""Taking in a batch of prediction records: one transaction, idempotent by record id.

The law that evidence rests on: a log's watermark says that every record up to it has been sent, so what comes later is
later in time. A record that breaks it (or that is older than what evidence has closed for its version, which happens
when a second pod's first batch is delayed) is stored and counted as `late`, but never becomes a unit of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from turnout.errors import Conflict
from turnout.ledger import callers, feedback, stamps
from turnout.ledger.feedback import Joined
from turnout.ledger.records import Batch, Record
from turnout.ledger.schema import CONTENTS, LOGS, PREDICTIONS, VERSIONS, Standing

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
_KNOWN_IDS = select(PREDICTIONS.c.id).where(PREDICTIONS.c.id.in_(bindparam("ids", expanding=True)))
_LAST_NO = select(func.coalesce(func.max(PREDICTIONS.c.no), 0))
_UNLABELLED = Joined(outcome=None, feedback_us=None, feedback_count=0)


@dataclass(frozen=True)
class Taken:
    """What became of a batch."""

    accepted: int
    duplicates: int
    late: int


def take(connection: Connection, batch: Batch) -> Taken:
    """Store a batch and move its log's watermark.

    Raises:
        Conflict: the log belongs to another version.
    """
    log = _log(connection, batch)
    fresh = _fresh(connection, batch)
    late = 0
    if fresh:
        closed_us = max(log.watermark_us, log.closed_us)
        rows = _rows(connection, fresh, version_no=log.version_no, closed_us=closed_us)
        late = sum(row["standing"] == Standing.LATE for row in rows)
        connection.execute(insert(PREDICTIONS), rows)
        contents = (batch.records[record["id"]][1] for record in fresh)
        connection.execute(insert(CONTENTS), list(map(_content, rows, fresh, contents)))
    # A container that comes back under its Pod's name goes on with a log that had ended.
    if batch.watermark_us > log.watermark_us or batch.final != log.final:
        connection.execute(
            update(LOGS)
            .where(LOGS.c.no == log.no)
            .values(watermark_us=max(batch.watermark_us, log.watermark_us), final=batch.final)
        )
    duplicates = batch.repeated + len(batch.records) - len(fresh)
    return Taken(accepted=len(fresh), duplicates=duplicates, late=late)


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


def _fresh(connection: Connection, batch: Batch) -> list[Record]:
    """The records that are new."""
    known: set[str] = set()
    for ids in feedback.chunks(batch.records):
        known.update(connection.execute(_KNOWN_IDS, {"ids": ids}).scalars())
    return [record for name, (record, _) in batch.records.items() if name not in known]


def _rows(connection: Connection, records: list[Record], *, version_no: int, closed_us: int) -> list[dict[str, Any]]:
    no = connection.execute(_LAST_NO).scalar_one()
    joined = feedback.join(connection, {record["id"]: record["outputs"] for record in records})
    joined |= callers.join(connection, [record for record in records if record["id"] not in joined])
    return [
        _row(record, no=no, version_no=version_no, closed_us=closed_us, said=joined.get(record["id"], _UNLABELLED))
        for no, record in enumerate(records, start=no + 1)
    ]


def _row(record: Record, *, no: int, version_no: int, closed_us: int, said: Joined) -> dict[str, Any]:
    text = record.get("stamp")
    stamp = stamps.parse(text)
    standing = (
        Standing.SHADOW
        if record.get("shadow")
        else stamps.standing(text, stamp=stamp, version=record["version"], is_late=record["time_us"] <= closed_us)
    )
    return {
        "no": no,
        "id": record["id"],
        "time_us": record["time_us"],
        "version_no": version_no,
        "standing": int(standing),
        "rev": stamp.rev if stamp else None,
        "p": stamp.p if stamp else None,
        "subject": record.get("subject"),
        "outcome": said.outcome,
        "feedback_us": said.feedback_us,
        "feedback_count": said.feedback_count,
    }


def _content(row: dict[str, Any], record: Record, content: bytes) -> dict[str, Any]:
    return {
        "no": row["no"],
        "request_id": record.get("request_id"),
        "caller_id": record.get("caller_id"),
        "content": content,
    }
