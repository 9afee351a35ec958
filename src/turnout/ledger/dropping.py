"""How a month goes: on PostgreSQL with its tables, on SQLite in slices, between which others write.

A slice is found as a range of an index: looking for it through ten million rows would keep the writers waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal_column, select

from turnout.ledger import audit, feedback, partitions
from turnout.ledger.databases import is_postgresql
from turnout.ledger.schema import CONTENTS, FEEDBACK, GATEWAY_REQUESTS, PENDING, PREDICTIONS, VERSIONS

__all__ = ["Step", "steps"]

Step: TypeAlias = Callable[[Connection], bool]
"""A short transaction; True when the same step has more to do."""
_SLICE = 5_000


def steps(month: str, *, now_us: int) -> Iterator[Step]:
    """What drops a month. The audit tells when it is gone."""
    since_us, until_us = partitions.first_us(month), partitions.first_us(month, later=1)
    yield partial(_drop_tables, month=month)
    for delete_slice in (_delete_predictions, _delete_contents, _delete_requests):
        yield partial(_on_sqlite, delete_slice=partial(delete_slice, since_us=since_us, until_us=until_us))
    yield partial(_end, month=month, until_us=until_us, now_us=now_us)


def _drop_tables(connection: Connection, *, month: str) -> bool:
    if is_postgresql(connection):
        partitions.drop(connection, month)
    return False


def _on_sqlite(connection: Connection, *, delete_slice: Step) -> bool:
    return not is_postgresql(connection) and delete_slice(connection)


def _delete_predictions(connection: Connection, *, since_us: int, until_us: int) -> bool:
    """With what was said about them."""
    for no in connection.execute(select(VERSIONS.c.no)).scalars().all():
        ids = select(PREDICTIONS.c.id).where(
            PREDICTIONS.c.version_no == no, PREDICTIONS.c.time_us >= since_us, PREDICTIONS.c.time_us < until_us
        )
        found = list(connection.execute(ids.limit(_SLICE)).scalars())
        for portion in feedback.chunks(found):
            connection.execute(delete(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(portion)))
            connection.execute(delete(PREDICTIONS).where(PREDICTIONS.c.id.in_(portion)))
        if found:
            return True
    return False


def _delete_contents(connection: Connection, *, since_us: int, until_us: int) -> bool:
    old = select(CONTENTS.c.no).where(CONTENTS.c.time_us >= since_us, CONTENTS.c.time_us < until_us).limit(_SLICE)
    return connection.execute(delete(CONTENTS).where(CONTENTS.c.no.in_(old))).rowcount > 0


def _delete_requests(connection: Connection, *, since_us: int, until_us: int) -> bool:
    """Of the gateway, a version at a time: each is a range of the index, and so is looking for the next version."""
    log = GATEWAY_REQUESTS.c
    row: ColumnElement[int] = literal_column("rowid")
    version: str | None = None
    while True:
        mine = log.version.is_(None) if version is None else log.version == version
        old = (
            select(row)
            .select_from(GATEWAY_REQUESTS)
            .where(and_(mine, log.ended_us >= since_us, log.ended_us < until_us))
        )
        if connection.execute(delete(GATEWAY_REQUESTS).where(row.in_(old.limit(_SLICE)))).rowcount:
            return True
        version = connection.execute(select(func.min(log.version)).where(log.version > (version or ""))).scalar_one()
        if version is None:
            return False


def _end(connection: Connection, *, month: str, until_us: int, now_us: int) -> bool:
    """What was said about predictions that never came goes too."""
    awaited = connection.execute(select(PENDING.c.prediction_id).where(PENDING.c.arrived_us < until_us)).scalars()
    for portion in feedback.chunks(awaited):
        connection.execute(delete(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(portion)))
        connection.execute(delete(PENDING).where(PENDING.c.prediction_id.in_(portion)))
    entry = audit.Entry(action="retain", actor="ledger", data={"dropped": month})
    audit.append(connection, [entry], namespace="", turnout="", now_us=now_us)
    return False
