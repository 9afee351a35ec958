from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.controller.fakes import FakeAliases, FakeGateway, FakeKube, FakeLedger, inferenceservice, turnout
from turnout.controller import guarding
from turnout.controller.probing import Prober
from turnout.controller.reconciling import Controller
from turnout.errors import Conflict, Unavailable
from turnout.kube.httproutes import BLIND, REV, mirrors
from turnout.kube.orders import ANNOTATION

SECOND = 1_000_000
POLICY = {"stepTime": "1s", "bake": "2s", "labelWindow": "1s", "minLabels": 30, "keep": 0}


class Stage:
    """A Turnout with its fakes and a clock."""

    def __init__(
        self, *versions: str, challengers: tuple[str, ...] = (), policy: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        self.kube = FakeKube(*(inferenceservice(v) for v in versions))
        self.ledger, self.gateway, self.seconds = FakeLedger(), FakeGateway(), 0.0
        self.turnout = turnout(*(challengers or versions), policy={**POLICY, **(policy or {})}, **spec)
        self.kube.objects["Turnout", "digits"] = self.turnout
        self.now_us, self.term = 1_000 * SECOND, 1
        self.controller = self.another()

    def another(self) -> Controller:
        """A controller that knows nothing but what was written down."""
        return Controller(self.kube, self.ledger, FakeAliases(), Prober(self.gateway, clock=lambda: self.seconds))

    def tick(self, *, seconds: float = 1.1) -> None:
        self.now_us += int(seconds * SECOND)
        self.seconds += seconds
        self.ledger.now_us = self.now_us
        self.controller.reconcile(self.turnout, self.kube.world(now_us=self.now_us), term=self.term)

    def order(self, text: str) -> None:
        self.turnout["metadata"].setdefault("annotations", {})[ANNOTATION] = text

    @property
    def status(self) -> dict[str, Any]:
        return self.turnout["status"]

    def play(self, right: dict[str, float], *, until: str, rounds: int = 60) -> None:
        draw = random.Random(7)
        for _ in range(rounds):
            self.tick()
            if until in self.ledger.actions:
                return
            self.ledger.answer(400, right=right, draw=draw)
        raise AssertionError(f"no {until} in {self.ledger.actions}")

    def condition(self, name: str) -> dict[str, Any]:
        return next(c for c in self.status["conditions"] if c["type"] == name)


def test_the_first_version_gets_the_route_and_a_second_one_its_first_share() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.status["champion"] == "digits-v1"
    assert [event["reason"] for event in stage.kube.events] == ["Adopted", "ChallengeStarted"]


def test_a_better_challenger_walks_all_steps_is_promoted_and_bakes() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.84, "digits-v2": 0.96}, until="baked")
    # The verdict may come in any step; the share walks all of them whenever it does.
    assert [a for a in stage.ledger.actions if a != "verdict"] == ["adopt", "start", "step", "step", "promote", "baked"]
    assert stage.ledger.actions.count("verdict") == 1
    assert stage.kube.weights == {"digits-v2": 100}
    assert stage.status["verdict"]["verdict"] == "promote"


def test_a_worse_challenger_is_rolled_back_and_never_tried_again() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.96, "digits-v2": 0.6}, until="rollback")
    assert stage.kube.weights == {"digits-v1": 100}
    for _ in range(5):
        stage.tick()
    assert stage.ledger.actions.count("start") == 1
    assert stage.status["judged"]["digits-v2"] == "rollback"


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
    stage.kube.broken["create HTTPRoute"] = Unavailable("the API server is away")
    with pytest.raises(Unavailable):
        stage.tick()
    assert stage.ledger.actions == ["adopt", "start"]
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.kube.route["metadata"]["annotations"][REV] in stage.ledger.revs


def test_the_weights_are_in_the_audit_before_they_are_in_the_route() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.kube.broken["create HTTPRoute"] = Unavailable("the API server is away")
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
    stage.tick()
    assert stage.condition("EvidenceValid")["status"] == "True"
    assert stage.ledger.actions.count("restore") == 1


