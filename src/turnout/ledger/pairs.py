"""Pairs: a shadow's answer beside the one that the caller got, joined by the gateway's request id.

A mirrored copy carries the request id of its original. Pairs decide nothing about anybody's traffic, so they are read
when their label window has passed by the clock, without waiting for logs; what comes later is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select, tuple_

from turnout.errors import InputError
from turnout.ledger import cursors, feedback, outcomes
from turnout.ledger.cursors import Position
from turnout.ledger.schema import CONTENTS, PREDICTIONS, VERSIONS, Standing

__all__ = ["PairsQuestion", "page"]

_APART_US = 60_000_000  # a copy and its original begin together; how long one of them may have been queued
_SETTLED_US = 2_000_000  # predictors ship every fraction of a second; both records should have come


@dataclass(frozen=True)
class PairsQuestion:
    """Which shadow's pairs are asked for, and from where on."""

    namespace: str
    turnout: str
    shadow: str
    window_us: int
    after: Position
    limit: int


def page(connection: Connection, question: PairsQuestion, *, now_us: int) -> dict[str, Any]:
    """The next pairs. At most `limit` copies are looked at; one without its original is no pair."""
    copies = _copies(connection, question, until_us=now_us - max(question.window_us, _SETTLED_US))
    originals = _originals(connection, question, copies) if copies else {}
    found = [(copy, originals[copy.request_id]) for copy in copies if copy.request_id in originals]
    labels = feedback.labels(connection, [original.id for _, original in found])
    last = Position(copies[-1].time_us, copies[-1].id) if copies else question.after
    return {
        "pairs": [_pair(copy, original, labels.get(original.id)) for copy, original in found],
        "cursor": cursors.encode("pairs", last),
        "more": len(copies) == question.limit,
    }


def _copies(connection: Connection, question: PairsQuestion, *, until_us: int) -> Sequence[Any]:
    after = question.after
    statement = (
        select(PREDICTIONS.c.id, PREDICTIONS.c.time_us, CONTENTS.c.request_id, CONTENTS.c.content)
        .join(CONTENTS, CONTENTS.c.no == PREDICTIONS.c.no)
        .where(
            PREDICTIONS.c.version_no.in_(_versions(question, is_shadow=True)),
            PREDICTIONS.c.standing == Standing.SHADOW,
            tuple_(PREDICTIONS.c.time_us, PREDICTIONS.c.id) > tuple_(after.time_us, after.id),
            PREDICTIONS.c.time_us <= until_us,
        )
        .order_by(PREDICTIONS.c.time_us, PREDICTIONS.c.id)
        .limit(question.limit)
    )
    return connection.execute(statement).all()


def _originals(connection: Connection, question: PairsQuestion, copies: Sequence[Any]) -> dict[str, Any]:
    """The answered requests by request id, looked for in the time around the copies."""
    statement = (
        select(
            PREDICTIONS.c.id,
            PREDICTIONS.c.time_us,
            PREDICTIONS.c.outcome,
            VERSIONS.c.version,
            CONTENTS.c.request_id,
            CONTENTS.c.content,
        )
        .join(CONTENTS, CONTENTS.c.no == PREDICTIONS.c.no)
        .join(VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no)
        .where(
            PREDICTIONS.c.version_no.in_(_versions(question, is_shadow=False)),
            PREDICTIONS.c.standing != Standing.SHADOW,
            PREDICTIONS.c.time_us >= copies[0].time_us - _APART_US,
            PREDICTIONS.c.time_us <= copies[-1].time_us + _APART_US,
        )
    )
    wanted = {copy.request_id for copy in copies}
    return {row.request_id: row for row in connection.execute(statement) if row.request_id in wanted}


def _versions(question: PairsQuestion, *, is_shadow: bool) -> Any:
    same = VERSIONS.c.version == question.shadow
    return select(VERSIONS.c.no).where(
        VERSIONS.c.namespace == question.namespace,
        VERSIONS.c.endpoint == question.turnout,
        same if is_shadow else ~same,
    )


def _pair(copy: Any, original: Any, label: Any) -> dict[str, Any]:
    mine, theirs = orjson.loads(copy.content), orjson.loads(original.content)
    y = original.outcome
    return {
        "id": original.id,
        "shadow_id": copy.id,
        "time_us": original.time_us,
        "version": original.version,
        "agree": mine["outputs"][0]["data"] == theirs["outputs"][0]["data"],
        "y": y,
        "shadow_y": None if y is None else _outcome(label, mine["outputs"]),
        "duration_us": theirs.get("duration_us"),
        "shadow_duration_us": mine.get("duration_us"),
    }


def _outcome(label: Any, outputs: list[dict[str, Any]]) -> float | None:
    try:
        return outcomes.outcome(label=label, score=None, outputs=outputs)
    except InputError:
        return None  # the shadow answered another number of rows: there is nothing to compare
