"""The controller's state per Turnout: replaced by compare-and-set, together with its audit rows or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update

from turnout.errors import Conflict, InputError
from turnout.ledger import audit
from turnout.ledger.schema import STATES

__all__ = ["Change", "get", "parse_change", "put"]


@dataclass(frozen=True)
class Change:
    """A wish to replace the state that has generation `if_generation`."""

    if_generation: int
    state: dict[str, Any]
    entries: tuple[audit.Entry, ...]


def parse_change(body: object) -> Change:
    """The change in a request's body.

    Raises:
        InputError: with the field that is wrong.
    """
    if not isinstance(body, dict):
        raise InputError("the body must be a JSON object")
    generation, state, entries = body.get("if_generation"), body.get("state"), body.get("audit", [])
    if type(generation) is not int or generation < 0:
        raise InputError("if_generation: wanted the generation that was read, 0 before the first write")
    if not isinstance(state, dict):
        raise InputError("state: wanted an object")
    if not isinstance(entries, list):
        raise InputError("audit: wanted a list")
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InputError("the body is nested too deeply to be stored") from error
    return Change(if_generation=generation, state=state, entries=tuple(map(audit.entry, entries)))


def get(connection: Connection, *, namespace: str, turnout: str) -> dict[str, Any]:
    """Generation and state; 0 and null before the first write."""
    row = connection.execute(
        select(STATES.c.generation, STATES.c.state).where(STATES.c.namespace == namespace, STATES.c.turnout == turnout)
    ).one_or_none()
    if row is None:
        return {"generation": 0, "state": None}
    return {"generation": row.generation, "state": orjson.loads(row.state)}


def put(connection: Connection, change: Change, *, namespace: str, turnout: str, now_us: int) -> dict[str, Any]:
    """Replace the state and append its audit rows.

    Raises:
        Conflict: somebody else changed the state first.
    """
    generation = get(connection, namespace=namespace, turnout=turnout)["generation"]
    if generation != change.if_generation:
        raise Conflict(
            f"the state of Turnout {namespace}/{turnout} has generation {generation}, not {change.if_generation}"
        )
    values = {"generation": generation + 1, "state": orjson.dumps(change.state)}
    if generation == 0:
        connection.execute(insert(STATES).values(namespace=namespace, turnout=turnout, **values))
    else:
        connection.execute(
            update(STATES).where(STATES.c.namespace == namespace, STATES.c.turnout == turnout).values(**values)
        )
    written = audit.append(connection, change.entries, namespace=namespace, turnout=turnout, now_us=now_us)
    return {"generation": generation + 1, "audit": written}
