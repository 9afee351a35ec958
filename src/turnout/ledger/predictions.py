"""Stored predictions: one by id, pages of them, and their erasure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, exists, select, tuple_, update

from turnout.errors import NotFound
from turnout.ledger import audit, cursors, feedback
from turnout.ledger.cursors import Position
from turnout.ledger.feedback import Gone
from turnout.ledger.schema import CALLER_FEEDBACK, CONTENTS, FEEDBACK, PREDICTIONS, VERSIONS, Standing

__all__ = ["Search", "erase", "find", "search"]

_STORED = (
    select(PREDICTIONS, VERSIONS.c.namespace, VERSIONS.c.endpoint, VERSIONS.c.version)
    .add_columns(CONTENTS.c.request_id, CONTENTS.c.caller_id, CONTENTS.c.content)
    .join(VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no)
    .outerjoin(CONTENTS, CONTENTS.c.no == PREDICTIONS.c.no)
)


@dataclass(frozen=True)
class Search:
    """Which predictions are asked for; `before` is where the page before ended."""

    namespace: str
    endpoint: str | None
    version: str | None
    labelled: bool | None
    since_us: int | None
    until_us: int | None
    before: Position | None
    limit: int


def find(connection: Connection, prediction_id: str) -> dict[str, Any]:
    """A record with its feedback history and outcome.

    Raises:
        NotFound: there is none with this id, or (Gone) it has been erased.
    """
    row = stored(connection, prediction_id)
    return _as_json(row) | {"feedback": feedback.history(connection, prediction_id)}


def stored(connection: Connection, prediction_id: str) -> Any:
    """A prediction's row with its version and content.

    Raises:
        NotFound: there is none with this id, or (Gone) it has been erased.
    """
    row = connection.execute(_STORED.where(PREDICTIONS.c.id == prediction_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no prediction {prediction_id}")
    if row.erased_us is not None:
        raise Gone(f"prediction {prediction_id} has been erased")
    return row


def search(connection: Connection, wanted: Search) -> dict[str, Any]:
    """A page of records, newest first; its cursor is null when there are no more."""
    streams = (connection.execute(statement).all() for statement in _pages(connection, wanted))
    merged = heapq.merge(*streams, key=lambda row: (row.time_us, row.id), reverse=True)
    rows = list(islice(merged, wanted.limit))
    labels = feedback.labels(connection, (row.id for row in rows if row.feedback_count))
    cursor = cursors.encode("search", Position(rows[-1].time_us, rows[-1].id)) if len(rows) == wanted.limit else None
    return {"predictions": [_as_json(row) | {"label": labels.get(row.id)} for row in rows], "cursor": cursor}


def erase(connection: Connection, prediction_id: str, *, now_us: int) -> None:
    """Delete content and keys; leave the anonymous tuple (time, version, rev, outcome) and a tombstone in the audit.

    The id stays with the tuple: it is our own random number, evidence is ordered by it, and it keeps a log segment that
    is sent again from bringing the record back.

    Raises:
        NotFound: there is none with this id, or (Gone) it has been erased.
    """
    row = stored(connection, prediction_id)
    connection.execute(delete(CONTENTS).where(CONTENTS.c.no == row.no))
    connection.execute(update(PREDICTIONS).where(PREDICTIONS.c.no == row.no).values(erased_us=now_us, subject=None))
    connection.execute(
        update(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id).values(label=None, comment=None, by=None)
    )
    if row.caller_id is not None:
        others = exists().where(CONTENTS.c.caller_id == row.caller_id)
        connection.execute(delete(CALLER_FEEDBACK).where(CALLER_FEEDBACK.c.caller_id == row.caller_id, ~others))
    tombstone = audit.Entry(
        action="erase", actor="ledger", data={"id": prediction_id, "version": row.version, "time_us": row.time_us}
    )
    audit.append(connection, [tombstone], namespace=row.namespace, turnout=row.endpoint, now_us=now_us)


def _pages(connection: Connection, wanted: Search) -> Iterable[Select[Any]]:
    """One statement per version: each is a range of the index, read backwards."""
    versions = select(VERSIONS.c.no).where(VERSIONS.c.namespace == wanted.namespace)
    if wanted.endpoint is not None:
        versions = versions.where(VERSIONS.c.endpoint == wanted.endpoint)
    if wanted.version is not None:
        versions = versions.where(VERSIONS.c.version == wanted.version)
    for no in connection.execute(versions).scalars():
        yield _page(wanted).where(PREDICTIONS.c.version_no == no)


def _page(wanted: Search) -> Select[Any]:
    order = (PREDICTIONS.c.time_us, PREDICTIONS.c.id)
    page = _STORED.where(PREDICTIONS.c.erased_us.is_(None)).limit(wanted.limit)
    page = page.order_by(*(column.desc() for column in order))
    if wanted.labelled is not None:
        has_word = PREDICTIONS.c.feedback_count > 0
        page = page.where(has_word if wanted.labelled else ~has_word)
    if wanted.since_us is not None:
        page = page.where(PREDICTIONS.c.time_us >= wanted.since_us)
    if wanted.until_us is not None:
        page = page.where(PREDICTIONS.c.time_us < wanted.until_us)
    if wanted.before is not None:
        page = page.where(tuple_(*order) < tuple_(wanted.before.time_us, wanted.before.id))
    return page


def _as_json(row: Any) -> dict[str, Any]:
    """The record as it was sent, and what the ledger knows about it."""
    names = ("id", "time_us", "namespace", "endpoint", "version", "request_id", "caller_id")
    content: dict[str, Any] = orjson.loads(row.content)
    record = {name: getattr(row, name) for name in names} | content
    known = {"outcome": row.outcome, "labelled": row.feedback_count > 0, "late": row.standing == Standing.LATE}
    return record | known
