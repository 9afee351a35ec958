"""What put a version in front of a request: the decisions of the audit behind one prediction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from turnout.ledger import audit, predictions

__all__ = ["DECISIONS", "of"]

# What the controller does to an endpoint; each of them may set new weights.
DECISIONS = (
    "adopt",
    "start",
    "step",
    "promote",
    "rollback",
    "expire",
    "withdraw",
    "revert",
    "baked",
    "restore",
)


def of(connection: Connection, prediction_id: str) -> dict[str, Any]:
    """A prediction's head and the audit rows behind it, in their order.

    These are all decisions about its version so far, the last decision of its endpoint, and the weights of its rev.

    Raises:
        NotFound: there is no such prediction, or it has been erased.
    """
    prediction = predictions.stored(connection, prediction_id)
    row = prediction.row
    place = {"namespace": row.namespace, "turnout": row.endpoint}
    weights = audit.by_rev(connection, [row.rev], **place).get(row.rev) if row.rev else None
    # Weights and the decision behind them are written together, so the weights' time finds the decision, also if the
    # predictor's clock is behind the ledger's.
    decided_us = weights["time_us"] if weights else row.time_us
    decided = audit.decisions(connection, **place, actions=DECISIONS, until_us=decided_us)
    about = [found for found in decided if found["data"].get("version") == row.version]
    decision = decided[-1] if decided else None
    return {
        "id": row.id,
        "time_us": row.time_us,
        "namespace": row.namespace,
        "endpoint": row.endpoint,
        "version": row.version,
        "rev": row.rev,
        "stamp": prediction.content.get("stamp"),
        "outcome": row.outcome,
        "weights": weights,
        "decision": decision,
        "audit": [*about, *(found for found in (decision, weights) if found and found not in about)],
    }
