"""Counts per version of a Turnout, out of the totals that are kept with every change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from turnout.ledger.schema import AUDIT, GATEWAY_REQUESTS, VERSIONS

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
    found = connection.execute(
        select(VERSIONS).where(VERSIONS.c.namespace == namespace, VERSIONS.c.endpoint == turnout)
    )
    return {
        row.version: {name: getattr(row, name) for name in _NOTHING if name != "mean_outcome"}
        | {"mean_outcome": row.outcomes / row.scored if row.scored else None}
        for row in found
    }


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
