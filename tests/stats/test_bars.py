"""The bars of the decision on few repetitions: the same functions as `make bench-decision`, smaller and seeded."""

from __future__ import annotations

import numpy as np
import pytest

from bench.decision import code, kinds, labels, rollouts
from bench.decision.rows import Row, mean, rate
from bench.decision.streams import ALPHA, DOWN, MARGIN, STEPS, UP, Options, World, crossings


def holds(*rows: Row) -> None:
    broken = [f"{row.name}: {row.value:g}, wanted {row.direction} {row.target:g}" for row in rows if not row.holds]
    assert not broken


@pytest.mark.parametrize("base", [DOWN, UP], ids=["down", "up"])
@pytest.mark.parametrize("label_ratio", [1.0, 0.8, 1.25])
def test_drift_and_steps_and_missing_labels_move_neither_error_rate(base, label_ratio) -> None:
    world = World(base=base, shares=STEPS, horizon=5000, label_ratio=label_ratio)
    worse = World(base=base, shares=STEPS, horizon=5000, label_ratio=label_ratio, effect=-MARGIN)
    equal = crossings(world, Options(promote=False), repetitions=500, seed=1).rollback
    promoted = crossings(worse, Options(rollback=False), repetitions=500, seed=2).promote
    most = ALPHA if label_ratio == 1.0 else 0.06
    holds(rate("1", "wrong rollbacks", equal, most), rate("2", "wrong promotions", promoted, most))


@pytest.mark.parametrize(("share", "drop", "bar", "stretch"), [(0.2, 0.1, 123, 112), (0.5, 0.05, 676, 614)])
def test_a_worse_challenger_is_found_within_the_labels_of_the_bar(share, drop, bar, stretch) -> None:
    world = World(shares=(share,), effect=-drop, horizon=100_000)
    cold = crossings(world, Options(promote=False), repetitions=500, seed=3)
    warm = crossings(world, Options(promote=False, history=0.9), repetitions=500, seed=3)
    assert cold.rollback.all()
    assert warm.rollback.all()
    holds(mean("4", "canary labels", cold.own, bar), mean("4", "with history", warm.own, stretch))


def test_a_better_challenger_is_promoted_within_the_labels_of_the_bar() -> None:
    world = World(shares=(0.5,), effect=0.02, horizon=100_000)
    found = crossings(world, Options(rollback=False), repetitions=400, seed=4)
    holds(mean("6", "canary labels", found.own, 820))


def test_labels_that_come_later_for_one_version_need_the_window() -> None:
    windowed = labels._delayed(UP, "rollback", True, 80, 1)
    on_arrival = labels._delayed(UP, "rollback", False, 80, 1)
    holds(rate("9", "behind the window", windowed, ALPHA), rate("9", "on arrival", on_arrival, 0.2, ">="))


def test_sticky_users_count_once_per_step_with_the_probability_given_their_past() -> None:
    equal = labels._closed(0.0, "conditional", 300, 1)
    worse = labels._closed(-0.05, "conditional", 100, 1)
    holds(rate("10", "closed population", equal[1], ALPHA))
    assert np.mean(worse[1]) > np.mean(worse[0]) + 0.1  # later steps of a closed population bring evidence


def test_requests_of_sticky_users_are_no_units() -> None:
    holds(
        rate("10", "one unit per user", labels._users("units", 40, 1), ALPHA),
        rate("10", "drawn per request", labels._users("fresh", 40, 1), ALPHA),
    )
    assert np.mean(labels._users("naive", 40, 1)) > 0.1


def test_latency_scores_and_errors_are_judged_within_their_bars() -> None:
    slower = kinds._latency(1.2, 0.0, 100_000, 60, 1)
    scores = kinds._scores(0.2, 0.02, 100, 1)
    errors = kinds._errors((0.001, 0.001), 0.009, (0.05,), 200_000, 60, 1)
    equal = kinds._latency(1.0, 0.5, 3000, 200, 2)
    holds(
        mean("12", "latency", slower[1], 165),
        rate("12", "equal latency", equal[0], ALPHA),
        mean("13", "scores", scores[1], 228),
        mean("13", "errors", errors[1], 415),
    )


def test_three_challengers_together_are_promoted_wrongly_at_most_at_the_stated_rate() -> None:
    holds(rate("14", "family", rollouts._any_wrong(100, 1, labels=6000), ALPHA))


def test_nothing_but_the_labels_moves_the_evidence() -> None:
    holds(*code.bar16(0.1))


def test_the_state_is_small_and_survives_being_saved() -> None:
    rows = code.bar15(0.02)
    holds(*(row for row in rows if "state" in row.name))
