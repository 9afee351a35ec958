from __future__ import annotations

import numpy as np
import pytest

from turnout.errors import InputError
from turnout.kube.turnouts import Policy
from turnout.simulation.rollouts import simulate
from turnout.simulation.scenarios import Scenario

POLICY = Policy(margin=0.05)
SCENARIO = {"base": 0.9, "effect": 0.0, "per_hour": 1000.0, "label_rate": 0.5, "delay_us": 6e8, "policy": POLICY}


def test_good_challengers_are_promoted_and_bad_ones_rolled_back() -> None:
    good = simulate(Scenario(**{**SCENARIO, "effect": 0.02}), repetitions=40)
    bad = simulate(Scenario(**{**SCENARIO, "effect": -0.2}), repetitions=40)
    assert good.share("promote") >= 0.9
    assert bad.share("rollback") >= 0.9
    assert np.median(bad.exposed) < np.median(good.exposed)
    assert bad.hours.min() >= 1.0  # no label is believed before the window has passed
    assert (bad.own <= bad.labels).all()


def test_the_same_seed_gives_the_same_outcomes() -> None:
    first, second = (simulate(Scenario(**{**SCENARIO, "effect": -0.3}), repetitions=10, seed=3) for _ in range(2))
    assert first.hours.tolist() == second.hours.tolist()


def test_sticky_users_bring_a_verdict_when_there_are_enough_of_them() -> None:
    outcomes = simulate(Scenario(**{**SCENARIO, "effect": -0.2, "users": 4000}), repetitions=20)
    assert outcomes.share("rollback") >= 0.9


def test_a_rollout_whose_users_run_out_holds() -> None:
    outcomes = simulate(
        Scenario(**{**SCENARIO, "effect": -0.01, "label_rate": 1.0, "delay_us": 0.0, "users": 700}), repetitions=20
    )
    assert outcomes.share("hold") > 0.3
    assert (outcomes.labels <= 3 * 700 + 3).all()


def test_a_rollout_without_a_verdict_within_max_age_holds() -> None:
    policy = POLICY.model_copy(update={"max_age": 2 * 3_600_000_000})
    outcomes = simulate(Scenario(**{**SCENARIO, "per_hour": 20.0, "policy": policy}), repetitions=20)
    assert outcomes.share("hold") == 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 100}, "users: at least .* were wanted, found 100"),
        ({"base": 1.5}, "base: a mean outcome between 0 and 1 was wanted, found 1.5"),
        ({"effect": 0.2}, "effect: base . effect between 0 and 1"),
        ({"per_hour": 0.0}, "traffic: more than 0 requests per hour"),
        ({"label_rate": 0.0}, "label rate: a share above 0"),
        ({"delay_us": 1e15}, "labelWindow: of the labels 0.00%"),
    ],
)
def test_wrong_values_are_refused_by_name(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        Scenario(**{**SCENARIO, **wrong})
