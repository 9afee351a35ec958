"""A trace as the tests of its pictures and events need it, and a cluster that knows where things are."""

from __future__ import annotations

from typing import Any

from turnout.lineage.tracing import Origin, Trace

NOON = 1_763_719_200_000_000
PREDICTION = "b9d1f6d7a2c34e5f8a9b0c1d2e3f4a5b"


def decision(action: str, *, seq: int = 1, at_us: int = NOON, **data: Any) -> dict[str, Any]:
    """A row of the audit."""
    return {"seq": seq, "time_us": at_us, "actor": "controller", "action": action, "data": data}


def origin(**more: Any) -> Origin:
    """What a pipeline knows of digits-v2: two files and the ledger."""
    files = (("pixels", "/data/pixels.csv"), ("labels", "s3://bucket/labels.csv"), ("feedback", "ledger://digits"))
    known = {
        "digest": f"sha256:{'ab' * 32}",
        "run": "digits-20251121-094500-a1b2",
        "job": "job-7",
        "mlflow_run": "6f0c1bb5d8764f8f9e2d6d1b64d3aa10",
        "snapshot": "snap-0123456789abcdef",
        "snapshot_digest": f"sha256:{'01' * 32}",
        "rows": 2250,
        "columns": 67,
        "sources": [
            {"name": name, "path": path, "sha256": "cd" * 32, "rows": 750, "quarantined": 0} for name, path in files
        ],
        "commit": "c1f089a2b7d3e4f5061728394a5b6c7d8e9f0a1b",
        "image": "ghcr.io/turnout-dev/pipeline:0.1.0",
        "python": "3.11.7",
        "lock": f"sha256:{'9' * 64}",
        "code": f"sha256:{'8' * 64}",
        "candidate": "forest",
        "registered_us": NOON - 900_000_000,
    }
    return Origin(**(known | more))


def trace(**more: Any) -> Trace:
    """A prediction of digits-v2 at a fifth of the traffic."""
    known = {
        "prediction": PREDICTION,
        "time_us": NOON,
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v2",
        "rev": "k3x9",
        "weights": {"digits-v1": 80, "digits-v2": 20},
        "outcome": 1.0,
        "origin": origin(),
        "decisions": [
            decision("start", sentence="digits-v2 challenges digits-v1"),
            decision("weights", rev="k3x9", weights={"digits-v1": 80, "digits-v2": 20}),
        ],
    }
    return Trace(**(known | more))
