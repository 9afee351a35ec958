"""Observe: everything that one reconcile of one Turnout carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from turnout.controller import shadowing
from turnout.controller.evidence import EvidenceSource, Homeless, Increment, Test, read_increment
from turnout.controller.records import Blindness
from turnout.controller.rollout import Rollout
from turnout.controller.shadowing import Pairs
from turnout.errors import Conflict
from turnout.kube import httproutes, inferenceservices
from turnout.kube.turnouts import TurnoutSpec

__all__ = ["Ledger", "Turn", "World", "blindness", "current_tests", "observe"]

# A gateway's log is read within seconds; who is ready now was, most likely, ready then.
_READINESS_LASTS_US = 10_000_000


class Ledger(EvidenceSource, Pairs, Protocol):
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
    """What one round of listing saw, for all Turnouts alike. `policies` is None where the gateway has no such kind."""

    turnouts: Sequence[Mapping[str, Any]]
    versions: Mapping[tuple[str, str], Mapping[str, Any]]
    routes: Mapping[tuple[str, str], Mapping[str, Any]]
    domain: str
    now_us: int
    policies: Mapping[tuple[str, str], Mapping[str, Any]] | None = None

    def ready(self, namespace: str) -> frozenset[str]:
        """Names of the ready InferenceServices of a namespace that nobody is deleting."""
        return frozenset(
            name
            for (ns, name), obj in self.versions.items()
            if ns == namespace
            and inferenceservices.is_ready(dict(obj))
            and not obj["metadata"].get("deletionTimestamp")
        )

    def leaving(self, namespace: str) -> frozenset[str]:
        """Names of the InferenceServices of a namespace that somebody is deleting."""
        mine = [obj["metadata"] for (ns, _), obj in self.versions.items() if ns == namespace]
        return frozenset(metadata["name"] for metadata in mine if metadata.get("deletionTimestamp"))

    def missing(self, turn: Turn) -> frozenset[str]:
        """Versions that the rollout wants to serve, and that do not exist."""
        return frozenset(v for v in turn.rollout.served if (turn.namespace, v) not in self.versions)

    def route(self, turn: Turn) -> Mapping[str, Any] | None:
        """The Turnout's route as it was seen."""
        return self.routes.get((turn.namespace, httproutes.route_name(turn.name)))


@dataclass
class Turn:
    """Everything that one reconcile carries from step to step. `tests` has the saved ones, `running` those that are on.

    `unreported` are decisions whose Events may not have been written yet; `term` is that of the leader that wrote the
    state.
    """

    turnout: dict[str, Any]
    name: str
    namespace: str
    spec: TurnoutSpec
    host: str
    generation: int
    term: int
    rollout: Rollout
    committed: Rollout
    tests: dict[str, Any]
    unreported: list[dict[str, Any]]
    shadows: dict[str, Any]
    running: dict[str, Test] = field(default_factory=dict)
    increments: dict[str, Increment] = field(default_factory=dict)
    has_news: bool = False  # of shadows

    @property
    def key(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Logs without which evidence is not complete."""
        return tuple(sorted({log for increment in self.increments.values() for log in increment.waiting_for}))

    def keep_tests(self) -> None:
        """Put what is running into what will be saved; of tests that are over, all but who took part."""
        for test in self.running.values():
            self.tests[f"{test.champion}|{test.challenger}"] = test.dump()
        for pair, saved in self.tests.items():
            version = pair.partition("|")[2]
            if version in self.rollout.judged and version not in self.running:
                saved["subjects"] = {}  # 2 MB for 50,000 users, which every commit would write again for ever


def observe(turnout: dict[str, Any], spec: TurnoutSpec, host: str, ledger: Ledger, *, term: int, world: World) -> Turn:
    """The state as it was committed last, and the evidence that has come since.

    Raises:
        Conflict: a later leader has written this state: who reads this has been replaced while it slept.
    """
    name, namespace = turnout["metadata"]["name"], turnout["metadata"]["namespace"]
    saved = ledger.state(name, namespace=namespace)
    state = saved["state"] or {}
    if state.get("term", 0) > term:
        raise Conflict(f"{namespace}/{name}: a later leader has taken over (term {state['term']}, ours is {term})")
    rollout = Rollout.load(state["rollout"]) if "rollout" in state else Rollout()
    turn = Turn(
        turnout=turnout,
        name=name,
        namespace=namespace,
        spec=spec,
        host=host,
        generation=saved["generation"],
        term=state.get("term", 0),
        rollout=rollout,
        committed=rollout,
        tests=dict(state.get("tests", {})),
        unreported=list(state.get("unreported", [])),
        shadows=dict(state.get("shadows", {})),
    )
    turn.running = current_tests(turn)
    _read_evidence(turn, ledger, world)
    turn.shadows, turn.has_news = shadowing.read(
        ledger, name, turn.shadows, namespace=namespace, spec=spec, now_us=world.now_us
    )
    return turn


def _read_evidence(turn: Turn, ledger: Ledger, world: World) -> None:
    for version, test in turn.running.items():
        challenge = turn.rollout.challenge(version)
        increment = read_increment(
            ledger,
            turn.name,
            namespace=turn.namespace,
            test=test,
            window_us=turn.spec.policy.label_window,
            step_us=challenge.step_started_us if challenge else 0,
            tainted=turn.rollout.tainted,
            forced=turn.spec.policy.forced_routing,
            host=turn.host,
            homeless=_homeless(turn, test, world),
        )
        turn.increments[version] = increment
        if challenge is not None and increment.labels:
            counted = replace(challenge, step_labels=challenge.step_labels + increment.labels)
            turn.rollout = turn.rollout.with_challenge(counted)


def _homeless(turn: Turn, test: Test, world: World) -> Homeless:
    weights, ready = turn.rollout.weights, world.ready(turn.namespace)
    gone = [v for v in (test.champion, test.challenger) if v not in ready and weights.get(v, 0)]
    mine, theirs = weights.get(test.challenger, 0), weights.get(test.champion, 0)
    since_us = max(turn.rollout.rev_us, world.now_us - _READINESS_LASTS_US)
    return Homeless(gone[0] if len(gone) == 1 else "", mine / max(mine + theirs, 1), since_us)


def current_tests(turn: Turn) -> dict[str, Test]:
    """The tests that the state asks for, by the version that is judged; those that run already stay as they are."""
    found = {}
    for champion, challenger in turn.rollout.pairs:
        running = turn.running.get(challenger)
        if running is not None and running.champion == champion:
            found[challenger] = running
            continue
        saved = turn.tests.get(f"{champion}|{challenger}")
        challenge = turn.rollout.challenge(challenger)
        if saved:
            found[challenger] = Test.load(saved)
            continue
        family, since_us = (challenge.family, challenge.started_us) if challenge else (1, turn.rollout.promoted_us)
        found[challenger] = Test.begin(champion, challenger, turn.spec.policy, family=family, since_us=since_us)
    return found


def blindness(turn: Turn, route: Mapping[str, Any] | None) -> Blindness:
    """Which logs are silent, and since when nothing is known of them."""
    notes = (route or {}).get("metadata", {}).get("annotations") or {}
    rolled_back = bool(notes.get(httproutes.BLIND))
    if not turn.waiting_for:
        return Blindness(rolled_back=rolled_back)
    begun_us = max((c.started_us for c in turn.rollout.challenges), default=turn.rollout.promoted_us)
    seen_us = min(increment.watermark_us for increment in turn.increments.values())
    what = f"no word from the logs of {', '.join(turn.waiting_for)}"
    return Blindness(what=what, since_us=max(begun_us, seen_us), rolled_back=rolled_back)
