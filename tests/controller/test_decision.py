from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from turnout.controller.decision import decide
from turnout.controller.records import Blindness, Observed
from turnout.controller.rollout import Challenge, Rollout
from turnout.kube.orders import Order
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
    newest_us: int = 0

    def summary(self) -> dict[str, Any]:
        counts = {"champion": 100, "challenger": 40}
        numbers = {"labelled": counts, "requests": counts, "errors": {"champion": 0, "challenger": 2}}
        return {"effect": 0.01, "interval": [-0.1, 0.2], "alpha": 0.05, "n": 140, **numbers}


def observed(
    *challengers: str,
    now_us: int = 100 * SECOND,
    ready: tuple[str, ...] = ("v1", "v2", "v3"),
    policy: Policy = POLICY,
    **more: Any,
) -> Observed:
    return Observed(challengers=challengers, ready=frozenset(ready), policy=policy, now_us=now_us, **more)


def next_decision(rollout: Rollout, seen: Observed, evidence: Shown | None = None):
    """The decision when the version under test (in bake the new champion) has shown this."""
    version = rollout.champion if rollout.previous else rollout.challenger
    shown = {str(version): evidence} if evidence else {}
    return decide(rollout, seen, shown, new_rev=lambda: "new")


def policy(**changes: Any) -> Policy:
    return POLICY.model_copy(update=changes)


def order(verb: str, version: str = "", *, name: str = "o1") -> Order:
    return Order(verb=verb, version=version, by="ann", reason="because", id=name)


def under_test(**changes: Any) -> Rollout:
    return replace(TESTED, challenges=(replace(TESTED.challenges[0], **changes),))


