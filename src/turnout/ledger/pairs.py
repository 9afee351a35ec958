"""Pairs: a shadow's answer beside the one that the caller got, joined by the gateway's request id.

A mirrored copy carries the request id of its original. Pairs decide nothing about anybody's traffic, so they are read
when their label window has passed by the clock, without waiting for logs; what comes later is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from turnout.errors import InputError
from turnout.ledger import cursors, feedback, outcomes, predictions
from turnout.ledger.cursors import Position
from turnout.ledger.predictions import STORED, Stored
from turnout.ledger.schema import PREDICTIONS, VERSIONS, Standing

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
    found = [
        (copy, originals[request_id]) for copy in copies if (request_id := copy.content.get("request_id")) in originals
    ]
    labels = feedback.labels(connection, [original.row.id for _, original in found])
    last = Position(copies[-1].row.time_us, copies[-1].row.id) if copies else question.after
    return {
        "pairs": [_pair(copy, original, labels.get(original.row.id)) for copy, original in found],
        "cursor": cursors.encode("pairs", last),
        "more": len(copies) == question.limit,
    }


def _copies(connection: Connection, question: PairsQuestion, *, until_us: int) -> list[Stored]:
    return predictions.with_content(
        connection,
        STORED.where(
            PREDICTIONS.c.version_no.in_(_versions(question, is_shadow=True)),
            PREDICTIONS.c.standing == Standing.SHADOW,
            PREDICTIONS.c.erased_us.is_(None),
            cursors.after(PREDICTIONS.c.time_us, PREDICTIONS.c.id, question.after),
            PREDICTIONS.c.time_us <= until_us,
        )
        .order_by(PREDICTIONS.c.time_us, PREDICTIONS.c.id)
        .limit(question.limit),
    )


def _originals(connection: Connection, question: PairsQuestion, copies: Sequence[Stored]) -> dict[str, Stored]:
    """The answered requests by request id, looked for in the time around the copies."""
    around = predictions.with_content(
        connection,
        STORED.where(
            PREDICTIONS.c.version_no.in_(_versions(question, is_shadow=False)),
            PREDICTIONS.c.standing != Standing.SHADOW,
            PREDICTIONS.c.erased_us.is_(None),
            PREDICTIONS.c.time_us >= copies[0].row.time_us - _APART_US,
            PREDICTIONS.c.time_us <= copies[-1].row.time_us + _APART_US,
        ),
    )
    wanted = {str(copy.content["request_id"]) for copy in copies if copy.content.get("request_id")}
    return {name: one for one in around if (name := str(one.content.get("request_id"))) in wanted}


def _versions(question: PairsQuestion, *, is_shadow: bool) -> Any:
    same = VERSIONS.c.version == question.shadow
    return select(VERSIONS.c.no).where(
        VERSIONS.c.namespace == question.namespace,
        VERSIONS.c.endpoint == question.turnout,
        same if is_shadow else ~same,
    )


def _pair(copy: Stored, original: Stored, label: Any) -> dict[str, Any]:
    mine, theirs, row = copy.content, original.content, original.row
    return {
        "id": row.id,
        "shadow_id": copy.row.id,
        "time_us": row.time_us,
        "version": row.version,
        "agree": mine["outputs"][0]["data"] == theirs["outputs"][0]["data"],
        "y": row.outcome,
        "shadow_y": None if row.outcome is None else _outcome(label, mine["outputs"]),
        "duration_us": theirs.get("duration_us"),
        "shadow_duration_us": mine.get("duration_us"),
    }


def _outcome(label: Any, outputs: list[dict[str, Any]]) -> float | None:
    try:
        return outcomes.outcome(label=label, score=None, outputs=outputs)
    except InputError:
        return None  # the shadow answered another number of rows: there is nothing to compare
