"""What happens in the ledger, a line each, for people who watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout import times
from turnout.lineage.tracing import sentence

__all__ = ["line"]


def line(kind: str, head: Mapping[str, Any]) -> str:
    """One event of `LedgerClient.watch`.

    >>> line("feedback", {"id": "a", "arrived_us": 1_795_183_200_000_000, "outcome": 1.0})
    '2026-11-20T14:00:00Z feedback   a outcome 1'
    """
    moment = times.text(head["arrived_us"] if kind == "feedback" else head["time_us"])
    return f"{moment} {kind:<10} {_what(kind, head)}"


def _what(kind: str, head: Mapping[str, Any]) -> str:
    if kind == "prediction":
        return f"{head['id']} by {head['version']}{', a copy for the shadow' if head['shadow'] else ''}"
    if kind == "feedback":
        outcome = head["outcome"]
        return f"{head['id']} {'without outcome' if outcome is None else f'outcome {outcome:g}'}"
    return f"{head['turnout'] or 'ledger'}: {head['action']} {sentence(head)}"
