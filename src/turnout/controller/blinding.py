"""While the ledger is away nothing can be committed: hold, or after `blindTime` take the challengers back.

The way back needs no state: the champion stands in the status, and the route itself remembers what was done, so that
the first round with the ledger writes the decision down. Its revision is unknown to the audit, so that no request under
it is ever evidence.
"""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from turnout.controller import reporting
from turnout.controller.observing import World
from turnout.kube import httproutes
from turnout.kube.client import Kube
from turnout.kube.turnouts import TurnoutSpec

__all__ = ["endure"]

log = logging.getLogger(__name__)

_CONDITION = "LedgerAvailable"


def endure(turnout: Mapping[str, Any], spec: TurnoutSpec, world: World, kube: Kube, *, host: str, why: str) -> None:
    """Say since when the ledger is away, and go back to the champion when the policy has had enough of it."""
    told = f"{why}; shares stay as they are" + (
        f", and challengers are taken back after {spec.policy.blind_time // 1_000_000} s"
        if spec.policy.on_blind == "rollback"
        else ""
    )
    reporting.write(kube, turnout, {}, [(_CONDITION, False, "Unavailable", told)])
    status = turnout.get("status") or {}
    since_us = _since_us(status)
    if spec.policy.on_blind != "rollback" or not status.get("challenger") or since_us is None:
        return
    if world.now_us - since_us <= spec.policy.blind_time:
        return
    metadata = turnout["metadata"]
    route = world.routes.get((metadata["namespace"], httproutes.route_name(metadata["name"])))
    if route is None or httproutes.BLIND in (route["metadata"].get("annotations") or {}):
        return
    _go_back(route, metadata, str(status["champion"]), kube, host=host)


def _go_back(route: Mapping[str, Any], owner: Mapping[str, Any], champion: str, kube: Kube, *, host: str) -> None:
    back = httproutes.build(
        httproutes.ManagedRoute(
            turnout=owner["name"],
            namespace=owner["namespace"],
            uid=owner["uid"],
            host=host,
            rev=f"blind-{secrets.token_hex(4)}",
            seats=httproutes.seats({champion: 100}, found=route, resting=httproutes.named(route), ordered=False),
            shadows=httproutes.mirrors(route),
        )
    )
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = {**back["metadata"]["annotations"], httproutes.BLIND: moment}
    body = {
        "metadata": {"resourceVersion": route["metadata"]["resourceVersion"], "annotations": notes},
        "spec": back["spec"],
    }
    log.warning(
        "%s/%s: the ledger is away for too long; all requests go to %s", owner["namespace"], owner["name"], champion
    )
    kube.patch("HTTPRoute", route["metadata"]["name"], namespace=owner["namespace"], body=body)


def _since_us(status: Mapping[str, Any]) -> int | None:
    """Since when the condition says that the ledger is away; None when it does not."""
    found = next((c for c in status.get("conditions") or () if c["type"] == _CONDITION), None)
    if found is None or found["status"] != "False":
        return None
    return int(datetime.datetime.fromisoformat(found["lastTransitionTime"]).timestamp() * 1e6)
