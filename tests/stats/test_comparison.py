from __future__ import annotations

import random

from turnout.stats.comparison import Comparison, Levels

LEVELS = Levels(alpha=0.05, margin=0.02, error_rate=0.01, latency_ratio=1.5)


def feed(comparison: Comparison, *, n: int, champion: float, challenger: float, share: float = 0.2, seed: int = 0):
    draw = random.Random(seed)
    for _ in range(n):
        assigned = draw.random() < share
        comparison.assign(
            y=float(draw.random() < (challenger if assigned else champion)), assigned=assigned, share=share
        )
    return comparison


def test_a_better_challenger_is_shown_to_be_not_worse() -> None:
    comparison = feed(Comparison(LEVELS), n=4000, champion=0.84, challenger=0.96)
    assert comparison.is_not_worse
    assert not comparison.is_worse
    low, high = comparison.summary()["interval"]
    assert 0.0 <= low < 0.12 < high


def test_a_worse_challenger_is_shown_to_be_worse() -> None:
    comparison = feed(Comparison(LEVELS), n=2000, champion=0.96, challenger=0.7)
    assert comparison.is_worse
    assert not comparison.is_not_worse
    assert comparison.reason == "outcome"


def test_without_labels_nothing_is_decided() -> None:
    comparison = Comparison(LEVELS)
    for i in range(500):
        comparison.assign(y=None, assigned=i % 5 == 0, share=0.2)
    assert not comparison.is_worse
    assert not comparison.is_not_worse
    assert comparison.summary()["effect"] is None


def test_a_challenger_that_only_crashes_is_shown_to_be_worse_without_any_label() -> None:
    comparison, draw = Comparison(LEVELS), random.Random(1)
    for _ in range(1500):
        assigned = draw.random() < 0.05
        comparison.answer(error=assigned, duration_us=1000, assigned=assigned, share=0.05)
    assert comparison.is_worse
    assert comparison.reason == "errors"


def test_a_slower_challenger_is_shown_to_be_worse_and_an_equal_one_is_not() -> None:
    slow, equal, draw = Comparison(LEVELS), Comparison(LEVELS), random.Random(2)
    for _ in range(6000):
        assigned = draw.random() < 0.2
        duration = draw.lognormvariate(10, 0.5)
        slow.answer(error=False, duration_us=duration * (3 if assigned else 1), assigned=assigned, share=0.2)
        equal.answer(error=False, duration_us=duration, assigned=assigned, share=0.2)
    assert slow.is_worse
    assert slow.reason == "latency"
    assert not equal.is_worse


def test_differences_below_the_tolerance_are_no_reason_to_roll_back() -> None:
    comparison, draw = Comparison(LEVELS), random.Random(5)
    for _ in range(6000):
        assigned = draw.random() < 0.2
        # A gateway's log in whole milliseconds: the champion mostly 0, the challenger mostly 1.
        duration = 1000 * (draw.random() < (0.8 if assigned else 0.2))
        comparison.answer(error=False, duration_us=duration, assigned=assigned, share=0.2)
    assert not comparison.is_worse


def test_a_wrong_share_raises_the_alarm_and_a_right_one_does_not() -> None:
    wrong, right, draw = Comparison(LEVELS), Comparison(LEVELS), random.Random(3)
    for _ in range(4000):
        assigned = draw.random() < 0.1
        wrong.assign(y=None, assigned=assigned, share=0.2)
        right.assign(y=None, assigned=assigned, share=0.1)
    assert any("SampleRatioMismatch" in alarm for alarm in wrong.alarms)
    assert right.alarms == []


def test_labels_that_come_for_one_version_only_raise_the_alarm() -> None:
    comparison, draw = Comparison(LEVELS), random.Random(4)
    for _ in range(3000):
        assigned = draw.random() < 0.2
        comparison.assign(y=None if assigned and draw.random() < 0.5 else 1.0, assigned=assigned, share=0.2)
    assert any("LabelRatioMismatch" in alarm for alarm in comparison.alarms)