def test_requests_under_foreign_weights_are_no_evidence_while_those_before_are() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.tick()  # seen to be in sync
    stage.ledger.answer(200, right={"digits-v1": 0.9, "digits-v2": 0.9}, draw=random.Random(1))
    stage.kube.route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    stage.ledger.now_us += SECOND
    stage.ledger.answer(300, right={"digits-v1": 0.9, "digits-v2": 0.1}, draw=random.Random(1))
    unread = stage.ledger.units
    stage.ledger.units = []
    stage.tick()
    stage.ledger.units = unread
    stage.tick()
    units = stage.status["verdict"]["units"]
    assert units["champion"] + units["challenger"] == 0  # all 500 came at or after the last moment of being in sync


def test_a_restart_that_finds_a_foreign_route_trusts_nothing_of_its_revision() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.kube.route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    stage.controller = stage.another()
    stage.tick()
    [restored] = [row for row in stage.ledger.audit if row["action"] == "restore"]
    assert restored["data"]["sinceUs"] == stage.now_us - int(1.1 * SECOND)


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
    stage.tick()
    assert stage.kube.deleted == ["digits-v2"]


def test_nobody_ready_is_said_and_waited_for() -> None:
    stage = Stage(challengers=("digits-v1",))
    stage.tick()
    assert stage.condition("Ready")["reason"] == "NoChampion"
    stage.kube.versions["digits-v1"] = inferenceservice("digits-v1")
    stage.tick()
    assert stage.condition("Ready")["status"] == "True"


def test_every_decision_is_one_event_also_when_the_controller_died_before_telling_it() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.kube.broken["create Event"] = Unavailable("the API server is away")
    with pytest.raises(Unavailable):
        stage.tick()
    assert stage.kube.events == []
    stage.controller = stage.another()
    for _ in range(3):
        stage.tick()
    reasons = [event["reason"] for event in stage.kube.events]
    assert [reason for reason in reasons if reason != "AliasesMoved"] == ["Adopted", "ChallengeStarted"]


def test_an_event_that_was_written_before_the_controller_died_is_not_written_again() -> None:
    stage = Stage("digits-v1")
    original = stage.ledger.put_state

    def dies(*arguments: Any, **more: Any) -> dict[str, Any]:
        if not more["audit"]:
            raise Unavailable("killed")
        return original(*arguments, **more)

    stage.ledger.put_state = dies  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        stage.tick()
    stage.ledger.put_state = original  # type: ignore[method-assign]
    stage.controller = stage.another()
    stage.tick()
    stage.tick()
    assert [event["reason"] for event in stage.kube.events].count("Adopted") == 1


def test_a_new_leader_fences_the_old_one_at_once() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.tick()
    before = stage.ledger.generation
    stage.term = 2
    stage.tick()
    assert stage.ledger.generation > before
    stage.term = 1
    with pytest.raises(Conflict, match="a later leader has taken over"):
        stage.tick()


@pytest.mark.parametrize(
    "text", ["{verb: rollback, by: ann, reason: it looks wrong}", '{"verb": "rollback", "by": "ann", "id": "a1"}']
)
def test_a_person_can_order_a_rollback_with_kubectl_annotate(text: str) -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.order(text)
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 100}
    assert ANNOTATION not in stage.turnout["metadata"]["annotations"]
    assert stage.status["lastOrder"]["result"] == "done"
    [row] = [row for row in stage.ledger.audit if row["action"] == "rollback"]
    assert (row["actor"], row["data"]["guarantee"]) == ("ann", "outside")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rollback", "wanted a mapping"),
        ("{verb: explode, by: ann}", "verb: Input should be 'promote', 'rollback'"),
        ("{verb: promote, by: ann}", "promote wants a reason"),
        ("{verb: [", "wanted JSON or YAML"),
    ],
)
def test_an_order_that_nobody_could_obey_is_a_condition(text: str, why: str) -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.order(text)
    stage.tick()
    assert stage.condition("OrderTaken")["reason"] == "InvalidOrder"
    assert why in stage.condition("OrderTaken")["message"]
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}


def test_without_the_ledger_shares_stay_and_the_condition_says_since_when() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.ledger.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            stage.tick(seconds=3600)
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    assert stage.condition("LedgerAvailable")["status"] == "False"
    stage.ledger.away = False
    stage.tick()
    assert stage.condition("LedgerAvailable")["status"] == "True"
    assert stage.status["challenger"] == "digits-v2"


