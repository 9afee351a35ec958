"""Counts per version of a Turnout, derived from the rows themselves, so that they cannot drift from them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from turnout.ledger.schema import AUDIT, GATEWAY_REQUESTS, PREDICTIONS, VERSIONS, Standing

__all__ = ["of"]

_NOTHING = {"predictions": 0, "labelled": 0, "mean_outcome": None, "shadow": 0, "late": 0}


def of(connection: Connection, *, namespace: str, turnout: str) -> dict[str, Any]:
    """Answered predictions, their labels and mean outcome, shadow copies and errors, of each version ever seen."""
    versions = _predictions(connection, namespace=namespace, turnout=turnout)
    errors = _errors(connection, namespace=namespace, turnout=turnout)
    summaries: dict[str, dict[str, Any]] = {
        version: versions.get(version, _NOTHING) | {"errors": errors.get(version, 0)}
        for version in sorted(versions.keys() | errors.keys())
    }
    totals = {name: sum(counts[name] for counts in summaries.values()) for name in ("predictions", "labelled")}
    return {"versions": summaries} | totals


def _predictions(connection: Connection, *, namespace: str, turnout: str) -> dict[str, dict[str, Any]]:
    answered = PREDICTIONS.c.standing != Standing.SHADOW
    counted = {
        "predictions": answered,
        "labelled": and_(answered, PREDICTIONS.c.feedback_count > 0),
        "shadow": PREDICTIONS.c.standing == Standing.SHADOW,
        "late": PREDICTIONS.c.standing == Standing.LATE,
    }
    statement = (
        select(
            VERSIONS.c.version,
            func.avg(case((answered, PREDICTIONS.c.outcome))).label("mean_outcome"),
            *(func.count(case((condition, 1))).label(name) for name, condition in counted.items()),
        )
        .outerjoin(PREDICTIONS, PREDICTIONS.c.version_no == VERSIONS.c.no)
        .where(VERSIONS.c.namespace == namespace, VERSIONS.c.endpoint == turnout)
        .group_by(VERSIONS.c.version)
    )
    return {row.version: {name: getattr(row, name) for name in _NOTHING} for row in connection.execute(statement)}


def _errors(connection: Connection, *, namespace: str, turnout: str) -> dict[str, int]:
    """Failed answers by version. A gateway's line knows no namespace; its revision, which is random, tells."""
    revs = select(AUDIT.c.rev).where(
        AUDIT.c.namespace == namespace, AUDIT.c.turnout == turnout, AUDIT.c.action == "weights"
    )
    statement = (
        select(GATEWAY_REQUESTS.c.version, func.count().label("errors"))
        .where(GATEWAY_REQUESTS.c.rev.in_(revs), GATEWAY_REQUESTS.c.code >= 500)
        .group_by(GATEWAY_REQUESTS.c.version)
    )
    return {row.version: row.errors for row in connection.execute(statement)}