STABLE = Rollout(champion="v1", rev="old", weights={"v1": 100}, judged={"v1": "adopt"}, order=("v1",))
TESTED = replace(
    STABLE,
    challenges=(Challenge("v2", started_us=90 * SECOND, step_started_us=95 * SECOND, step_labels=40),),
    weights={"v1": 95, "v2": 5},
    order=("v1", "v2"),
)
BAKING = replace(
    STABLE,
    champion="v2",
    previous="v1",
    weights={"v2": 95, "v1": 5},
    order=("v1", "v2"),
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
    assert (made.action, made.rollout.weights, made.rollout.challenges[0].step_labels) == (
        "step",
        {"v1": 80, "v2": 20},
        0,
    )


@pytest.mark.parametrize(
    ("rollout", "seen", "evidence"),
    [
        (under_test(step_labels=29), observed("v2"), Shown()),
        (TESTED, observed("v2", now_us=95 * SECOND + 1), Shown()),
        (TESTED, observed("v2"), Shown(leans_to_rollback=True)),
        (TESTED, observed("v2"), Shown(alarms=["SampleRatioMismatch: x"])),
        (TESTED, observed("v2"), Shown(alarms=["SampleRatioMismatch: x"], is_not_worse=True)),
        (TESTED, observed("v2", ready=("v1",)), Shown()),
        (under_test(step=2), observed("v2"), Shown()),
        (under_test(held="why"), observed("v2"), Shown(is_not_worse=True)),
        (replace(TESTED, held="by ann"), observed("v2"), Shown(is_not_worse=True)),
        (TESTED, observed("v2", frozen="holidays"), Shown()),
        (TESTED, observed("v2", blind=Blindness("no logs", 1)), Shown()),
        (under_test(earned=True), observed("v2", blind=Blindness("no logs", 1)), Shown()),
        (TESTED, observed("v2"), None),
    ],
    ids=[
        "labels",
        "time",
        "leaning",
        "alarm",
        "alarm before promote",
        "not ready",
        "last step",
        "held",
        "held by a person",
        "frozen",
        "blind",
        "earned but blind",
        "no evidence",
    ],
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
    hold = policy(on_fail="hold")
    made = next_decision(TESTED, observed("v2", policy=hold), Shown(is_worse=True))
    assert made is not None
    assert (made.action, made.rollout.phase, made.rollout.weights) == ("hold", "Held", TESTED.weights)
    assert next_decision(made.rollout, observed("v2", policy=hold), Shown(is_worse=True)) is None


def test_a_verdict_to_promote_still_walks_the_remaining_steps_each_for_its_time() -> None:
    made = next_decision(TESTED, observed("v2"), Shown(is_not_worse=True))
    assert made is not None
    assert (made.action, made.rollout.challenges[0].earned, made.rollout.weights) == ("verdict", True, TESTED.weights)
    early = observed("v2", now_us=95 * SECOND + 1)
    assert next_decision(made.rollout, early, Shown(is_not_worse=True)) is None
    step = next_decision(under_test(earned=True, step_labels=0), observed("v2"), Shown(is_not_worse=True))
    assert step is not None
    assert step.action == "step"


def test_the_last_step_ends_in_a_promotion_that_leaves_the_holdback_to_the_old_champion() -> None:
    made = next_decision(under_test(step=2, earned=True), observed("v2"), Shown(is_not_worse=True))
    assert made is not None
    assert (made.action, made.rollout.champion, made.rollout.previous) == ("promote", "v2", "v1")
    assert made.rollout.weights == {"v2": 95, "v1": 5}
    assert made.rollout.pairs == (("v1", "v2"),)


def test_an_expired_rollout_is_held_or_rolled_back_as_the_policy_says() -> None:
    late = 90 * SECOND + POLICY.max_age + 1
    held = next_decision(TESTED, observed("v2", now_us=late), Shown())
    back = policy(on_expiry="rollback")
    rolled = next_decision(TESTED, observed("v2", now_us=late, policy=back), Shown())
    assert held is not None
    assert rolled is not None
    assert (held.action, rolled.action, rolled.rollout.judged["v2"]) == ("hold", "expire", "expire")


def test_a_challenger_taken_out_of_the_spec_leaves_the_route_unjudged() -> None:
    made = next_decision(TESTED, observed("v1"), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights) == ("withdraw", {"v1": 100})
    assert "v2" not in made.rollout.judged


@pytest.mark.parametrize("how", ["leaving", "missing"])
def test_a_challenger_whose_inferenceservice_is_deleted_leaves_the_route_unjudged(how: str) -> None:
    made = next_decision(TESTED, observed("v2", **{how: frozenset({"v2"})}), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights, "v2" in made.rollout.judged) == ("withdraw", {"v1": 100}, False)
    assert "InferenceService" in made.sentence


@pytest.mark.parametrize("how", ["leaving", "missing"])
def test_a_champion_deleted_while_it_bakes_gives_way_to_the_old_one_if_that_is_ready(how: str) -> None:
    made = next_decision(BAKING, observed("v2", **{how: frozenset({"v2"})}), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights, made.guarantee) == ("revert", {"v1": 100}, "outside")
    assert next_decision(BAKING, observed("v2", ready=("v2",), **{how: frozenset({"v2"})}), Shown()) is None


def test_nobody_is_sent_to_an_old_champion_that_is_gone_before_the_bake_is_over() -> None:
    assert next_decision(BAKING, observed("v2", leaving=frozenset({"v1"})), Shown()) is None
    made = next_decision(BAKING, observed("v2", missing=frozenset({"v1"})), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights) == ("baked", {"v2": 100})


def test_a_champion_deleted_outside_of_a_bake_is_for_people_to_replace() -> None:
    assert next_decision(STABLE, observed("v1", missing=frozenset({"v1"})), None) is None


def test_evidence_older_than_max_age_promotes_nobody_and_rolls_back_still() -> None:
    now_us = 200 * SECOND + POLICY.max_age
    earned = under_test(earned=True, started_us=now_us - SECOND)
    seen = observed("v2", now_us=now_us)
    assert next_decision(earned, seen, Shown(is_not_worse=True, newest_us=100 * SECOND)) is None
    assert next_decision(earned, seen, Shown(is_not_worse=True, newest_us=now_us - SECOND)) is not None
    made = next_decision(earned, seen, Shown(is_worse=True, newest_us=100 * SECOND))
    assert made is not None
    assert made.action == "rollback"


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

    kept = replace(BAKING, retired=(("v0", 7),), challenges=TESTED.challenges, aliases=("v2", None))
    assert Rollout.load(json.loads(json.dumps(kept.dump()))) == kept


def test_an_expired_rollout_is_not_given_up_when_its_evidence_was_late() -> None:
    late = 90 * SECOND + POLICY.max_age + 1
    made = next_decision(TESTED, observed("v2", now_us=late), Shown(is_not_worse=True))
    assert made is not None
    assert made.action == "verdict"


def test_a_freeze_and_a_hold_keep_newcomers_out_but_stop_no_rollback() -> None:
    assert next_decision(STABLE, observed("v2", frozen="holidays")) is None
    assert next_decision(replace(STABLE, held="by ann"), observed("v2")) is None
    worse = next_decision(replace(TESTED, held="by ann"), observed("v2", frozen="holidays"), Shown(is_worse=True))
    assert worse is not None
    assert worse.action == "rollback"


def test_whoever_needs_approval_waits_at_the_last_step_until_a_person_gives_it() -> None:
    seen = observed("v2", policy=policy(approval="required"))
    asked = next_decision(under_test(step=2, earned=True), seen, Shown(is_not_worse=True))
    assert asked is not None
    assert (asked.action, asked.rollout.weights) == ("await", TESTED.weights)
    assert next_decision(asked.rollout, seen, Shown(is_not_worse=True)) is None
    given = next_decision(asked.rollout, replace(seen, order=order("promote")), Shown(is_not_worse=True))
    assert given is not None
    assert (given.action, given.actor, given.guarantee, given.reason) == ("promote", "ann", "inside", "because")


@pytest.mark.parametrize(
    ("what", "on_blind", "since", "expected"),
    [
        ("no logs", "rollback", 1, "rollback"),
        ("no logs", "rollback", 100 * SECOND, None),
        ("no logs", "hold", 1, None),
        ("", "rollback", 0, "step"),
    ],
)
def test_challengers_that_nobody_can_watch_for_too_long_are_taken_back_if_the_policy_says_so(
    what: str, on_blind: str, since: int, expected: str | None
) -> None:
    rules = policy(on_blind=on_blind, blind_time=5 * SECOND)
    made = next_decision(TESTED, observed("v2", policy=rules, blind=Blindness(what, since)), Shown())
    assert (made.action if made else None) == expected
    if made is not None and expected == "rollback":
        assert made.rollout.judged["v2"] == "blind"


def test_what_was_taken_back_while_the_ledger_was_away_is_written_down_when_it_answers() -> None:
    made = next_decision(TESTED, observed("v2", blind=Blindness(rolled_back=True)), Shown())
    assert made is not None
    assert (made.action, made.rollout.weights) == ("rollback", {"v1": 100})


def test_a_champion_does_not_finish_its_bake_unwatched() -> None:
    seen = observed("v2", now_us=102 * SECOND, blind=Blindness("no logs", 1))
    assert next_decision(BAKING, seen, Shown()) is None


def test_a_second_challenger_queues_behind_the_first() -> None:
    assert next_decision(under_test(step_labels=0), observed("v2", "v3"), Shown()) is None


def test_a_second_challenger_replaces_the_first_for_good_if_the_policy_says_so() -> None:
    seen = observed("v2", "v3", policy=policy(on_second="replace"))
    out = next_decision(under_test(step_labels=0), seen, Shown())
    assert out is not None
    assert (out.action, out.rollout.judged["v2"]) == ("replace", "replace")
    begun = next_decision(out.rollout, seen)
    assert begun is not None
    assert (begun.action, begun.version) == ("start", "v3")
    assert next_decision(begun.rollout, seen, Shown()) is None


def test_several_together_share_the_error_rate_and_leave_the_champion_the_largest_share() -> None:
    seen = observed("v2", "v3", policy=policy(on_second="together", steps=(50,)))
    one = next_decision(STABLE, seen)
    assert one is not None
    two = next_decision(one.rollout, seen, Shown())
    assert two is not None
    assert [c.family for c in two.rollout.challenges] == [2, 2]
    assert two.rollout.weights == {"v1": 34, "v2": 33, "v3": 33}
    late = replace(seen, challengers=("v2", "v3", "v4"), ready=frozenset({"v1", "v2", "v3", "v4"}))
    assert decide(two.rollout, late, {}, new_rev=lambda: "new") is None  # nothing is left of alpha


def test_of_several_together_the_worse_leaves_and_the_other_goes_on() -> None:
    both = replace(TESTED, challenges=(Challenge("v2"), Challenge("v3")), weights={"v1": 90, "v2": 5, "v3": 5})
    shown = {"v2": Shown(), "v3": Shown(is_worse=True)}
    made = decide(both, observed("v2", "v3", policy=policy(on_second="together")), shown, new_rev=lambda: "new")
    assert made is not None
    assert (made.action, made.version, made.rollout.weights) == ("rollback", "v3", {"v1": 95, "v2": 5})


def test_a_newcomer_sits_before_or_behind_the_champion_and_at_the_same_place_when_it_comes_again() -> None:
    names = [f"v{number}" for number in range(2, 30)]
    orders = []
    for judged in ({"v1": "adopt"}, {"v0": "rollback", "v1": "adopt"}):
        started = [next_decision(replace(STABLE, judged=judged), observed(v, ready=("v1", v))) for v in names]
        orders.append([list(made.rollout.weights) for made in started if made is not None])
    assert orders[0] == orders[1]
    assert 5 < sum(first == "v1" for first, _ in orders[0]) < 23


# ---- orders ------------------------------------------------------------------------------------------------------

READY = ("v0", "v1", "v2", "v3")
RETIRED = replace(STABLE, judged={"v0": "adopt", "v1": "promote"}, retired=(("v0", 7),))


@pytest.mark.parametrize(
    ("rollout", "given", "action", "weights"),
    [
        (TESTED, order("promote"), "promote", {"v1": 5, "v2": 95}),
        (under_test(held="expired"), order("promote", "v2"), "promote", {"v1": 5, "v2": 95}),
        (STABLE, order("promote", "v3"), "promote", {"v1": 5, "v3": 95}),
        (BAKING, order("promote"), "baked", {"v2": 100}),
        (BAKING, order("promote", "v3"), "promote", {"v2": 5, "v3": 95}),
        (TESTED, order("rollback"), "rollback", {"v1": 100}),
        (TESTED, order("rollback", "v2"), "rollback", {"v1": 100}),
        (BAKING, order("rollback"), "revert", {"v1": 100}),
        (BAKING, order("rollback", "v2"), "revert", {"v1": 100}),
        (RETIRED, order("rollback"), "revert", {"v0": 100}),
        (TESTED, order("hold"), "hold", TESTED.weights),
        (BAKING, order("hold"), "hold", BAKING.weights),
        (replace(TESTED, held="by ann"), order("resume"), "resume", TESTED.weights),
        (under_test(held="expired"), order("resume"), "resume", TESTED.weights),
        (replace(STABLE, judged={"v1": "adopt", "v2": "rollback"}), order("retry", "v2"), "retry", {"v1": 100}),
    ],
)
def test_people_are_obeyed_at_any_moment(rollout: Rollout, given: Order, action: str, weights: dict[str, int]) -> None:
    seen = observed("v2", ready=READY, order=given, frozen="holidays", blind=Blindness("no logs", 1))
    made = next_decision(rollout, seen, Shown(alarms=["x: y"]))
    assert made is not None
    assert (made.action, made.rollout.weights) == (action, weights)
    assert made.rollout.last_order["result"] == "done"
    assert made.actor == "ann"
    assert "because" in made.sentence
    again = next_decision(made.rollout, replace(seen, blind=Blindness()), None)
    assert again is None or again.actor == "controller"


@pytest.mark.parametrize(
    ("rollout", "given", "why"),
    [
        (STABLE, order("promote"), "nobody is under test; name a version"),
        (STABLE, order("promote", "v1"), "v1 is the champion already"),
        (STABLE, order("promote", "v9"), "InferenceService v9 is not Ready"),
        (Rollout(), order("promote", "v2"), "the endpoint has no champion yet"),
        (replace(TESTED, challenges=(Challenge("v2"), Challenge("v3"))), order("promote"), "several are under test"),
        (STABLE, order("rollback"), "nobody is under test, and no earlier champion is warm"),
        (TESTED, order("rollback", "v3"), "v3 is neither under test nor champion"),
        (replace(BAKING, previous="v8"), order("rollback"), "InferenceService v8 is not Ready"),
        (replace(TESTED, held="by bob"), order("hold"), "it is held already: by bob"),
        (TESTED, order("resume"), "nothing is held"),
        (STABLE, order("retry", "v3"), "v3 was not judged"),
        (STABLE, order("retry", "v1"), "v1 is in the route"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_the_reason(
    rollout: Rollout, given: Order, why: str
) -> None:
    made = next_decision(rollout, observed("v2", order=given), Shown())
    assert made is not None
    assert made.action == "refuse"
    assert why in made.sentence
    assert made.rollout.last_order["result"] == "refused"
    assert replace(made.rollout, last_order={}) == rollout


def test_a_version_that_the_evidence_refuted_cannot_be_resumed() -> None:
    seen = observed("v2", policy=policy(on_fail="hold"), order=order("resume"))
    made = next_decision(under_test(held="is worse"), seen, Shown(is_worse=True))
    assert made is not None
    assert "v2 was shown to be worse; promote or rollback is what remains" in made.sentence


def test_a_promotion_before_the_evidence_is_outside_the_guarantee_and_says_so() -> None:
    made = next_decision(TESTED, observed("v2", order=order("promote")), Shown())
    assert made is not None
    assert made.guarantee == "outside"
    assert made.rollout.verdict is not None
    assert made.rollout.verdict["guarantee"] == "outside"


def test_an_order_is_taken_once() -> None:
    taken = replace(TESTED, last_order={"id": "o1", "result": "done"})
    made = next_decision(taken, observed("v2", order=order("rollback")), Shown())
    assert made is not None
    assert made.action == "step"
