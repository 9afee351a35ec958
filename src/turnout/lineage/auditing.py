"""The audit, read and checked from outside: whoever holds a digest from before needs nobody's word.

The check is made here, from the rows that the API gives and the rule that docs/traceability.md states, not by asking
the ledger whether it is honest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import orjson

__all__ = ["Audit", "Verified", "latest", "verify"]

_PAGE = 1000
_GENESIS = "0" * 64


class Audit(Protocol):
    """Pages of the chain."""

    def audit(
        self,
        *,
        namespace: str | None = None,
        turnout: str | None = None,
        action: str | None = None,
        after_seq: int = 0,
        limit: int = 1000,
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Verified:
    """How far the chain holds; `head` is the digest that stands for all of it, `problem` where it breaks."""

    rows: int
    head: str
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def latest(
    ledger: Audit, *, count: int, namespace: str | None, turnout: str | None, action: str | None
) -> list[dict[str, Any]]:
    """The last so many rows, in their order."""
    found: list[dict[str, Any]] = []
    for row in _rows(ledger, namespace=namespace, turnout=turnout, action=action):
        found = [*found[-count + 1 :], row] if count > 1 else [row]
    return found


def verify(ledger: Audit) -> Verified:
    """Walk the chain from its first row.

    It finds rows that were edited, removed, inserted or moved. Rows cut off the end show only against a digest that was
    kept elsewhere, which is what `head` is for.
    """
    seq, previous = 0, _GENESIS
    for row in _rows(ledger):
        if problem := _break(row, seq=seq + 1, previous=previous):
            return Verified(seq, previous, problem)
        seq, previous = row["seq"], row["digest"]
    return Verified(seq, previous)


def _rows(ledger: Audit, **chosen: str | None) -> Iterator[dict[str, Any]]:
    after = 0
    while page := ledger.audit(**chosen, after_seq=after, limit=_PAGE)["rows"]:
        yield from page
        after = page[-1]["seq"]


def _break(row: dict[str, Any], *, seq: int, previous: str) -> str | None:
    if row["seq"] != seq:
        return f"row {seq} is missing"
    if row["previous"] != previous:
        return f"row {seq} does not follow the row before it"
    content = {name: value for name, value in row.items() if name not in ("previous", "digest")}
    written = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    if hashlib.sha256(previous.encode() + written).hexdigest() != row["digest"]:
        return f"row {seq} is not what was written"
    return None
