"""Where a reader of ordered pages stands: after the row (time, id). Opaque to clients, so that it can change."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, ColumnElement, Text, and_, literal, tuple_

from turnout.errors import InputError

__all__ = ["Position", "after", "before", "decode", "encode"]


@dataclass(frozen=True, order=True)
class Position:
    """A place in the order (time, id)."""

    time_us: int
    id: str


def after(time: Column[int], id: Column[str], position: Position) -> ColumnElement[bool]:
    """Rows behind a position. The bound on the time alone is implied; it lets PostgreSQL leave out whole months."""
    return and_(time >= position.time_us, tuple_(time, id) > _pair(position))


def before(time: Column[int], id: Column[str], position: Position) -> ColumnElement[bool]:
    """Rows before a position."""
    return and_(time <= position.time_us, tuple_(time, id) < _pair(position))


def encode(kind: str, position: Position) -> str:
    """The cursor for a place in a reading of this kind."""
    return base64.urlsafe_b64encode(orjson.dumps([kind, position.time_us, position.id])).decode().rstrip("=")


def decode(kind: str, cursor: str) -> Position:
    """The place that a cursor names.

    Raises:
        InputError: it is no cursor, or one of another kind of reading.
    """
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InputError("cursor: this is none that the ledger gave") from error
    match found:
        case [str(of), int(time_us), str(last)] if of == kind and abs(time_us) < 1 << 62:
            return Position(time_us=time_us, id=last)
    raise InputError(f"cursor: this is none that the ledger gave for {kind}")


def _pair(position: Position) -> Any:
    return tuple_(literal(position.time_us, BigInteger), literal(position.id, Text))
