"""Records, batches and clocks as tests need them: everything has a default, a test names what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from turnout.ledger.client import LedgerClient

SECOND = 1_000_000
NOON = 1_763_719_200 * SECOND
WEIGHTS = {"digits-v1": 50, "digits-v2": 50}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now_us: int = NOON) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * SECOND)


def record(
    *,
    version: str = "digits-v1",
    time_us: int = NOON,
    name: str | None = None,
    predicted: Any = 7,
    rev: str | None = "r1",
    p: float = 0.5,
    **fields: Any,
) -> dict[str, Any]:
    """A prediction record; `rev=None` leaves it unstamped."""
    data = predicted if isinstance(predicted, list) else [predicted]
    datatype = "BYTES" if isinstance(data[0], str) else "FP32" if isinstance(data[0], float) else "INT64"
    return {
        "id": name or uuid4().hex,
        "time_us": time_us,
        "namespace": "default",
        "endpoint": "digits",
        "version": version,
        "pod": f"{version}-predictor-abcde",
        "protocol": "v2",
        "rows": len(data),
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [len(data), 2], "data": [0.0, 1.5] * len(data)}],
        "outputs": [{"name": "output-0", "datatype": datatype, "shape": [len(data)], "data": data}],
        "stamp": None if rev is None else f"{version};p={p};rev={rev}",
        "request_id": str(uuid4()),
        "caller_id": None,
        "shadow": False,
        "duration_us": 210,
    } | fields


def batch(records: Iterable[dict[str, Any]] = (), *, watermark_us: int = NOON, **fields: Any) -> dict[str, Any]:
    """The body of POST /v1/events."""
    return {
        "log": "digits-v1-predictor-abcde",
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v1",
        "watermark_us": watermark_us,
        "final": False,
        "events": list(records),
    } | fields


def send(
    ledger: LedgerClient,
    *records: dict[str, Any],
    version: str = "digits-v1",
    watermark_us: int = NOON,
    log: str | None = None,
    final: bool = False,
) -> dict[str, Any]:
    """Ship records of one version's log."""
    return ledger.events(
        log=log or f"{version}-predictor-abcde",
        endpoint="digits",
        version=version,
        watermark_us=watermark_us,
        events=list(records),
        final=final,
    )


def announce(
    ledger: LedgerClient, *, rev: str = "r1", weights: dict[str, int] | None = None, action: str | None = None
) -> None:
    """Write weights into the audit, as the controller does before it patches a route."""
    entries = [{"action": "weights", "actor": "controller", "data": {"rev": rev, "weights": weights or WEIGHTS}}]
    if action:
        entries.insert(0, {"action": action, "actor": "controller", "data": {}})
    generation = ledger.state("digits")["generation"]
    ledger.put_state("digits", if_generation=generation, state={}, audit=entries)