def test_without_the_ledger_for_too_long_the_champion_gets_everything_and_the_books_are_set_right_later() -> None:
    stage = Stage("digits-v1", "digits-v2", policy={"onBlind": "rollback", "blindTime": "20s"})
    stage.now_us = time.time_ns() // 1000
    stage.tick()
    stage.ledger.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            stage.tick(seconds=4)
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    with pytest.raises(Unavailable):
        stage.tick(seconds=14)
    assert stage.kube.weights == {"digits-v1": 100}
    assert stage.kube.route["metadata"]["annotations"][REV] not in stage.ledger.revs
    stage.ledger.away = False
    stage.controller = stage.another()
    stage.tick()
    stage.tick()
    assert stage.status["judged"]["digits-v2"] == "blind"
    assert BLIND not in stage.kube.route["metadata"]["annotations"]
    assert stage.kube.route["metadata"]["annotations"][REV] in stage.ledger.revs
    assert "restore" not in stage.ledger.actions


def test_silent_logs_for_too_long_take_the_challenger_back() -> None:
    stage = Stage("digits-v1", "digits-v2", policy={"onBlind": "rollback", "blindTime": "10s"})
    stage.tick()
    stage.ledger.waiting_for, stage.ledger.watermark_us = ["digits-v2-predictor-abc"], stage.now_us
    stage.tick(seconds=5)
    assert stage.ledger.actions == ["adopt", "start"]
    stage.tick(seconds=6)
    assert stage.ledger.actions[-1] == "rollback"
    assert "digits-v2-predictor-abc" in stage.kube.events[-1]["message"]


def test_before_the_first_weight_a_probe_shows_that_users_are_kept() -> None:
    stage = Stage("digits-v1", "digits-v2", sticky={"header": "X-User"})
    stage.tick()
    stage.tick()
    stage.tick()
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.condition("Sticky")["status"] == "True"
    stamps = [
        b["filters"][0]["requestHeaderModifier"]["set"][0]["value"]
        for b in stage.kube.route["spec"]["rules"][0]["backendRefs"]
    ]
    assert all(stamp.endswith(";by=x-user") for stamp in stamps)
    policy = stage.kube.objects["BackendTrafficPolicy", "digits-turnout"]
    assert [target["name"] for target in policy["spec"]["targetRefs"]] == ["digits-turnout"]
    assert ("HTTPRoute", "digits-probe") not in stage.kube.objects


def test_who_took_part_is_forgotten_when_the_test_is_over_and_the_evidence_is_not() -> None:
    stage = Stage("digits-v1", "digits-v2", sticky={"header": "x-user"})
    for _ in range(3):
        stage.tick()
    draw = random.Random(3)
    for _ in range(20):
        stage.ledger.answer(100, right={"digits-v1": 0.97, "digits-v2": 0.3}, draw=draw)
        for number, unit in enumerate(stage.ledger.units):
            unit["subject"] = f"user-{number}"
        stage.tick()
        assert stage.ledger.saved is not None
        test = stage.ledger.saved["tests"]["digits-v1|digits-v2"]
        if "rollback" in stage.ledger.actions:
            break
        assert test["subjects"]
    assert test["subjects"] == {}
    assert test["comparison"]["challenger"]["units"] > 0


def test_stickiness_that_comes_in_mid_rollout_is_a_revision_that_the_audit_knows() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    before = stage.kube.route["metadata"]["annotations"][REV]
    stage.turnout["spec"]["sticky"] = {"header": "x-user"}
    stage.tick()
    after = stage.kube.route["metadata"]["annotations"][REV]
    assert after != before
    assert stage.ledger.revs[after] == {"digits-v1": 95, "digits-v2": 5}


