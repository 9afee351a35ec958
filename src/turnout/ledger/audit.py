"""The audit: rows that are only ever appended, each carrying the digest of the one before.

A row's digest is sha256 over the previous digest and the row's canonical JSON (keys sorted, no spaces). So an edited,
removed, inserted or moved row is found by `verify`, and rows cut off the end by the head that is kept apart. This finds
edits; it does not stop somebody who rewrites the whole chain and the head: for that, keep a digest elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, func, insert, select, update

from turnout.errors import InputError
from turnout.ledger.migrations import GENESIS
from turnout.ledger.records import is_text
from turnout.ledger.schema import AUDIT, AUDIT_HEAD

__all__ = [
    "Entry",
    "Verification",
    "append",
    "by_rev",
    "changed_us",
    "decisions",
    "entry",
    "in_force",
    "latest",
    "rows",
    "verify",
]


@dataclass(frozen=True)
class Entry:
    """A decision to be written down."""

    action: str
    actor: str
    data: dict[str, Any]

    @property
    def rev(self) -> str | None:
        """The revision of weights that this entry makes known, if it does."""
        return str(self.data["rev"]) if self.action == "weights" else None


@dataclass(frozen=True)
class Verification:
    """What a walk along the chain found: `problem` is None when every row is as it was written."""

    rows: int
    problem: str | None = None


def entry(fields: object) -> Entry:
    """An entry out of a request's body.

    Raises:
        InputError: with the field that is wrong.
    """
    if not isinstance(fields, dict):
        raise InputError("audit: wanted objects with action, data and actor")
    for name in ("action", "actor"):
        if not is_text(fields.get(name)):
            raise InputError(f"audit.{name}: wanted a name")
    data = fields.get("data", {})
    if not isinstance(data, dict):
        raise InputError("audit.data: wanted an object")
    if fields["action"] == "weights":
        _check_weights(data)
    return Entry(action=fields["action"], actor=fields["actor"], data=data)


def append(
    connection: Connection, entries: Iterable[Entry], *, namespace: str, turnout: str, now_us: int
) -> list[dict[str, Any]]:
    """Append entries to the chain; the rows as they were written.

    Raises:
        InputError: a revision is known already with other weights; evidence stands on it, so it cannot change.
    """
    head = connection.execute(select(AUDIT_HEAD).with_for_update()).one()
    seq, previous = head.seq, head.digest
    written = []
    for one in entries:
        _refuse_other_weights(connection, one, namespace=namespace, turnout=turnout)
        seq += 1
        row: dict[str, Any] = {"seq": seq, "time_us": now_us, "namespace": namespace, "turnout": turnout}
        row |= {"actor": one.actor, "action": one.action, "data": one.data, "previous": previous}
        previous = row["digest"] = _digest(row)
        connection.execute(insert(AUDIT).values(**row | {"data": _canonical(one.data).decode(), "rev": one.rev}))
        written.append(row)
    connection.execute(update(AUDIT_HEAD).values(seq=seq, digest=previous))
    return written


def rows(
    connection: Connection,
    *,
    namespace: str | None,
    turnout: str | None,
    action: str | None,
    after_seq: int,
    limit: int,
) -> list[dict[str, Any]]:
    """Rows in their order, those of one namespace, turnout or action if they are named."""
    statement = select(AUDIT).where(AUDIT.c.seq > after_seq).order_by(AUDIT.c.seq).limit(limit)
    for column, wanted in ((AUDIT.c.namespace, namespace), (AUDIT.c.turnout, turnout), (AUDIT.c.action, action)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [_as_json(row) for row in connection.execute(statement)]


def decisions(
    connection: Connection, *, namespace: str, turnout: str, actions: tuple[str, ...], until_us: int
) -> list[dict[str, Any]]:
    """The rows of these actions that were written at or before `until_us`, in their order."""
    wanted = _of(namespace, turnout).where(AUDIT.c.action.in_(actions), AUDIT.c.time_us <= until_us)
    return [_as_json(row) for row in connection.execute(wanted.order_by(AUDIT.c.seq))]


def latest(
    connection: Connection,
    *,
    namespace: str,
    turnout: str,
    actions: tuple[str, ...],
    before_seq: int | None = None,
) -> dict[str, Any] | None:
    """The last row of one of these actions, of those before a row if that is named."""
    statement = _of(namespace, turnout).where(AUDIT.c.action.in_(actions)).order_by(AUDIT.c.seq.desc()).limit(1)
    if before_seq is not None:
        statement = statement.where(AUDIT.c.seq < before_seq)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _as_json(row)


def in_force(connection: Connection, *, at_us: int, namespace: str | None, turnout: str | None) -> list[dict[str, Any]]:
    """For each endpoint the `weights` row that was the last one at that time, by namespace and name.

    Last by its place in the chain, which a clock that jumps does not change.
    """
    last = select(func.max(AUDIT.c.seq)).where(AUDIT.c.action == "weights", AUDIT.c.time_us <= at_us)
    last = last.group_by(AUDIT.c.namespace, AUDIT.c.turnout)
    for column, wanted in ((AUDIT.c.namespace, namespace), (AUDIT.c.turnout, turnout)):
        if wanted is not None:
            last = last.where(column == wanted)
    statement = select(AUDIT).where(AUDIT.c.seq.in_(last)).order_by(AUDIT.c.namespace, AUDIT.c.turnout)
    return [_as_json(row) for row in connection.execute(statement)]


def changed_us(connection: Connection, *, namespace: str, turnout: str, after_seq: int) -> int | None:
    """When the weights were changed next; None when they are still in force."""
    later = _of(namespace, turnout).where(AUDIT.c.action == "weights", AUDIT.c.seq > after_seq)
    row = connection.execute(later.order_by(AUDIT.c.seq).limit(1)).one_or_none()
    return None if row is None else int(row.time_us)


def by_rev(connection: Connection, revs: Iterable[str], *, namespace: str, turnout: str) -> dict[str, dict[str, Any]]:
    """The `weights` rows of these revisions; a revision that the audit does not know is left out."""
    statement = _of(namespace, turnout).where(AUDIT.c.action == "weights", AUDIT.c.rev.in_(list(revs)))
    return {row.rev: _as_json(row) for row in connection.execute(statement)}


def verify(connection: Connection) -> Verification:
    """Walk the whole chain and say where it first breaks."""
    head = connection.execute(select(AUDIT_HEAD)).one()
    seq, previous = 0, GENESIS
    for row in connection.execute(select(AUDIT).order_by(AUDIT.c.seq)):
        seq += 1
        if problem := _break(row, seq=seq, previous=previous):
            return Verification(rows=seq - 1, problem=problem)
        previous = row.digest
    if (seq, previous) != (head.seq, head.digest):
        return Verification(rows=seq, problem=f"the chain ends at row {seq}, its head is at row {head.seq}")
    return Verification(rows=seq)


def _break(row: Row[Any], *, seq: int, previous: str) -> str | None:
    if row.seq != seq:
        return f"row {seq} is missing"
    if row.previous != previous:
        return f"row {seq} does not follow the row before it"
    try:
        found = _as_json(row)
    except orjson.JSONDecodeError:
        return f"row {seq} holds no JSON"
    if row.digest != _digest(found) or row.rev != (found["data"].get("rev") if row.action == "weights" else None):
        return f"row {seq} is not what was written"
    return None


def _digest(row: dict[str, Any]) -> str:
    content = {name: value for name, value in row.items() if name not in ("previous", "digest")}
    return hashlib.sha256(row["previous"].encode() + _canonical(content)).hexdigest()


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _of(namespace: str, turnout: str) -> Select[Any]:
    return select(AUDIT).where(AUDIT.c.namespace == namespace, AUDIT.c.turnout == turnout)


def _as_json(row: Row[Any]) -> dict[str, Any]:
    names = ("seq", "time_us", "namespace", "turnout", "actor", "action", "data", "previous", "digest")
    return {name: getattr(row, name) for name in names} | {"data": orjson.loads(row.data)}


def _check_weights(data: dict[str, Any]) -> None:
    if not is_text(data.get("rev")):
        raise InputError("audit.data.rev: wanted the revision of these weights")
    weights = data.get("weights")
    good = isinstance(weights, dict) and all(type(weight) is int and weight >= 0 for weight in weights.values())
    if not good or sum(data["weights"].values()) == 0:
        raise InputError("audit.data.weights: wanted whole numbers by version, one of them above 0")


def _refuse_other_weights(connection: Connection, one: Entry, *, namespace: str, turnout: str) -> None:
    if one.rev is None:
        return
    known = by_rev(connection, [one.rev], namespace=namespace, turnout=turnout).get(one.rev)
    if known is not None and known["data"]["weights"] != one.data["weights"]:
        raise InputError(f"audit: revision {one.rev} has other weights already; a change of weights is a new revision")
