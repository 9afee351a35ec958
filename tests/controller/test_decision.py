from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from turnout.controller.decision import Observed, decide
from turnout.controller.rollout import Rollout
from turnout.kube.turnouts import Policy

SECOND = 1_000_000
POLICY = Policy(
    steps=(5, 20, 50), step_time="1s", min_labels=30, bake="2s", label_window="1s", max_age="1h", holdback=5
)


@dataclass(frozen=True)
class Shown:
    """Evidence as a test wants it."""

    is_worse: bool = False
    is_not_worse: bool = False
    leans_to_rollback: bool = False
    alarms: list[str] = field(default_factory=list)
    reason: str = "outcome"

    def summary(self) -> dict[str, Any]:
        labelled = {"champion": 100, "challenger": 40}
        return {"effect": 0.01, "interval": [-0.1, 0.2], "labelled": labelled, "alpha": 0.05, "n": 140}


def observed(
    *challengers: str, now_us: int = 100 * SECOND, ready=("v1", "v2", "v3"), policy: Policy = POLICY
) -> Observed:
    return Observed(challengers=challengers, ready=frozenset(ready), policy=policy, now_us=now_us)


def next_decision(rollout: Rollout, seen: Observed, evidence: Shown | None = None):
    return decide(rollout, seen, evidence, new_rev=lambda: "new")


STABLE = Rollout(phase="Stable", champion="v1", rev="old", weights={"v1": 100}, judged={"v1": "adopt"})
TESTED = replace(
    STABLE,
    phase="Progressing",
    challenger="v2",
    weights={"v1": 95, "v2": 5},
    started_us=90 * SECOND,
    step_started_us=95 * SECOND,
    step_labels=40,
)
BAKING = replace(
    STABLE,
    phase="Baking",
    champion="v2",
    previous="v1",
    weights={"v2": 95, "v1": 5},
    promoted_us=99 * SECOND,
    judged={"v1": "adopt", "v2": "promote"},
)


def test_the_first_ready_version_becomes_champion_of_all_traffic() -> None:
    made = next_decision(Rollout(), observed("v9", "v1"))
    assert made is not None
    assert (made.action, made.rollout.champion, made.rollout.weights) == ("adopt", "v1", {"v1": 100})


def test_nobody_becomes_champion_while_nobody_is_ready() -> None:
    assert next_decision(Rollout(), observed("v1", ready=())) is None


def test_a_ready_challenger_starts_with_the_first_share() -> None:
    made = next_decision(STABLE, observed("v1", "v2"))
    assert made is not None
    assert (made.action, made.rollout.weights, made.rollout.rev) == ("start", {"v1": 95, "v2": 5}, "new")


@pytest.mark.parametrize("seen", [observed("v1"), observed("v1", "v2", ready=("v1",)), observed()])
def test_without_a_ready_new_challenger_nothing_happens(seen: Observed) -> None:
    assert next_decision(STABLE, seen) is None


def test_a_version_once_judged_is_not_tried_again() -> None:
    assert next_decision(replace(STABLE, judged={"v1": "adopt", "v2": "rollback"}), observed("v2")) is None


def test_enough_labels_and_time_raise_the_share() -> None:
    made = next_decision(TESTED, observed("v2"), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights, made.rollout.step_labels) == ("step", {"v1": 80, "v2": 20}, 0)


@pytest.mark.parametrize(
    ("rollout", "seen", "evidence"),
    [
        (replace(TESTED, step_labels=29), observed("v2"), Shown()),
        (TESTED, observed("v2", now_us=95 * SECOND + 1), Shown()),
        (TESTED, observed("v2"), Shown(leans_to_rollback=True)),
        (TESTED, observed("v2"), Shown(alarms=["SampleRatioMismatch: x"])),
        (TESTED, observed("v2"), Shown(alarms=["SampleRatioMismatch: x"], is_not_worse=True)),
        (TESTED, observed("v2", ready=("v1",)), Shown()),
        (replace(TESTED, step=2), observed("v2"), Shown()),
        (replace(TESTED, phase="Held"), observed("v2"), Shown(is_not_worse=True)),
        (TESTED, observed("v2"), None),
    ],
    ids=["labels", "time", "leaning", "alarm", "alarm before promote", "not ready", "last step", "held", "no evidence"],
)
def test_the_share_is_held(rollout: Rollout, seen: Observed, evidence: Shown | None) -> None:
    assert next_decision(rollout, seen, evidence) is None


