"""Retention: whole months of predictions, feedback and gateway requests go; what is still needed stays, and is named.

A month stays as long as an open rollout reads evidence of it, or a pin covers it (an auditor asked for it, or somebody
wants what a live version is asked). Versions, totals, the audit and the state of rollouts are small and never go:
`live --at`, `trace` and the chain need all of them. `reproduce` needs nothing else of a ledger: a version that learned
from predictions has their rows in its snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from turnout.errors import InputError
from turnout.ledger import audit, partitions
from turnout.ledger.databases import is_postgresql
from turnout.ledger.records import is_name, is_time
from turnout.ledger.schema import PINS, PREDICTIONS, STATES, VERSIONS

__all__ = ["ALWAYS", "Pin", "parse_pin", "pin", "pins", "plan", "unpin"]

_SLICE = 5_000
ALWAYS = {
    "audit": "every decision: live --at, trace and the chain need all of them",
    "versions": "every version seen, with its totals",
    "erasures": "what was erased must not come back with a log that is sent again",
    "states": "the state of every rollout",
}
_OPEN = ("challenges", "challenger", "previous")  # what a Turnout's state has while a rollout is open


@dataclass(frozen=True)
class Pin:
    """A time range of an endpoint that must stay; of a version: as long as that gets requests."""

    name: str
    namespace: str
    endpoint: str
    version: str | None
    since_us: int
    until_us: int
    reason: str


def parse_pin(name: str, body: object) -> Pin:
    """The pin in a request's body.

    Raises:
        InputError: with the field that is wrong.
    """
    if not isinstance(body, dict):
        raise InputError("the body must be a JSON object")
    fields: dict[str, Any] = {"namespace": "default", "version": None} | body
    for field in ("endpoint", "namespace", "reason"):
        if not is_name(fields.get(field)):
            raise InputError(f"{field}: wanted text of at most 253 characters")
    if fields["version"] is not None and not is_name(fields["version"]):
        raise InputError("version: wanted a name or null")
    if not all(is_time(fields.get(field)) for field in ("since_us", "until_us")):
        raise InputError("since_us, until_us: wanted integers, microseconds since 1970")
    known = {field: fields[field] for field in ("namespace", "endpoint", "version", "since_us", "until_us", "reason")}
    return Pin(name=name, **known)


def pin(connection: Connection, wanted: Pin) -> None:
    """Set or replace a pin."""
    unpin(connection, wanted.name)
    connection.execute(insert(PINS).values(**vars(wanted)))


def unpin(connection: Connection, name: str) -> bool:
    """Take a pin away; False when there is none."""
    return connection.execute(delete(PINS).where(PINS.c.name == name)).rowcount > 0


def pins(connection: Connection) -> list[dict[str, Any]]:
    """All pins, by name."""
    return [vars(Pin(**row._mapping)) for row in connection.execute(select(PINS).order_by(PINS.c.name))]


def plan(connection: Connection, *, before_us: int) -> dict[str, Any]:
    """What would go and what stays of the months that had ended: `{"drop": [...], "keep": [{"month", "reasons"}]}`.

    `always` says what no policy drops.
    """
    months = [month for month in _months(connection) if partitions.first_us(month, later=1) <= before_us]
    needs = _needs(connection)
    kept = {month: reasons for month in months if (reasons := _reasons(month, needs))}
    return {
        "drop": [month for month in months if month not in kept],
        "keep": [{"month": month, "reasons": reasons} for month, reasons in kept.items()],
        "always": ALWAYS,
    }


def _months(connection: Connection) -> list[str]:
    """The months that hold predictions, the oldest first."""
    if is_postgresql(connection):
        return partitions.names(connection, PREDICTIONS)
    found: set[str] = set()
    for no in connection.execute(select(VERSIONS.c.no)).scalars().all():
        time_us = 0
        while (time_us := _next_us(connection, no, time_us)) is not None:
            found.add(month := partitions.month_of(time_us))
            time_us = partitions.first_us(month, later=1)
    return sorted(found)


def _next_us(connection: Connection, version_no: int, time_us: int) -> Any:
    statement = select(func.min(PREDICTIONS.c.time_us)).where(
        PREDICTIONS.c.version_no == version_no, PREDICTIONS.c.time_us >= time_us
    )
    return connection.execute(statement).scalar_one()


def _needs(connection: Connection) -> list[tuple[int, int, str]]:
    """Time ranges that must stay, each with its reason."""
    needs = []
    live = set()
    for row in connection.execute(select(STATES)):
        state = orjson.loads(row.state)
        latest = audit.latest(connection, namespace=row.namespace, turnout=row.turnout, actions=("weights",))
        weights = latest["data"]["weights"] if latest else {}
        live |= {(row.namespace, version) for version, weight in weights.items() if weight > 0}
        if latest and any(state.get(name) for name in _OPEN):
            start = audit.latest(connection, namespace=row.namespace, turnout=row.turnout, actions=("start",))
            since_us = (start or latest)["time_us"]
            needs.append((since_us, 1 << 62, f"rollout of {row.namespace}/{row.turnout} is open"))
    for row in connection.execute(select(PINS)):
        if row.version is None or (row.namespace, row.version) in live:
            needs.append((row.since_us, row.until_us, f"{row.name}: {row.reason}"))
    return needs


def _reasons(month: str, needs: list[tuple[int, int, str]]) -> list[str]:
    first, last = partitions.first_us(month), partitions.first_us(month, later=1) - 1
    return [reason for since_us, until_us, reason in needs if since_us <= last and until_us >= first]
