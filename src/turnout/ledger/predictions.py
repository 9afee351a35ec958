"""Stored predictions: one by id, and pages of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from turnout.errors import NotFound
from turnout.ledger import contents, cursors, feedback, packed
from turnout.ledger.contents import Content
from turnout.ledger.cursors import Position
from turnout.ledger.feedback import Gone
from turnout.ledger.schema import PREDICTIONS, VERSIONS, Standing

__all__ = ["STORED", "Search", "Stored", "find", "search", "stored", "with_content"]

STORED = select(PREDICTIONS, VERSIONS.c.namespace, VERSIONS.c.endpoint, VERSIONS.c.version).join(
    VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no
)
# Without this bound a search for the few unlabelled among a million labelled would look at all of them.
_MOST_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Stored:
    """A prediction's row with its version's names, and what its caller sent and got."""

    row: Row[Any]
    content: Content

    def as_json(self) -> dict[str, Any]:
        """The record as it was sent, its inputs as numbers, and what the ledger knows about it."""
        row = self.row
        names = ("id", "time_us", "namespace", "endpoint", "version")
        record = {name: getattr(row, name) for name in names} | {"request_id": None, "caller_id": None} | self.content
        known = {"outcome": row.outcome, "labelled": row.feedback_count > 0, "late": row.standing == Standing.LATE}
        return record | known | {"inputs": packed.unpacked(self.content["inputs"])}


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
    return stored(connection, prediction_id).as_json() | {"feedback": feedback.history(connection, prediction_id)}


def stored(connection: Connection, prediction_id: str) -> Stored:
    """A prediction with its content.

    Raises:
        NotFound: there is none with this id, or (Gone) it has been erased.
    """
    row = connection.execute(STORED.where(PREDICTIONS.c.id == prediction_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no prediction {prediction_id}")
    if row.erased_us is not None:
        raise Gone(f"prediction {prediction_id} has been erased")
    place = (row.chunk_no, row.place)
    return Stored(row, contents.read(connection, [place])[place])


def search(connection: Connection, wanted: Search) -> dict[str, Any]:
    """A page of records, newest first; its cursor is null when there are no more.

    First the places of a page's records are found, of each version apart because that is a range of an index read
    backwards; then those of the page alone are read. A page may be short and still have a cursor (`_MOST_LOOKED_AT`).
    """
    streams = [_stream(connection, statement, wanted) for statement in _ranges(connection, wanted)]
    # Before the latest of these a version may have more that fits than has been looked at.
    floor = max((stream.looked_until for stream in streams if stream.looked_until), default=None)
    merged = heapq.merge(*(stream.places for stream in streams), reverse=True)
    page = [place for place in islice(merged, wanted.limit) if floor is None or place >= floor]
    last = page[-1] if len(page) == wanted.limit else floor
    found = _stored(connection, page)
    labels = feedback.labels(connection, (one.row.id for one in found if one.row.feedback_count))
    return {
        "predictions": [one.as_json() | {"label": labels.get(one.row.id)} for one in found],
        "cursor": cursors.encode("search", last) if last is not None else None,
    }


@dataclass(frozen=True)
class _Stream:
    """Places of one version, newest first, and how far it was looked at without coming to its end."""

    places: list[Position]
    looked_until: Position | None


def _stream(connection: Connection, in_range: Select[Any], wanted: Search) -> _Stream:
    """The first of a version's records that fit."""
    looked_until = None
    fitting = in_range.where(PREDICTIONS.c.erased_us.is_(None))
    if wanted.labelled:
        fitting = fitting.where(PREDICTIONS.c.feedback_count > 0)  # a range of the index of these
    elif wanted.labelled is False:
        end = in_range.with_only_columns(PREDICTIONS.c.time_us).offset(_MOST_LOOKED_AT).limit(1)
        end_us = connection.execute(end).scalar_one_or_none()  # by the index alone
        fitting = fitting.where(PREDICTIONS.c.feedback_count == 0)
        if end_us is not None:
            looked_until = Position(end_us, "")
            fitting = fitting.where(PREDICTIONS.c.time_us >= end_us)
    places = [Position(row.time_us, row.id) for row in connection.execute(fitting.limit(wanted.limit))]
    return _Stream(places, looked_until=None if len(places) == wanted.limit else looked_until)


def _ranges(connection: Connection, wanted: Search) -> Iterable[Select[Any]]:
    """For each version the range that is asked for, newest first."""
    versions = select(VERSIONS.c.no).where(VERSIONS.c.namespace == wanted.namespace)
    if wanted.endpoint is not None:
        versions = versions.where(VERSIONS.c.endpoint == wanted.endpoint)
    if wanted.version is not None:
        versions = versions.where(VERSIONS.c.version == wanted.version)
    for no in connection.execute(versions).scalars():
        yield _range(wanted).where(PREDICTIONS.c.version_no == no)


def _range(wanted: Search) -> Select[Any]:
    order = (PREDICTIONS.c.time_us, PREDICTIONS.c.id)
    found = select(*order).order_by(*(column.desc() for column in order))
    if wanted.since_us is not None:
        found = found.where(PREDICTIONS.c.time_us >= wanted.since_us)
    if wanted.until_us is not None:
        found = found.where(PREDICTIONS.c.time_us < wanted.until_us)
    if wanted.before is not None:
        found = found.where(cursors.before(*order, wanted.before))
    return found


def _stored(connection: Connection, page: Sequence[Position]) -> list[Stored]:
    """The records of a page of their ids and times, in its order."""
    if not page:
        return []
    ids, times = [row.id for row in page], (page[-1].time_us, page[0].time_us)
    found = with_content(connection, STORED.where(PREDICTIONS.c.id.in_(ids), PREDICTIONS.c.time_us.between(*times)))
    by_id = {one.row.id: one for one in found}
    return [by_id[row.id] for row in page]


def with_content(connection: Connection, statement: Select[Any]) -> list[Stored]:
    """The predictions of a statement made from `STORED`, none of them erased, each with its content."""
    rows = connection.execute(statement).all()
    content = contents.read(connection, [(row.chunk_no, row.place) for row in rows])
    return [Stored(row, content[row.chunk_no, row.place]) for row in rows]
