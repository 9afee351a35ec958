from __future__ import annotations

import random
from typing import Any

import pytest

from tests.controller.fakes import FakeKube, FakeLedger, inferenceservice, turnout
from turnout.controller.reconciling import reconcile
from turnout.errors import Conflict, Unavailable
from turnout.kube.httproutes import REV

SECOND = 1_000_000
POLICY = {"stepTime": "1s", "bake": "2s", "labelWindow": "1s", "minLabels": 30, "keep": 0}


class Stage:
    """A Turnout with its fakes and a clock."""

    def __init__(self, *versions: str, challengers: tuple[str, ...] = (), policy: dict[str, Any] | None = None) -> None:
        self.kube = FakeKube(*(inferenceservice(v) for v in versions))
        self.ledger = FakeLedger()
        self.turnout = turnout(*(challengers or versions), policy=policy or POLICY)
        self.kube.objects["Turnout", "digits"] = self.turnout
        self.now_us = 1_000 * SECOND

    def tick(self, *, seconds: float = 1.1) -> None:
        self.now_us += int(seconds * SECOND)
        reconcile(self.turnout, self.kube.world(now_us=self.now_us), kube=self.kube, ledger=self.ledger)

    def play(self, right: dict[str, float], *, until: str, rounds: int = 60) -> None:
        draw = random.Random(7)
        for _ in range(rounds):
            self.tick()
            if until in self.ledger.actions:
                return
            self.ledger.answer(400, right=right, draw=draw)
        raise AssertionError(f"no {until} in {self.ledger.actions}")

    def condition(self, name: str) -> dict[str, Any]:
        return next(c for c in self.turnout["status"]["conditions"] if c["type"] == name)


def test_the_first_version_gets_the_route_and_a_second_one_its_first_share() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.turnout["status"]["champion"] == "digits-v1"
    assert [event["reason"] for event in stage.kube.events] == ["Adopted", "ChallengeStarted"]


def test_a_better_challenger_walks_all_steps_is_promoted_and_bakes() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.84, "digits-v2": 0.96}, until="baked")
    # The verdict may come in any step; the share walks all of them whenever it does.
    assert [a for a in stage.ledger.actions if a != "verdict"] == ["adopt", "start", "step", "step", "promote", "baked"]
    assert stage.ledger.actions.count("verdict") == 1
    assert stage.kube.weights == {"digits-v2": 100}
    assert stage.turnout["status"]["verdict"]["verdict"] == "promote"


def test_a_worse_challenger_is_rolled_back_and_never_tried_again() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.96, "digits-v2": 0.6}, until="rollback")
    assert stage.kube.weights == {"digits-v1": 100}
    for _ in range(5):
        stage.tick()
    assert stage.ledger.actions.count("start") == 1
    assert stage.turnout["status"]["judged"]["digits-v2"] == "rollback"


def test_without_labels_the_share_is_held_and_says_whose_log_is_missing() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.ledger.waiting_for = ["digits-v2-predictor-abc"]
    for _ in range(10):
        stage.tick(seconds=60)
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.condition("EvidenceValid")["reason"] == "WaitingForLogs"
    assert "digits-v2-predictor-abc" in stage.condition("EvidenceValid")["message"]


def test_a_controller_that_died_between_commit_and_route_finishes_at_its_next_start() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.kube.broken["apply"] = Unavailable("the API server is away")
    with pytest.raises(Unavailable):
        stage.tick()
    assert stage.ledger.actions == ["adopt", "start"]
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.kube.route["metadata"]["annotations"][REV] in stage.ledger.revs


def test_the_weights_are_in_the_audit_before_they_are_in_the_route() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.kube.broken["apply"] = Unavailable("the API server is away")
    with pytest.raises(Unavailable):
        stage.tick()
    assert list(stage.ledger.revs.values())[-1] == {"digits-v1": 95, "digits-v2": 5}
    assert ("HTTPRoute", "digits-turnout") not in stage.kube.objects


def test_of_two_controllers_the_slower_one_changes_nothing() -> None:
    stage = Stage("digits-v1")
    original = stage.ledger.state

    def overtaken(name: str, *, namespace: str) -> dict[str, Any]:
        seen = original(name, namespace=namespace)
        stage.ledger.generation += 1
        return seen

    stage.ledger.state = overtaken  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        stage.tick()
    assert stage.kube.objects.keys() == {("Turnout", "digits")}


def test_a_route_changed_by_somebody_else_comes_back_under_a_new_revision() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    before = stage.kube.route["metadata"]["annotations"][REV]
    stage.kube.route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.kube.route["metadata"]["annotations"][REV] != before
    assert "restore" in stage.ledger.actions
    assert stage.condition("EvidenceValid")["reason"] == "RouteChanged"


def test_a_wrong_spec_is_a_condition_and_leaves_the_route_alone() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.turnout["spec"]["policy"] = {"steps": [50, 5]}
    stage.tick()
    assert stage.condition("Ready")["reason"] == "InvalidSpec"
    assert "steps must rise strictly" in stage.condition("Ready")["message"]
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}


def test_of_two_turnouts_with_one_host_the_older_keeps_it() -> None:
    stage = Stage("digits-v1")
    older = turnout("digits-v1", name="elder", host="digits.localhost")
    older["metadata"]["creationTimestamp"] = "2026-11-20T10:00:00Z"
    stage.kube.objects["Turnout", "elder"] = older
    stage.tick()
    assert stage.condition("Ready")["reason"] == "Conflict"
    assert "default/elder" in stage.condition("Ready")["message"]


def test_retired_versions_beyond_keep_are_deleted_once_nothing_routes_to_them() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.96, "digits-v2": 0.6}, until="rollback")
    assert stage.kube.deleted == []
    stage.tick(seconds=11)
    assert stage.kube.deleted == ["digits-v2"]


def test_nobody_ready_is_said_and_waited_for() -> None:
    stage = Stage(challengers=("digits-v1",))
    stage.tick()
    assert stage.condition("Ready")["reason"] == "NoChampion"
    stage.kube.versions["digits-v1"] = inferenceservice("digits-v1")
    stage.tick()
    assert stage.condition("Ready")["status"] == "True"
