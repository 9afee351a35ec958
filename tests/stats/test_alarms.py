from __future__ import annotations

import random

import pytest

from bench.decision.kinds import dealt
from turnout.stats.alarms import (
    ALARM_ALPHA,
    DelayAlarm,
    LabelRatioAlarm,
    SampleRatioAlarm,
    SubjectAlarm,
    UnrecordedAlarm,
    too_old,
)
from turnout.stats.order import OrderAlarm

RAISED = 1 / ALARM_ALPHA


def until_raised(alarm: OrderAlarm, assignments, share: float, most: int) -> int:
    for n in range(1, most + 1):
        alarm.update(assigned=next(assignments), share=share)
        if alarm.evidence >= RAISED:
            return n
    return most + 1


@pytest.mark.parametrize("percent", [5, 10, 20, 33, 50])
def test_the_pattern_of_one_proxy_worker_is_caught_within_500_requests(percent: int) -> None:
    assert until_raised(OrderAlarm(), dealt([100 - percent, percent]), percent / 100, 500) <= 500


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_are_caught_by_the_missing_spread_of_their_counts(workers: int) -> None:
    for seed in range(5):
        draw = random.Random(seed)
        patterns = [dealt([80, 20]) for _ in range(workers)]
        for pattern in patterns:
            for _ in range(draw.randrange(100)):
                next(pattern)
        mixed = iter(lambda: next(draw.choice(patterns)), None)  # noqa: B023
        assert until_raised(OrderAlarm(), mixed, 0.2, 3000) <= 3000


def test_a_pattern_that_begins_late_is_caught_as_well() -> None:
    alarm, draw = OrderAlarm(), random.Random(1)
    for _ in range(5000):
        alarm.update(assigned=draw.random() < 0.2, share=0.2)
    assert alarm.evidence < RAISED
    assert until_raised(alarm, dealt([80, 20]), 0.2, 2500) <= 2500


def test_random_assignment_raises_no_alarm_in_100_rollouts() -> None:
    for seed in range(100, 200):
        order, ratio, draw = OrderAlarm(), SampleRatioAlarm(), random.Random(seed)
        for i in range(1500):
            share = (0.05, 0.2, 0.5)[i // 500]
            assigned = draw.random() < share
            order.update(assigned=assigned, share=share)
            ratio.update(assigned=assigned, share=share)
            assert order.evidence < RAISED
            assert ratio.evidence < RAISED


def test_a_wrong_share_is_seen() -> None:
    alarm, draw = SampleRatioAlarm(), random.Random(2)
    for _ in range(3000):
        alarm.update(assigned=draw.random() < 0.1, share=0.2)
    assert alarm.evidence >= RAISED


def test_labels_missing_for_one_version_are_seen_and_labels_missing_for_both_are_not() -> None:
    one, both, draw = LabelRatioAlarm(), LabelRatioAlarm(), random.Random(3)
    for _ in range(4000):
        assigned = draw.random() < 0.2
        one.update(labelled=draw.random() < (0.6 if assigned else 0.9), assigned=assigned, share=0.2)
        both.update(labelled=draw.random() < 0.6, assigned=assigned, share=0.2)
    assert one.evidence >= RAISED > both.evidence


def test_labels_that_come_later_for_one_version_are_seen() -> None:
    later, same, draw = DelayAlarm(), DelayAlarm(), random.Random(4)
    for _ in range(4000):
        assigned, delay = draw.random() < 0.2, draw.expovariate(1e-9)
        later.update(delay_us=delay * (3 if assigned else 1), assigned=assigned, share=0.2)
        same.update(delay_us=delay, assigned=assigned, share=0.2)
    assert later.evidence >= RAISED > same.evidence


def test_subjects_that_stick_to_a_version_are_seen_although_shares_are_right() -> None:
    sticks, fresh, draw = SubjectAlarm(), SubjectAlarm(), random.Random(5)
    for _ in range(300):
        mine = draw.random() < 0.2
        sticks.update(assigned=mine, share=0.2, last_assigned=mine, last_share=0.2)
        fresh.update(assigned=draw.random() < 0.2, share=0.2, last_assigned=mine, last_share=0.2)
    assert sticks.evidence >= RAISED > fresh.evidence


def test_records_without_a_probability_are_tolerated_one_in_a_hundred_and_no_more() -> None:
    few, many = UnrecordedAlarm(), UnrecordedAlarm()
    for _ in range(100):
        few.update(recorded=99, unrecorded=1)
        many.update(recorded=90, unrecorded=10)
    assert many.evidence >= RAISED > few.evidence
    none = UnrecordedAlarm()
    none.update(recorded=0, unrecorded=2)
    assert none.evidence < RAISED  # two strays prove nothing


def test_old_evidence_is_named() -> None:
    assert too_old(newest_us=10, now_us=200, limit_us=100)
    assert not too_old(newest_us=150, now_us=200, limit_us=100)
    assert not too_old(newest_us=0, now_us=200, limit_us=100)


@pytest.mark.parametrize("alarm", [OrderAlarm, SampleRatioAlarm, LabelRatioAlarm, DelayAlarm, SubjectAlarm])
def test_an_alarm_goes_on_where_it_was_saved(alarm: type) -> None:
    draw, whole, saved = random.Random(6), alarm(), alarm()
    for i in range(400):
        assigned, other = draw.random() < 0.3, draw.random()
        more = {
            LabelRatioAlarm: {"labelled": other < 0.5},
            DelayAlarm: {"delay_us": 1000 * other},
            SubjectAlarm: {"last_assigned": other < 0.3, "last_share": 0.3},
        }.get(alarm, {})
        if i == 200:
            saved = alarm().restore(saved.state())
        for test in (whole, saved):
            test.update(assigned=assigned, share=0.3, **more)
    assert saved.state() == whole.state()
