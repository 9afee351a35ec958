"""Act: commit to the ledger first, then make the route say what was committed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from turnout.controller import guarding
from turnout.controller.observing import Ledger, Turn, World
from turnout.controller.records import Decision
from turnout.controller.rollout import Rollout
from turnout.controller.weighing import renewed
from turnout.errors import Conflict
from turnout.kube import httproutes
from turnout.kube.client import Kube

__all__ = ["act", "commit", "new_rev", "save", "taint"]

log = logging.getLogger(__name__)

# Envoy's connections to a retired version have long gone over to others by then.
_DELETE_AFTER_US = 10_000_000
_MOST_TAINTED = 50


def new_rev() -> str:
    """A token for new weights: what it stands for is known only to the audit."""
    return secrets.token_hex(4)


def commit(turn: Turn, decisions: Sequence[Decision], ledger: Ledger, *, term: int) -> None:
    """State, cursors and audit rows in one transaction, fenced by the generation that was read.

    A new leader writes its term into every state at once: whoever led before, and sleeps, finds the generation changed.
    """
    fresh = turn.has_news or any(increment.units for increment in turn.increments.values())
    if not decisions and not fresh and turn.term == term and turn.rollout == turn.committed:
        return
    turn.keep_tests()
    rows: list[dict[str, Any]] = []
    rev = turn.committed.rev
    for made in decisions:
        row = _audit_row(made)
        rows.append(row)
        turn.unreported.append({"action": made.action, "version": made.version, **_told(row)})
        if made.rollout.rev != rev:
            rows.append(_weights_row(made.rollout))
            rev = made.rollout.rev
    if turn.rollout.rev != rev:  # other stamps under the same weights: stickiness came or went
        rows.append(_weights_row(turn.rollout))
    save(turn, ledger, rows, term=term)


def save(turn: Turn, ledger: Ledger, rows: list[dict[str, Any]], *, term: int) -> None:
    """Write the state, if nobody else did since it was read.

    Raises:
        Conflict: somebody did; nothing was written.
    """
    state = {
        "term": term,
        "rollout": turn.rollout.dump(),
        "tests": turn.tests,
        "unreported": turn.unreported,
        "shadows": turn.shadows,
    }
    answer = ledger.put_state(
        turn.name, namespace=turn.namespace, if_generation=turn.generation, state=state, audit=rows
    )
    turn.generation, turn.term, turn.committed = answer["generation"], term, turn.rollout


def _audit_row(made: Decision) -> dict[str, Any]:
    # The id ties the row to its Event, so that a controller that died in between tells it once and only once.
    data: dict[str, Any] = {"id": secrets.token_hex(8), "version": made.version, "champion": made.rollout.champion}
    data |= {"sentence": made.sentence, "evidence": made.evidence}
    data |= {name: value for name, value in (("guarantee", made.guarantee), ("reason", made.reason)) if value}
    return {"action": made.action, "actor": made.actor, "data": data}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row["data"]["id"], "sentence": row["data"]["sentence"]}


def _weights_row(rollout: Rollout) -> dict[str, Any]:
    data = {"rev": rollout.rev, "weights": dict(rollout.weights), "champion": rollout.champion}
    return {"action": "weights", "actor": "controller", "data": data}


def taint(turn: Turn, world: World, ledger: Ledger, *, term: int, in_sync_us: int) -> bool:
    """Whether somebody else changed the route; then what was asked for comes back under a new revision.

    Requests that were assigned by other weights are no evidence of ours: the old revision is tainted from the last
    moment on at which the route was seen to be as committed.
    """
    actual, rollout = world.route(turn), turn.rollout
    if actual is None or rollout.champion is None or _holds(_route(turn, world), actual):
        return False
    found = _rev(actual)
    if found in rollout.past or httproutes.BLIND in (actual["metadata"].get("annotations") or {}):
        return False  # a commit whose route is still to be written, or our own way back
    if found == rollout.rev and _assigns(_route(turn, world), actual):
        return False  # shadows, hosts and testers' rules may come and go under one revision
    since_us = max(in_sync_us, rollout.rev_us)
    tainted = dict(list({**rollout.tainted, rollout.rev: since_us}.items())[-_MOST_TAINTED:])
    turn.rollout = renewed(replace(rollout, tainted=tainted), rev=new_rev(), now_us=world.now_us)
    sentence = f"somebody else changed the route; it is restored under revision {turn.rollout.rev}"
    log.warning("%s: %s", turn.key, sentence)
    data: dict[str, Any] = {"id": secrets.token_hex(8), "rev": turn.rollout.rev, "was": found, "sentence": sentence}
    data |= {"tainted": rollout.rev, "sinceUs": since_us}
    row = {"action": "restore", "actor": "controller", "data": data}
    turn.unreported.append({"action": "restore", "version": "", **_told(row)})
    turn.keep_tests()
    save(turn, ledger, [row, _weights_row(turn.rollout)], term=term)
    return True


def act(turn: Turn, world: World, kube: Kube) -> bool:
    """Make the route say what was committed and delete what nobody needs; whether the route was as wanted already.

    Raises:
        Conflict: the route changed since it was seen; the next round looks again.
    """
    if turn.rollout.champion is None:
        return True
    guarding.guard(turn, world, kube)
    actual, desired = world.route(turn), _route(turn, world)
    if actual is None:
        kube.create(desired)  # not applied: two controllers that both find none must not both make one
        return False
    if _holds(desired, actual) and httproutes.BLIND not in (actual["metadata"].get("annotations") or {}):
        guarding.release(turn, world, kube)
        _delete_retired(turn, world, kube)
        return True
    metadata = actual["metadata"]
    body = {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "annotations": {httproutes.REV: turn.rollout.rev, httproutes.BLIND: None},
            "ownerReferences": desired["metadata"]["ownerReferences"],
        },
        "spec": desired["spec"],
    }
    kube.patch("HTTPRoute", metadata["name"], namespace=turn.namespace, body=body)
    return False


def _route(turn: Turn, world: World) -> dict[str, Any]:
    rollout = turn.rollout
    seats = httproutes.seats(
        rollout.weights, found=world.route(turn), resting=_resting(turn, world), ordered=bool(rollout.sticky)
    )
    return httproutes.build(
        httproutes.ManagedRoute(
            turnout=turn.name,
            namespace=turn.namespace,
            uid=turn.turnout["metadata"]["uid"],
            host=turn.host,
            rev=rollout.rev,
            seats=seats,
            forced=rollout.served if turn.spec.policy.forced_routing else (),
            shadows=guarding.mirrored(turn, world),
            sticky=rollout.sticky,
        )
    )


def _rev(route: Mapping[str, Any]) -> str:
    return str((route["metadata"].get("annotations") or {}).get(httproutes.REV, ""))


def _assigns(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether both deal out requests alike: the same backends, weights and stamps for the same requests."""
    main, other = wanted["spec"]["rules"][0], (found["spec"].get("rules") or [{}])[0]
    return _holds(main["matches"], other.get("matches")) and _holds(_weighty(main), _weighty(other))


