"""Counts per version of a Turnout, and of all, out of the totals that are kept with every change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from turnout.ledger.schema import AUDIT, AUDIT_HEAD, GATEWAY_REQUESTS, VERSIONS

__all__ = ["all_time", "of"]

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


def all_time(connection: Connection) -> dict[str, int]:
    """Answered predictions, shadow copies, labels, late records and decisions of all Turnouts."""
    names = ("predictions", "shadow", "labelled", "late")
    sums = connection.execute(select(*(func.sum(VERSIONS.c[name]).label(name) for name in names))).one()
    # PostgreSQL's sum of bigints is a Decimal, and nothing's sum is null.
    counts = {name: int(count or 0) for name, count in sums._mapping.items()}
    return counts | {"audit": connection.execute(select(AUDIT_HEAD.c.seq)).scalar_one()}


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
