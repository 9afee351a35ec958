"""Events: one per decision, once, also when the controller died between its decision and its words."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from turnout.errors import Conflict
from turnout.kube.client import Kube

__all__ = ["REASONS", "tell"]

REASONS = {
    "adopt": "Adopted",
    "start": "ChallengeStarted",
    "step": "ShareRaised",
    "verdict": "VerdictPromote",
    "await": "AwaitingApproval",
    "promote": "Promoted",
    "rollback": "RolledBack",
    "hold": "Held",
    "resume": "Resumed",
    "retry": "Retried",
    "expire": "Expired",
    "withdraw": "Withdrawn",
    "replace": "Replaced",
    "revert": "Reverted",
    "baked": "Baked",
    "restore": "RouteRestored",
    "refuse": "OrderRefused",
    "alias": "AliasesMoved",
}
_WARNINGS = {"rollback", "revert", "expire", "hold", "restore", "refuse"}
_LONGEST = 1000  # characters of an Event's message that Kubernetes takes: 1,024


def tell(kube: Kube, turnout: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
    """Write the Event of a decision. Its name is the decision's id, so telling it again changes nothing."""
    metadata, action = turnout["metadata"], decision["action"]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{decision['id']}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": turnout["apiVersion"],
            "kind": "Turnout",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if action in _WARNINGS else "Normal",
        "reason": REASONS[action],
        "message": decision["sentence"][:_LONGEST],
        "source": {"component": "turnout-controller"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        kube.create(event)
    except Conflict:
        return  # told before
