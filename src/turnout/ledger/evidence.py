"""Evidence: the frozen units of two versions in the order (time, id), read on from a cursor.

A unit is frozen when its label window has closed below the horizon. From then on its place and its outcome are fixed,
so the same cursor gives the same answer at any later time, and a page costs what it holds, however much lies before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, literal, select

from turnout.ledger import audit, cursors, feedback, gaps, stamps
from turnout.ledger.cursors import Position
from turnout.ledger.gaps import Interval
from turnout.ledger.horizons import Horizon, close_gateway, close_predictions
from turnout.ledger.schema import FEEDBACK, GATEWAY_REQUESTS, PREDICTIONS, VERSIONS, Standing

__all__ = ["Question", "close", "page"]

_FIRST_ERROR = 500  # HTTP statuses from here on are the server's fault
_NO_ENDPOINT = ("NC", "UH")  # Envoy: no cluster, no healthy upstream
_HOMELESS = "homeless"


@dataclass(frozen=True)
class Question:
    """Which evidence is asked for, and from where on."""

    namespace: str
    turnout: str
    champion: str
    challenger: str
    kind: str  # predictions or gateway
    window_us: int
    after: Position
    limit: int
    host: str = ""  # gateway only: also requests to this host that found no ready endpoint, and so no version

    @property
    def versions(self) -> tuple[str, ...]:
        """The two versions, once each."""
        return tuple(dict.fromkeys((self.champion, self.challenger)))


def close(connection: Connection, question: Question, *, now_us: int) -> Horizon:
    """Fix up to when this question can be answered; must be committed before `page` answers it."""
    if question.kind == "gateway":
        return close_gateway(connection, now_us=now_us)
    return close_predictions(
        connection,
        namespace=question.namespace,
        turnout=question.turnout,
        versions=question.versions,
        now_us=now_us,
    )


def page(connection: Connection, question: Question, horizon: Horizon) -> dict[str, Any]:
    """The next units. At most `limit` rows are looked at, so a page may hold fewer units and still have `more`."""
    until_us = horizon.watermark_us - question.window_us
    rows = _rows(connection, question, until_us=until_us)
    known = audit.by_rev(
        connection,
        {row.rev for row in rows if row.standing == Standing.UNIT},
        namespace=question.namespace,
        turnout=question.turnout,
    )
    revs = {rev: found["data"]["weights"] for rev, found in known.items()}
    reasons = list(_reasons(rows, revs, _closed(connection, question)))
    units = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    last = Position(rows[-1].time_us, rows[-1].id) if rows else question.after
    as_json = _requests(units) if question.kind == "gateway" else _predictions(connection, units, question.window_us)
    return {
        "units": list(as_json),
        "cursor": cursors.encode(question.kind, last),
        "more": len(rows) == question.limit,
        "watermark_us": horizon.watermark_us,
        "waiting_for": list(horizon.waiting_for),
        "revs": revs,
        "dropped": dict(Counter(reason for reason in reasons if reason not in (None, "shadow", _HOMELESS))),
        "homeless": [
            {"id": row.id, "time_us": row.time_us}
            for row, reason in zip(rows, reasons, strict=True)
            if reason == _HOMELESS
        ],
    }


@dataclass(frozen=True)
class _Source:
    """A table of units: the columns of its order, and those that its units are made of."""

    time: Column[int]
    id: Column[str]
    made_of: tuple[Column[Any], ...]

    def rows(
        self, connection: Connection, question: Question, *, version: str, owner: ColumnElement[bool], until_us: int
    ) -> Sequence[Any]:
        """The next rows of one version: a range of the index, where two versions at once would have to be sorted."""
        table = self.time.table.c
        head = (self.time.label("time_us"), self.id.label("id"), literal(version).label("version"))
        statement = (
            select(*head, table.standing, table.rev, table.p, *self.made_of)
            .where(owner, cursors.after(self.time, self.id, question.after), self.time <= until_us)
            .order_by(self.time, self.id)
            .limit(question.limit)
        )
        return connection.execute(statement).all()


_PREDICTIONS = _Source(
    PREDICTIONS.c.time_us,
    PREDICTIONS.c.id,
    (PREDICTIONS.c.subject, PREDICTIONS.c.outcome, PREDICTIONS.c.feedback_us, PREDICTIONS.c.feedback_count),
)
_REQUESTS = _Source(
    GATEWAY_REQUESTS.c.ended_us,
    GATEWAY_REQUESTS.c.request_id,
    (GATEWAY_REQUESTS.c.code, GATEWAY_REQUESTS.c.duration_us),
)


def _rows(connection: Connection, question: Question, *, until_us: int) -> list[Any]:
    """The first rows of both versions together; each of the two delivers its own first ones in order."""
    if question.kind == "gateway":
        source, owners = _REQUESTS, {name: GATEWAY_REQUESTS.c.version == name for name in question.versions}
        if question.host:
            owners[_HOMELESS] = _homeless(question.host)
    else:
        source, owners = _PREDICTIONS, _version_owners(connection, question)
    found: list[Any] = []
    for version, owner in owners.items():
        found += source.rows(connection, question, version=version, owner=owner, until_us=until_us)
    found.sort(key=itemgetter(0, 1))  # time and id; each version's part is in order, so this merges
    return found[: question.limit]


def _homeless(host: str) -> ColumnElement[bool]:
    """Requests that a gateway answered itself because their version has no ready endpoint: it writes no stamp then."""
    log = GATEWAY_REQUESTS.c
    here = (log.host == host) | log.host.startswith(f"{host}:", autoescape=True)
    return log.version.is_(None) & here & log.flags.in_(_NO_ENDPOINT) & (log.code >= _FIRST_ERROR)


def _version_owners(connection: Connection, question: Question) -> dict[str, ColumnElement[bool]]:
    found = connection.execute(
        select(VERSIONS.c.version, VERSIONS.c.no).where(
            VERSIONS.c.namespace == question.namespace,
            VERSIONS.c.endpoint == question.turnout,
            VERSIONS.c.version.in_(question.versions),
        )
    )
    return {row.version: PREDICTIONS.c.version_no == row.no for row in found}


def _closed(connection: Connection, question: Question) -> list[Interval]:
    """Where records are missing; the gateway's log has none of them, so its evidence stays whole."""
    if question.kind == "gateway":
        return []
    return gaps.intervals(connection, namespace=question.namespace, turnout=question.turnout)


