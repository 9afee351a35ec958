"""Which versions answered at a time, with which weights: read off the audit, never off what is there now.

A row of weights is committed before the route is changed, and a route that says something else is restored under a new
row. So the last row at a time says what was asked for then; the gateway followed within its own delay (milliseconds on
a laptop, a second or two on a cluster).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from turnout.ledger import audit, lineage

__all__ = ["at"]


def at(connection: Connection, *, at_us: int, namespace: str | None, endpoint: str | None) -> list[dict[str, Any]]:
    """The weights in force at a time, of one endpoint or of all, each with the decision behind it."""
    found = audit.in_force(connection, at_us=at_us, namespace=namespace, turnout=endpoint)
    return [_live(connection, row) for row in found]


def _live(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    place = {"namespace": row["namespace"], "turnout": row["turnout"]}
    return {
        "namespace": row["namespace"],
        "endpoint": row["turnout"],
        "rev": row["data"]["rev"],
        "weights": row["data"]["weights"],
        "champion": row["data"].get("champion"),
        "since_us": row["time_us"],
        "until_us": audit.changed_us(connection, **place, after_seq=row["seq"]),
        "seq": row["seq"],
        "digest": row["digest"],
        "decision": audit.latest(connection, **place, actions=lineage.DECISIONS, before_seq=row["seq"]),
    }
