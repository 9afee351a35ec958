"""One reconcile of one Turnout: observe, decide, act, report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.controller import decision, reporting
from turnout.controller.acting import act, commit, new_rev
from turnout.controller.observing import Ledger, Turn, World, current_test, observe
from turnout.controller.rollout import Rollout
from turnout.errors import SpecError
from turnout.kube.client import Kube
from turnout.kube.turnouts import default_host, read_spec

__all__ = ["reconcile"]


def reconcile(turnout: dict[str, Any], world: World, *, kube: Kube, ledger: Ledger) -> Rollout | None:
    """Bring one Turnout a step closer to where its policy wants it; returns its state, None when it is not acted upon.

    Errors of the ledger or the API server are raised; the next round tries again from what was committed.
    """
    metadata = turnout["metadata"]
    if metadata.get("deletionTimestamp"):
        return None
    try:
        spec = read_spec(turnout)
    except SpecError as error:
        reporting.refuse(kube, turnout, reason="InvalidSpec", message=str(error))
        return None
    host = spec.host or default_host(metadata["name"], metadata["namespace"], world.domain)
    owner = _older_claim(turnout, host, world)
    if owner:
        reporting.refuse(
            kube, turnout, reason="Conflict", message=f"the host {host} belongs to the older Turnout {owner}"
        )
        return None
    turn = observe(turnout, spec, host, ledger)
    decisions = _decide(turn, world)
    commit(turn, decisions, ledger)
    in_sync = act(turn, world, kube, ledger)
    reporting.report(
        kube,
        turnout,
        turn.rollout,
        decisions,
        reporting.Seen(
            host=host,
            ready=world.ready(turn.namespace),
            challengers=spec.challengers,
            waiting_for=turn.increment.waiting_for,
            alarms=tuple(turn.test.comparison.alarms) if turn.test else (),
            route_in_sync=in_sync,
            evidence=turn.test.comparison.summary() if turn.test else None,
        ),
    )
    return turn.rollout


def _older_claim(turnout: Mapping[str, Any], host: str, world: World) -> str | None:
    """The Turnout that holds the host already: the older one keeps it."""

    def age(obj: Mapping[str, Any]) -> tuple[str, str, str]:
        metadata = obj["metadata"]
        return (metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"])

    for other in world.turnouts:
        metadata = other["metadata"]
        other_host = (other.get("spec") or {}).get("host") or default_host(
            metadata["name"], metadata["namespace"], world.domain
        )
        if other_host == host and age(other) < age(turnout):
            return f"{metadata['namespace']}/{metadata['name']}"
    return None


def _decide(turn: Turn, world: World) -> list[decision.Decision]:
    """Decisions until none follows; each sees the state that the one before left."""
    observed = decision.Observed(
        challengers=turn.spec.challengers,
        ready=world.ready(turn.namespace),
        policy=turn.spec.policy,
        now_us=world.now_us,
    )
    decisions: list[decision.Decision] = []
    while True:
        comparison = turn.test.comparison if turn.test else None
        made = decision.decide(turn.rollout, observed, comparison, new_rev=new_rev)
        if made is None:
            return decisions
        if turn.test is not None:
            turn.tests[f"{turn.test.champion}|{turn.test.challenger}"] = turn.test.dump()
        decisions.append(made)
        turn.rollout = made.rollout
        turn.test = current_test(turn)
