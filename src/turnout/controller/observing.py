"""Observe: everything that one reconcile of one Turnout carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from turnout.controller.evidence import EvidenceSource, Increment, Test, read_increment
from turnout.controller.rollout import Rollout
from turnout.kube import inferenceservices
from turnout.kube.turnouts import TurnoutSpec

__all__ = ["Ledger", "Turn", "World", "current_test", "observe"]


class Ledger(EvidenceSource, Protocol):
    """The ledger, as the controller needs it."""

    def state(self, turnout: str, *, namespace: str) -> dict[str, Any]: ...

    def put_state(
        self,
        turnout: str,
        *,
        namespace: str,
        if_generation: int,
        state: dict[str, Any],
        audit: list[dict[str, Any]],
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class World:
    """What one round of listing saw, for all Turnouts alike."""

    turnouts: Sequence[Mapping[str, Any]]
    versions: Mapping[tuple[str, str], Mapping[str, Any]]
    routes: Mapping[tuple[str, str], Mapping[str, Any]]
    domain: str
    now_us: int

    def ready(self, namespace: str) -> frozenset[str]:
        """Names of the ready InferenceServices of a namespace."""
        return frozenset(
            name
            for (ns, name), obj in self.versions.items()
            if ns == namespace and inferenceservices.is_ready(dict(obj))
        )


@dataclass
class Turn:
    """Everything that one reconcile carries from step to step."""

    turnout: dict[str, Any]
    name: str
    namespace: str
    spec: TurnoutSpec
    host: str
    generation: int
    rollout: Rollout
    committed_rev: str
    tests: dict[str, Any]
    test: Test | None = None
    increment: Increment = field(default_factory=lambda: Increment(0, {}, ()))


def observe(turnout: dict[str, Any], spec: TurnoutSpec, host: str, ledger: Ledger) -> Turn:
    name, namespace = turnout["metadata"]["name"], turnout["metadata"]["namespace"]
    saved = ledger.state(name, namespace=namespace)
    state = saved["state"] or {}
    rollout = Rollout.load(state["rollout"]) if "rollout" in state else Rollout()
    turn = Turn(
        turnout=turnout,
        name=name,
        namespace=namespace,
        spec=spec,
        host=host,
        generation=saved["generation"],
        rollout=rollout,
        committed_rev=rollout.rev,
        tests=dict(state.get("tests", {})),
    )
    _read_evidence(turn, ledger)
    return turn


def _read_evidence(turn: Turn, ledger: Ledger) -> None:
    turn.test = current_test(turn)
    if turn.test is None:
        return
    window_us = turn.spec.policy.label_window
    turn.increment = read_increment(ledger, turn.name, namespace=turn.namespace, test=turn.test, window_us=window_us)
    fresh = turn.increment.labels_by_rev.get(turn.rollout.rev, 0)
    if fresh:
        turn.rollout = replace(turn.rollout, step_labels=turn.rollout.step_labels + fresh)


def current_test(turn: Turn) -> Test | None:
    if turn.rollout.pair is None:
        return None
    champion, challenger = turn.rollout.pair
    saved = turn.tests.get(f"{champion}|{challenger}")
    return Test.load(saved) if saved else Test.begin(champion, challenger, turn.spec.policy)