def _reasons(rows: Iterable[Any], revs: dict[str, dict[str, int]], closed: list[Interval]) -> Iterator[str | None]:
    """Why each row is no unit, or None. An endpoint has a handful of stamps at a time, so each is looked at once."""
    known: dict[tuple[str, float, str], str | None] = {}
    for row in rows:
        time_us, _, version, standing, rev, p, *_ = row
        if version == _HOMELESS:
            yield _HOMELESS
        elif standing != Standing.UNIT:
            yield Standing(standing).name.lower()
        elif closed and gaps.covers(closed, time_us):
            yield gaps.ACTION
        else:
            stamp = (version, p, rev)
            if stamp not in known:
                known[stamp] = _misfit(version, p, weights=revs.get(rev))
            yield known[stamp]


def _misfit(version: str, p: float, *, weights: dict[str, int] | None) -> str | None:
    """What is wrong with a stamp, or None."""
    if weights is None:
        return "unknown_rev"
    return None if stamps.agrees(version=version, p=p, weights=weights) else "wrong_weight"


def _requests(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for time_us, name, version, _, rev, _, code, duration_us in rows:
        unit = {"id": name, "time_us": time_us, "version": version, "rev": rev}
        yield unit | {"error": int(code >= _FIRST_ERROR), "duration_us": duration_us}


def _predictions(connection: Connection, rows: list[Any], window_us: int) -> Iterator[dict[str, Any]]:
    """Units with the outcome of the word that was current when their window closed."""
    deadlines = {
        row.id: row.time_us + window_us
        for row in rows
        if row.feedback_count > 1 and row.feedback_us > row.time_us + window_us
    }
    earlier = _words_in_time(connection, deadlines)
    for time_us, name, version, _, rev, _, subject, outcome, arrived_us, _ in rows:
        if name in earlier:
            outcome, arrived_us = earlier[name]
        unit = {"id": name, "time_us": time_us, "version": version, "rev": rev, "y": None, "delay_us": None}
        if outcome is not None and arrived_us <= time_us + window_us:
            unit["y"], unit["delay_us"] = outcome, max(0, arrived_us - time_us)
        if subject:
            unit["subject"] = subject
        yield unit


def _words_in_time(connection: Connection, deadlines: dict[str, int]) -> dict[str, tuple[float | None, int]]:
    """For predictions whose last word came too late: the last one before, if there was one."""
    in_time = {}
    for portion in feedback.chunks(deadlines):
        statement = select(FEEDBACK.c.prediction_id, FEEDBACK.c.outcome, FEEDBACK.c.arrived_us)
        statement = statement.where(FEEDBACK.c.prediction_id.in_(portion)).order_by(FEEDBACK.c.no)
        for row in connection.execute(statement):
            if row.arrived_us <= deadlines[row.prediction_id]:
                in_time[row.prediction_id] = (row.outcome, row.arrived_us)
    return in_time
