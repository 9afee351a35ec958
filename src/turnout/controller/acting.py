"""Act: commit to the ledger first, then make the route say what was committed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from turnout.controller.decision import Decision
from turnout.controller.observing import Ledger, Turn, World
from turnout.controller.rollout import Rollout
from turnout.errors import Conflict
from turnout.kube import httproutes
from turnout.kube.client import Kube

__all__ = ["act", "commit", "new_rev"]

log = logging.getLogger(__name__)

# Envoy's connections to a retired version have long gone over to others by then.
_DELETE_AFTER_US = 10_000_000


def new_rev() -> str:
    """A token for new weights: what it stands for is known only to the audit."""
    return secrets.token_hex(4)


def commit(turn: Turn, decisions: Sequence[Decision], ledger: Ledger) -> None:
    """State, cursors and audit rows in one transaction, fenced by the generation that was read."""
    if not decisions and not turn.increment.units:
        return
    if turn.test is not None:
        turn.tests[f"{turn.test.champion}|{turn.test.challenger}"] = turn.test.dump()
    rows: list[dict[str, Any]] = []
    rev = turn.committed_rev
    for made in decisions:
        data = {"version": made.version, "sentence": made.sentence, "evidence": made.evidence}
        rows.append({"action": made.action, "actor": "controller", "data": data})
        if made.rollout.rev != rev:
            rows.append(_weights_row(made.rollout))
            rev = made.rollout.rev
    _put(turn, ledger, rows)


def _put(turn: Turn, ledger: Ledger, rows: list[dict[str, Any]]) -> None:
    state = {"rollout": turn.rollout.dump(), "tests": turn.tests}
    answer = ledger.put_state(
        turn.name, namespace=turn.namespace, if_generation=turn.generation, state=state, audit=rows
    )
    turn.generation = answer["generation"]


def _weights_row(rollout: Rollout) -> dict[str, Any]:
    data = {"rev": rollout.rev, "weights": dict(rollout.weights), "champion": rollout.champion}
    return {"action": "weights", "actor": "controller", "data": data}


def act(turn: Turn, world: World, kube: Kube, ledger: Ledger) -> bool:
    """Make the route say what was committed and delete what nobody needs; returns whether the route was in sync."""
    if turn.rollout.champion is None:
        return True
    actual = world.routes.get((turn.namespace, httproutes.route_name(turn.name)))
    in_sync = True
    if actual is not None and _rev(actual) == turn.rollout.rev and not _holds(_route(turn), actual):
        # Somebody else changed it: what was asked for comes back under a new revision, so that requests which were
        # assigned by other weights are not taken for evidence of ours.
        in_sync = False
        turn.rollout = replace(turn.rollout, rev=new_rev())
        log.warning(
            "%s/%s: the route differs from revision; restoring it as %s", turn.namespace, turn.name, turn.rollout.rev
        )
        restored = {"action": "restore", "actor": "controller", "data": {"rev": turn.rollout.rev, "was": _rev(actual)}}
        _put(turn, ledger, [restored, _weights_row(turn.rollout)])
    desired = _route(turn)
    if actual is None or not _holds(desired, actual):
        if actual is not None:
            desired["metadata"]["resourceVersion"] = actual["metadata"]["resourceVersion"]
        kube.apply(desired, manager="turnout-controller")
    else:
        _delete_retired(turn, world, kube)
    return in_sync


def _route(turn: Turn) -> dict[str, Any]:
    return httproutes.build(
        httproutes.ManagedRoute(
            turnout=turn.name,
            namespace=turn.namespace,
            uid=turn.turnout["metadata"]["uid"],
            host=turn.host,
            rev=turn.rollout.rev,
            weights=turn.rollout.weights,
            forced=turn.rollout.served if turn.spec.policy.forced_routing else (),
        )
    )


def _rev(route: Mapping[str, Any]) -> str:
    return str((route["metadata"].get("annotations") or {}).get(httproutes.REV, ""))


def _holds(wanted: Any, found: Any) -> bool:
    """Whether `found` says all that `wanted` says; the server may have added defaults to mappings, not to lists."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(key in found and _holds(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(_holds, wanted, found))
    return bool(wanted == found)


def _delete_retired(turn: Turn, world: World, kube: Kube) -> None:
    """Keep the newest `keep` retired versions warm; nobody routes to the others any more."""
    keep = turn.spec.policy.keep
    for version, retired_us in turn.rollout.retired[: max(0, len(turn.rollout.retired) - keep)]:
        present = (turn.namespace, version) in world.versions
        if present and version not in turn.rollout.served and world.now_us - retired_us > _DELETE_AFTER_US:
            try:
                kube.delete("InferenceService", version, namespace=turn.namespace)
            except Conflict:
                log.info("%s/%s: %s is being changed; its deletion waits", turn.namespace, turn.name, version)