def test_where_users_are_not_kept_every_request_is_a_unit_and_the_condition_says_why() -> None:
    stage = Stage("digits-v1", "digits-v2", sticky={"header": "X-User"})
    stage.gateway.sticky = False
    stage.tick()
    stage.tick()
    assert stage.ledger.actions == ["adopt"]
    stage.tick(seconds=40)
    stage.tick()
    assert stage.ledger.actions == ["adopt", "start"]
    assert stage.condition("Sticky")["reason"] == "NotSticky"
    assert "equal values meet different versions" in stage.condition("Sticky")["message"]
    assert ("BackendTrafficPolicy", "digits-turnout") not in stage.kube.objects
    assert ";by=" not in str(stage.kube.route)


def test_a_sticky_user_is_one_unit_per_share_step_with_the_probability_given_the_steps_before() -> None:
    stage = Stage("digits-v1", "digits-v2", sticky={"header": "X-User"}, policy={"minLabels": 1})
    for _ in range(3):
        stage.tick()
    rev = list(stage.ledger.revs)[-1]
    for n in range(20):
        unit = {"id": f"u{n}", "time_us": stage.now_us, "version": "digits-v1", "rev": rev, "y": 1.0, "subject": "ann"}
        stage.ledger.units.append(unit)
    stage.tick()
    verdict = stage.status["verdict"]
    assert (verdict["units"]["champion"], verdict["users"]) == (1, 1)


def test_a_shadow_is_mirrored_while_it_is_ready_and_leaves_the_route_before_its_inferenceservice_goes() -> None:
    stage = Stage("digits-v1", "digits-v9", challengers=("digits-v1",), shadows=["digits-v9"])
    stage.tick()
    stage.tick()
    assert mirrors(stage.kube.route) == ("digits-v9",)
    shadow = stage.kube.versions["digits-v9"]
    assert shadow["metadata"]["finalizers"] == ["turnout.dev/routed-by-digits"]
    shadow["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    stage.tick()
    assert mirrors(stage.kube.route) == ()
    assert shadow["metadata"]["finalizers"]  # the route that was seen still mirrored it
    stage.tick()
    assert shadow["metadata"]["finalizers"] == []
    assert "restore" not in stage.ledger.actions


def _delete(stage: Stage, version: str) -> dict[str, Any]:
    """As an API server does where somebody's finalizer keeps the object."""
    metadata: dict[str, Any] = stage.kube.versions[version]["metadata"]
    assert metadata["finalizers"] == ["turnout.dev/routed-by-digits"]
    metadata["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    return metadata


def test_a_deleted_challenger_leaves_the_route_before_it_goes() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    metadata = _delete(stage, "digits-v2")
    stage.tick()
    assert stage.kube.weights == {"digits-v1": 100}
    stage.tick()
    assert metadata["finalizers"]  # the route that was seen still named it
    stage.tick()
    assert metadata["finalizers"] == []
    assert stage.ledger.actions == ["adopt", "start", "withdraw"]


def test_a_deleted_champion_serves_on_until_another_version_owns_the_endpoint() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    metadata = _delete(stage, "digits-v1")
    stage.tick()
    assert (stage.condition("Ready")["status"], stage.condition("Ready")["reason"]) == ("True", "ChampionLeaving")
    assert stage.kube.weights == {"digits-v1": 95, "digits-v2": 5}
    stage.play({"digits-v1": 0.6, "digits-v2": 0.97}, until="baked")
    for _ in range(3):
        stage.tick()
    assert stage.kube.weights == {"digits-v2": 100}
    assert metadata["finalizers"] == []


def test_a_champion_that_is_gone_is_said_with_the_ways_out() -> None:
    stage = Stage("digits-v1")
    stage.tick()
    del stage.kube.versions["digits-v1"]
    stage.tick()
    condition = stage.condition("Ready")
    assert (condition["status"], condition["reason"]) == ("False", "ChampionGone")
    assert "turnout rollback" in condition["message"]


def test_a_turnout_that_goes_lets_go_of_its_versions() -> None:
    stage = Stage("digits-v1")
    stage.tick()
    stage.tick()
    assert stage.kube.versions["digits-v1"]["metadata"]["finalizers"]
    del stage.kube.objects["Turnout", "digits"]
    guarding.release_orphans(stage.kube.world(now_us=stage.now_us), stage.kube)
    assert stage.kube.versions["digits-v1"]["metadata"]["finalizers"] == []


def test_the_verdict_names_the_predictions_that_it_rests_on() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.96, "digits-v2": 0.6}, until="rollback")
    verdict = stage.status["verdict"]
    assert verdict["window"]["first"] == "p0"
    assert verdict["window"]["last"].startswith("p")
    assert verdict["guarantee"] == "inside"
    assert verdict["spent"]["rollback"] <= 0.05


