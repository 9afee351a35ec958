"""Every kind of challenger, and everything that can happen to a rollout: each ends as its policy says."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.replay.controllers import Cable, Controllers
from tests.replay.stage import Stage, constant

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]
Build = Callable[..., Stage]


def under_test(stage: Stage) -> None:
    """Let the second version in, and wait until it has a share."""
    stage.challenge()
    stage.until(lambda s: bool(s.get("share")), "a first share")


def promoted(stage: Stage) -> dict[str, object]:
    second = f"{stage.name}-v2"
    return stage.until(lambda s: s.get("champion") == second and s.get("phase") == "Stable", "a promotion and its bake")


def test_challengers_that_are_equal_slow_erroring_unlabelled_or_drifting(
    stage: Build, controllers: Controllers
) -> None:
    controllers.start("a")
    equal = stage("equal", right=constant(0.9, 0.9), policy={"margin": 0.3})
    slow = stage("slow", right=constant(0.9, None), fault="slow:0.12", rate=30.0)
    erroring = stage("errors", right=constant(0.9, None), fault="failing:0.5")
    silent = stage("silent", right=constant(0.9, None), policy={"maxAge": "8s", "onExpiry": "hold"})
    drifting = stage("drift", right=lambda _, s: max(0.3, 0.95 - s / 30), policy={"margin": 0.35})
    for each in (equal, slow, erroring, silent, drifting):
        each.challenge()
    assert slow.judged("rollback")["verdict"]["labelled"]["challenger"] == 0
    assert "(latency)" in next(row for row in slow.rows if row["action"] == "rollback")["data"]["sentence"]
    assert "(errors)" in _sentence(erroring, "rollback")
    held = silent.until(lambda s: s.get("phase") == "Held", "a hold")
    assert held["weights"] == silent.weights
    assert "no verdict within maxAge" in _sentence(silent, "hold")
    promoted(equal)
    promoted(drifting)
    assert equal.users.failures == slow.users.failures == silent.users.failures == drifting.users.failures == []


def _sentence(stage: Stage, action: str) -> str:
    stage.until(lambda _: action in stage.actions, action)
    return str(next(row for row in stage.rows if row["action"] == action)["data"]["sentence"])


def test_two_thousand_sticky_users_move_at_most_once_and_only_to_the_challenger(
    stage: Build, controllers: Controllers
) -> None:
    controllers.start("a")
    users = {"sticky": "x-user", "population": 2_000, "rate": 150.0}
    sticky = stage("sticky", right=constant(0.9, 0.9), policy={"margin": 0.3, "minLabels": 20}, **users)
    under_test(sticky)
    status = promoted(sticky)
    assert next(c for c in status["conditions"] if c["type"] == "Sticky")["status"] == "True"
    moves = [[a + b for a, b in itertools.pairwise(names) if a != b] for names in sticky.users.met.values()]
    assert {len(each) for each in moves} <= {0, 1}
    assert {move for each in moves for move in each} <= {"sticky-v1sticky-v2"}
    assert status["verdict"]["users"] > 20
    assert sticky.users.failures == []


def test_the_ledger_away_in_mid_step_holds_and_then_goes_on(
    stage: Build, controllers: Controllers, cable: Cable
) -> None:
    controllers.start("a", ledger_url=cable.url)
    away = stage("away", right=constant(0.6, 0.95), policy={"stepTime": "3s"})
    under_test(away)
    cable.cut()
    away.until(lambda s: _condition(s, "LedgerAvailable") == "False", "the condition")
    before = away.weights
    time.sleep(5)  # ten minutes of compressed time, in which nothing may change
    assert away.weights == before
    cable.mend()
    promoted(away)
    assert away.users.failures == []


def test_the_ledger_away_for_too_long_takes_the_challenger_back_and_the_books_follow(
    stage: Build, controllers: Controllers, cable: Cable
) -> None:
    controllers.start("a", ledger_url=cable.url)
    policy = {"onBlind": "rollback", "blindTime": "2s", "steps": [20], "stepTime": "1h"}
    blind = stage("blind", right=constant(0.9, 0.9), policy=policy)
    under_test(blind)
    cable.cut()
    _eventually(lambda: blind.weights == {"blind-v1": 100})
    cable.mend()
    status = blind.judged("blind")
    _eventually(lambda: blind.route["metadata"]["annotations"]["turnout.dev/rev"] == status["rev"])
    assert blind.users.failures == []


def test_a_log_that_comes_a_window_late_is_waited_for(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    late = stage("late", right=constant(0.6, 0.95), fault="late:2.5")
    under_test(late)
    late.until(lambda s: _condition(s, "EvidenceValid") == "False", "the condition that names the log")
    status = promoted(late)
    assert status["verdict"]["labelled"]["challenger"] >= 5


def test_a_storm_of_retries_with_equal_caller_ids_changes_no_verdict(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    storm = stage("storm", right=constant(0.9, 0.9), policy={"margin": 0.3}, retries=5, rate=20.0)
    under_test(storm)
    promoted(storm)
    assert storm.users.failures == []


def test_weights_that_somebody_else_changes_come_back_and_what_they_assigned_is_no_evidence(
    stage: Build, controllers: Controllers
) -> None:
    controllers.start("a")
    edited = stage("edited", right=constant(0.6, 0.95), policy={"stepTime": "2s"})
    under_test(edited)
    route = edited.route
    for backend, weight in zip(route["spec"]["rules"][0]["backendRefs"], (1, 99), strict=True):
        backend["weight"] = weight
    edited.kube.patch("HTTPRoute", "edited-turnout", namespace="default", body={"spec": route["spec"]})
    edited.until(lambda _: "restore" in edited.actions, "the route to be restored")
    promoted(edited)
    assert edited.actions.count("restore") == 1
    assert edited.users.failures == []


def test_a_paused_leader_that_wakes_changes_nothing(stage: Build, controllers: Controllers) -> None:
    first = controllers.start("a")
    paused = stage("paused", right=constant(0.6, 0.95), policy={"stepTime": "1s"})
    under_test(paused)
    os.kill(first.pid, signal.SIGSTOP)
    controllers.start("b")
    promoted(paused)
    rows = len(paused.rows)
    rev = paused.route["metadata"]["annotations"]["turnout.dev/rev"]
    os.kill(first.pid, signal.SIGCONT)
    _eventually(lambda: "lost the lead" in controllers.said("a"))
    assert first.poll() is None
    assert paused.route["metadata"]["annotations"]["turnout.dev/rev"] == rev
    assert [row["action"] for row in paused.rows[rows:] if row["action"] != "alias"] == []
    assert paused.users.failures == []


def test_people_decide_halfway_through_a_promotion(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    halfway = stage("halfway", right=constant(0.6, 0.95), policy={"bake": "1h"})
    under_test(halfway)
    halfway.until(lambda s: s.get("phase") == "Baking", "the bake")
    order = '{"verb": "rollback", "by": "ann", "reason": "complaints"}'
    body = {"metadata": {"annotations": {"turnout.dev/order": order}}}
    halfway.kube.patch("Turnout", "halfway", namespace="default", body=body)
    status = halfway.until(lambda s: s.get("champion") == "halfway-v1", "the old champion")
    assert status["lastOrder"]["result"] == "done"
    assert next(row for row in halfway.rows if row["action"] == "revert")["data"]["guarantee"] == "outside"
    assert halfway.users.failures == []


def test_of_two_challengers_together_the_good_one_wins_and_the_bad_one_leaves(
    stage: Build, controllers: Controllers
) -> None:
    controllers.start("a")
    chances = {"both-v1": 0.6, "both-v2": 0.95, "both-v3": 0.2}
    policy = {"onSecond": "together", "steps": [20, 40]}
    both = stage("both", right=lambda version, _: chances[version], policy=policy, versions=3, rate=90.0)
    both.challenge()
    status = both.until(lambda s: s.get("phase") == "Stable" and "both-v3" in (s.get("judged") or {}), "both verdicts")
    promoted(both)
    assert status["judged"] == {"both-v1": "adopt", "both-v2": "promote", "both-v3": "rollback"}
    starts = [row["data"]["sentence"] for row in both.rows if row["action"] == "start"]
    assert any("one of 2 at a time" in sentence for sentence in starts), starts
    assert both.users.failures == []


def test_versions_deleted_by_hand_leave_the_route_before_they_go(stage: Build, controllers: Controllers) -> None:
    controllers.start("a")
    gone = stage("gone", right=constant(0.9, 0.9), policy={"steps": [20], "stepTime": "1h"})
    under_test(gone)
    gone.kube.delete("InferenceService", "gone-v2", namespace="default")
    gone.until(lambda s: not s.get("challenger"), "the challenger to be withdrawn")
    _eventually(lambda: not _exists(gone, "gone-v2"))
    gone.kube.delete("InferenceService", "gone-v1", namespace="default")
    gone.until(lambda s: _reason(s, "Ready") == "ChampionLeaving", "the condition")
    answered = sum(gone.users.answered.values())
    _eventually(lambda: sum(gone.users.answered.values()) > answered + 100)
    assert gone.users.failures == []
    gone.users.stop()
    gone.kube.delete("Turnout", "gone", namespace="default")
    _eventually(lambda: not _exists(gone, "gone-v1"))


def _exists(stage: Stage, version: str) -> bool:
    return any(obj["metadata"]["name"] == version for obj in stage.kube.list("InferenceService", namespace="default"))


def _reason(status: dict[str, object], name: str) -> str:
    conditions = status.get("conditions") or []
    return next((str(c["reason"]) for c in conditions if c["type"] == name), "")  # type: ignore[attr-defined]


def test_a_controller_killed_after_every_single_write_still_ends_right(stage: Build, controllers: Controllers) -> None:
    killed = _started_and_killed(stage, controllers)
    actions = killed.actions
    assert [a for a in actions if a != "verdict"] == ["adopt", "start", "step", "promote", "baked"]
    assert killed.weights == {"killed-v2": 100}
    assert killed.users.failures == []
    events = killed.kube.list("Event", namespace="default")
    mine = [e["reason"] for e in events if e["involvedObject"]["name"] == "killed"]
    for reason in ("Adopted", "ChallengeStarted", "ShareRaised", "VerdictPromote", "Promoted", "Baked"):
        assert mine.count(reason) == 1, mine
    points = {line.removeprefix("killed after: ") for line in controllers.said("a").splitlines() if "killed" in line}
    assert points >= {"put_state killed", "patch HTTPRoute", "patch Turnout status", "create Event"}, points


def _started_and_killed(stage: Build, controllers: Controllers) -> Stage:
    """Play a whole rollout by controllers that each die after one to five writes."""
    steady = controllers.start("a")
    killed = stage("killed", right=constant(0.6, 0.95))
    steady.kill()
    steady.wait()
    killed.challenge()
    for life in range(200):
        process = controllers.start("a", die_after=1 + life % 5)
        done = False
        while process.poll() is None and not done:
            status = killed.kube.get("Turnout", "killed", namespace="default")["status"]
            done = status.get("champion") == "killed-v2" and status.get("phase") == "Stable"
            time.sleep(0.1)
        if done:
            process.kill()
            break
    last = controllers.start("a")
    promoted(killed)
    _eventually(lambda: _reasons(killed).count("Baked") == 1)
    last.kill()
    return killed


def _reasons(stage: Stage) -> list[str]:
    events = stage.kube.list("Event", namespace="default")
    return [event["reason"] for event in events if event["involvedObject"]["name"] == stage.name]


def _condition(status: dict[str, object], name: str) -> str:
    conditions = status.get("conditions") or []
    return next((str(c["status"]) for c in conditions if c["type"] == name), "")  # type: ignore[attr-defined]


def _eventually(holds: Callable[[], bool], *, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
