"""What a predictor says about records that are missing, so that evidence closes the gap for all versions alike.

A version whose answers of some minutes are lost would otherwise be compared by the minutes that it kept. So a gap is
written into the audit (idempotent: it is told again after a doubt), and evidence leaves out every unit of its endpoint
between its two times, except what had been handed out before it was told: that is never taken back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select

from turnout.ledger import audit, contents, totals
from turnout.ledger.audit import Entry
from turnout.ledger.records import Batch
from turnout.ledger.schema import PREDICTIONS, VERSIONS

__all__ = ["ACTION", "Interval", "covers", "intervals", "take"]

ACTION = "gap"
_MOST = 1_000_000  # gaps of one endpoint that are read

Interval = tuple[int, int]

_MINE = (
    select(PREDICTIONS)
    .join(VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no)
    .where(
        VERSIONS.c.namespace == bindparam("namespace"),
        VERSIONS.c.endpoint == bindparam("endpoint"),
        VERSIONS.c.version == bindparam("version"),
        PREDICTIONS.c.time_us > VERSIONS.c.closed_us,
        PREDICTIONS.c.id.in_(bindparam("ids", expanding=True)),
    )
)


def take(connection: Connection, batch: Batch, *, now_us: int) -> None:
    """Note the batch's gaps, and take out the records that it withdraws because they were not answered after all."""
    if batch.withdrawn:
        _withdraw(connection, batch)
    if not batch.dropped:
        return
    known = {
        (row["data"]["log"], row["data"]["from_us"], row["data"]["to_us"])
        for row in _rows(connection, namespace=batch.namespace, turnout=batch.endpoint)
    }
    closed_us = _closed_us(connection, batch)
    entries = [
        Entry(
            action=ACTION,
            actor="predictor",
            data={
                "log": batch.log,
                "version": batch.version,
                "from_us": gap.from_us,
                "to_us": gap.to_us,
                "events": gap.events,
                "closes_from_us": max(gap.from_us, closed_us + 1),
            },
        )
        for gap in batch.dropped
        if (batch.log, gap.from_us, gap.to_us) not in known
    ]
    audit.append(connection, entries, namespace=batch.namespace, turnout=batch.endpoint, now_us=now_us)


def intervals(connection: Connection, *, namespace: str, turnout: str) -> list[Interval]:
    """What is closed for all versions of an endpoint: from and to (both included), in order, none touching another."""
    found = sorted(
        (row["data"]["closes_from_us"], row["data"]["to_us"])
        for row in _rows(connection, namespace=namespace, turnout=turnout)
        if row["data"]["closes_from_us"] <= row["data"]["to_us"]
    )
    merged: list[Interval] = []
    for from_us, to_us in found:
        if merged and from_us <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(to_us, merged[-1][1]))
        else:
            merged.append((from_us, to_us))
    return merged


def covers(closed: Sequence[Interval], time_us: int) -> bool:
    """Whether a time lies in one of the intervals."""
    place = bisect_right(closed, time_us, key=lambda interval: interval[0])
    return place > 0 and time_us <= closed[place - 1][1]


def _rows(connection: Connection, *, namespace: str, turnout: str) -> list[dict[str, Any]]:
    return audit.rows(connection, namespace=namespace, turnout=turnout, action=ACTION, after_seq=0, limit=_MOST)


def _closed_us(connection: Connection, batch: Batch) -> int:
    closed = select(func.coalesce(func.max(VERSIONS.c.closed_us), 0)).filter_by(
        namespace=batch.namespace, endpoint=batch.endpoint
    )
    return int(connection.execute(closed).scalar_one())


def _withdraw(connection: Connection, batch: Batch) -> None:
    """Delete them wholly: nobody was answered, so there is nothing to account for. Evidence is never touched."""
    mine = {"namespace": batch.namespace, "endpoint": batch.endpoint, "version": batch.version}
    found = connection.execute(_MINE, {**mine, "ids": list(batch.withdrawn)}).all()
    contents.erase(connection, [(row.chunk_no, row.place) for row in found if row.erased_us is None])
    connection.execute(delete(PREDICTIONS).where(PREDICTIONS.c.id.in_([row.id for row in found])))
    for row in found:
        totals.add(connection, {row.version_no: -totals.of_new([tuple(row)])})
