"""The live view: what is new in the ledger, as server-sent events.

Each watcher looks for itself, once a second and only for what is behind the last it saw; a watcher that is slow makes
nobody else slow. It shows heads, not contents, and the newest when there are many: it is for eyes, not for pipelines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select

from turnout.ledger import audit, bulk
from turnout.ledger.schema import AUDIT_HEAD, FEEDBACK, PREDICTIONS, VERSIONS, Standing
from turnout.ledger.store import Store

__all__ = ["events", "may_watch"]

_PULSE_S = 1.0
_MOST_WATCHERS = 32
_NEWEST = 20  # predictions and words shown per pulse
_watchers = 0


def may_watch() -> bool:
    """Whether there is room for one more."""
    return _watchers < _MOST_WATCHERS


async def events(
    store: Store, *, namespace: str, endpoint: str | None, is_gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Events `prediction`, `feedback` and `decision`; a comment where nothing happened, so that dead ends are found."""
    global _watchers
    _watchers += 1
    try:
        seen = await asyncio.wrap_future(store.read(_end))
        yield b": watching\n\n"
        while not await is_gone():
            look = partial(_news, seen=seen, namespace=namespace, endpoint=endpoint)
            news, seen = await asyncio.wrap_future(store.read(look))
            yield b"".join(map(_event, news)) or b": nothing new\n\n"
            await asyncio.sleep(_PULSE_S)
    finally:
        _watchers -= 1


Seen = tuple[dict[int, int], int, int]  # time of the last prediction by version, number of the last word, last decision


def _end(connection: Connection) -> Seen:
    times = {
        no: connection.execute(select(func.max(PREDICTIONS.c.time_us)).where(PREDICTIONS.c.version_no == no)).scalar()
        for no in connection.execute(select(VERSIONS.c.no)).scalars().all()
    }
    word = connection.execute(select(func.max(FEEDBACK.c.no))).scalar()
    return {no: time or 0 for no, time in times.items()}, word or 0, _last_decision(connection)


def _last_decision(connection: Connection) -> int:
    return int(connection.execute(select(AUDIT_HEAD.c.seq)).scalar_one())


def _news(
    connection: Connection, seen: Seen, *, namespace: str, endpoint: str | None
) -> tuple[list[dict[str, Any]], Seen]:
    times, word, decision = seen
    wanted = select(VERSIONS).where(VERSIONS.c.namespace == namespace)
    if endpoint is not None:
        wanted = wanted.where(VERSIONS.c.endpoint == endpoint)
    versions = connection.execute(wanted).all()
    news, times = [], dict(times)
    for version in versions:
        made = _predictions(connection, version, after_us=times.get(version.no, 0))
        news += made
        times[version.no] = max([times.get(version.no, 0), *(one["time_us"] for one in made)])
    said, word = _words(connection, {version.no for version in versions}, after=word)
    decided = audit.rows(
        connection, namespace=namespace, turnout=endpoint, action=None, after_seq=decision, limit=_NEWEST
    )
    news += [*said, *({"event": "decision"} | row for row in decided)]
    return news, (times, word, max([decision, *(row["seq"] for row in decided)]))


def _predictions(connection: Connection, version: Row[Any], *, after_us: int) -> list[dict[str, Any]]:
    """The newest of one version, in their order."""
    columns = [PREDICTIONS.c[name] for name in ("id", "time_us", "standing", "rev")]
    found = connection.execute(
        select(*columns)
        .where(PREDICTIONS.c.version_no == version.no, PREDICTIONS.c.time_us > after_us)
        .order_by(PREDICTIONS.c.time_us.desc())
        .limit(_NEWEST)
    ).all()
    head = {"event": "prediction", "endpoint": version.endpoint, "version": version.version}
    return [
        head | {"id": row.id, "time_us": row.time_us, "rev": row.rev, "shadow": row.standing == Standing.SHADOW}
        for row in reversed(found)
    ]


def _words(connection: Connection, version_nos: set[int], *, after: int) -> tuple[list[dict[str, Any]], int]:
    """The newest about predictions of these versions, in their order, and the number of the last word of all."""
    newest = select(FEEDBACK).where(FEEDBACK.c.no > after).order_by(FEEDBACK.c.no.desc()).limit(_NEWEST)
    found = connection.execute(newest).all()
    names = {row.prediction_id for row in found}
    owners = dict(map(tuple, bulk.among(connection, PREDICTIONS.c.id, names, PREDICTIONS.c.version_no)))
    said = [
        {"event": "feedback", "id": row.prediction_id, "arrived_us": row.arrived_us, "outcome": row.outcome}
        for row in reversed(found)
        if owners.get(row.prediction_id) in version_nos
    ]
    return said, max([after, *(row.no for row in found)])


def _event(one: dict[str, Any]) -> bytes:
    name = one.pop("event")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(one))