def _weighty(rule: Mapping[str, Any]) -> list[Any]:
    return [backend for backend in rule.get("backendRefs") or () if backend.get("weight", 1)]


def _holds(wanted: Any, found: Any) -> bool:
    """Whether `found` says all that `wanted` says; the server may have added defaults to mappings, not to lists."""
    if isinstance(wanted, Mapping):
        # An empty list and none at all are the same to every server.
        return isinstance(found, Mapping) and all(_holds(wanted[key], found.get(key, [])) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(_holds, wanted, found))
    return bool(wanted == found)


def _resting(turn: Turn, world: World) -> frozenset[str]:
    """Retired versions that may stay in the route without requests: those that are there and stay there."""
    surplus, retired = _surplus(turn, world), {version for version, _ in turn.rollout.retired}
    present = {v for v in retired if (turn.namespace, v) in world.versions}
    leaving = {v for v in present if world.versions[turn.namespace, v]["metadata"].get("deletionTimestamp")}
    return frozenset(present - leaving - surplus)


def _surplus(turn: Turn, world: World) -> frozenset[str]:
    """All but the newest `keep` retired versions, once nobody can be on the way to them any more."""
    keep, named = turn.spec.policy.keep, {*turn.rollout.served, *turn.spec.shadows}
    oldest = turn.rollout.retired[: max(0, len(turn.rollout.retired) - keep)]
    return frozenset(v for v, retired_us in oldest if v not in named and world.now_us - retired_us > _DELETE_AFTER_US)


def _delete_retired(turn: Turn, world: World, kube: Kube) -> None:
    """Delete what the route, as it was seen, no longer names and nobody keeps warm."""
    for version in sorted(_surplus(turn, world)):
        if (turn.namespace, version) in world.versions:
            try:
                kube.delete("InferenceService", version, namespace=turn.namespace)
            except Conflict:
                log.info("%s: %s is being changed; its deletion waits", turn.key, version)