def test_a_worse_challenger_is_rolled_back_at_once_even_under_an_alarm_and_while_not_ready() -> None:
    seen = observed("v2", now_us=95 * SECOND + 1, ready=("v1",))
    made = next_decision(TESTED, seen, Shown(is_worse=True, is_not_worse=True, alarms=["x: y"]))
    assert made is not None
    assert made.action == "rollback"
    assert made.rollout.weights == {"v1": 100}
    assert made.rollout.judged["v2"] == "rollback"
    assert made.rollout.verdict is not None
    assert made.rollout.verdict["verdict"] == "rollback"


def test_on_fail_hold_keeps_the_shares_and_waits_for_a_person() -> None:
    policy = POLICY.model_copy(update={"on_fail": "hold"})
    made = next_decision(TESTED, observed("v2", policy=policy), Shown(is_worse=True))
    assert made is not None
    assert (made.action, made.rollout.phase, made.rollout.weights) == ("hold", "Held", TESTED.weights)
    assert next_decision(made.rollout, observed("v2", policy=policy), Shown(is_worse=True)) is None


def test_a_verdict_to_promote_still_walks_the_remaining_steps_each_for_its_time() -> None:
    made = next_decision(TESTED, observed("v2"), Shown(is_not_worse=True))
    assert made is not None
    assert (made.action, made.rollout.earned, made.rollout.weights) == ("verdict", True, TESTED.weights)
    early = observed("v2", now_us=TESTED.step_started_us + 1)
    assert next_decision(made.rollout, early, Shown(is_not_worse=True)) is None
    step = next_decision(replace(made.rollout, step_labels=0), observed("v2"), Shown(is_not_worse=True))
    assert step is not None
    assert step.action == "step"


def test_the_last_step_ends_in_a_promotion_that_leaves_the_holdback_to_the_old_champion() -> None:
    made = next_decision(replace(TESTED, step=2, earned=True), observed("v2"), Shown(is_not_worse=True))
    assert made is not None
    assert (made.action, made.rollout.champion, made.rollout.previous) == ("promote", "v2", "v1")
    assert made.rollout.weights == {"v2": 95, "v1": 5}
    assert made.rollout.pair == ("v1", "v2")


def test_an_expired_rollout_is_held_or_rolled_back_as_the_policy_says() -> None:
    late = 90 * SECOND + POLICY.max_age + 1
    held = next_decision(TESTED, observed("v2", now_us=late), Shown())
    back = POLICY.model_copy(update={"on_expiry": "rollback"})
    rolled = next_decision(TESTED, observed("v2", now_us=late, policy=back), Shown())
    assert held is not None
    assert rolled is not None
    assert (held.action, rolled.action, rolled.rollout.judged["v2"]) == ("hold", "expire", "expire")


def test_a_challenger_taken_out_of_the_spec_leaves_the_route_unjudged() -> None:
    made = next_decision(TESTED, observed("v1"), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights) == ("withdraw", {"v1": 100})
    assert "v2" not in made.rollout.judged


def test_late_labels_revert_a_promotion_while_it_bakes() -> None:
    made = next_decision(BAKING, observed("v2", "v3"), Shown(is_worse=True))
    assert made is not None
    assert (made.action, made.rollout.champion, made.rollout.weights) == ("revert", "v1", {"v1": 100})


def test_new_challengers_queue_until_the_champion_has_baked() -> None:
    assert next_decision(BAKING, observed("v2", "v3"), Shown()) is None
    baked = next_decision(BAKING, observed("v2", "v3", now_us=102 * SECOND), Shown())
    assert baked is not None
    assert (baked.action, baked.rollout.weights, baked.rollout.retired) == (
        "baked",
        {"v2": 100},
        (("v1", 102 * SECOND),),
    )
    start = next_decision(baked.rollout, observed("v2", "v3"), None)
    assert start is not None
    assert (start.action, start.version) == ("start", "v3")


def test_a_rollout_survives_the_trip_through_json() -> None:
    import json

    kept = replace(BAKING, retired=(("v0", 7),))
    assert Rollout.load(json.loads(json.dumps(kept.dump()))) == kept