def test_a_shadow_is_compared_with_the_answers_in_pairs() -> None:
    stage = Stage("digits-v1", "digits-v9", challengers=("digits-v1",), shadows=["digits-v9"])
    pair = {"agree": True, "y": 1.0, "shadow_y": 1.0, "duration_us": 100, "shadow_duration_us": 200}
    stage.tick()
    nothing = {"pairs": 0, "labelled": 0, "evidence": {"worse": 1.0, "notWorse": 1.0}}
    assert stage.status["shadows"] == [{"version": "digits-v9", "ready": True, **nothing}]
    stage.ledger.shadow_pairs = [pair] * 9 + [{**pair, "agree": False, "shadow_y": 0.0}]
    stage.tick()
    stage.controller = stage.another()
    stage.tick()
    [shadow] = stage.status["shadows"]
    assert (shadow["pairs"], shadow["disagreement"], shadow["latencyRatio"]) == (10, 0.1, 2.0)
    assert (shadow["labelled"], shadow["effect"]) == (10, -0.1)


def test_requests_that_found_no_endpoint_are_charged_to_the_version_without_any() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.kube.versions["digits-v2"] = inferenceservice("digits-v2", ready=False)
    good = {"time_us": stage.now_us, "version": "digits-v1", "rev": list(stage.ledger.revs)[-1], "error": 0}
    stage.ledger.requests = [{**good, "id": f"g{n}", "duration_us": 900} for n in range(300)]
    stage.ledger.homeless = [{"id": f"h{n}", "time_us": stage.now_us} for n in range(40)]
    stage.tick()
    assert stage.ledger.actions[-1] == "rollback"
    assert stage.status["verdict"]["errors"] == {"champion": 0, "challenger": 40}


def test_requests_that_found_no_endpoint_long_ago_are_charged_to_nobody() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.kube.versions["digits-v2"] = inferenceservice("digits-v2", ready=False)
    stage.ledger.homeless = [{"id": f"h{n}", "time_us": stage.now_us - 60 * SECOND} for n in range(60)]
    stage.tick()
    assert stage.condition("EvidenceValid")["reason"] == "UnrecordedProbability"
    assert stage.ledger.actions == ["adopt", "start"]


def test_requests_that_found_no_endpoint_although_all_have_some_are_an_alarm() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.tick()
    stage.ledger.homeless = [{"id": f"h{n}", "time_us": stage.now_us} for n in range(60)]
    stage.tick()
    assert stage.condition("EvidenceValid")["reason"] == "UnrecordedProbability"
    assert stage.ledger.actions == ["adopt", "start"]


def test_the_new_champion_keeps_its_seat_and_the_next_challenger_takes_the_old_ones() -> None:
    stage = Stage("digits-v1", "digits-v2", policy={"keep": 1})
    stage.play({"digits-v1": 0.6, "digits-v2": 0.97}, until="baked")
    stage.tick()
    assert stage.kube.seats == [("digits-v1", 0), ("digits-v2", 100)]
    stage.kube.versions["digits-v3"] = inferenceservice("digits-v3")
    stage.turnout["spec"]["challengers"] = ["digits-v3"]
    stage.tick()
    stage.tick()
    assert stage.kube.seats == [("digits-v3", 5), ("digits-v2", 95)]
    assert "restore" not in stage.ledger.actions


def test_a_retired_version_that_is_deleted_leaves_its_seat_to_the_champion_and_goes() -> None:
    stage = Stage("digits-v1", "digits-v2")
    stage.play({"digits-v1": 0.6, "digits-v2": 0.97}, until="baked")
    stage.tick()
    metadata = _delete(stage, "digits-v1")
    stage.tick()
    assert stage.kube.seats == [("digits-v2", 0), ("digits-v2", 100)]
    stage.tick()
    assert metadata["finalizers"] == []
    assert "restore" not in stage.ledger.actions
