"""The gate's decision table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from turnout.spec import ChampionGate, Gates
from turnout.steps.evaluate_gate import Decision, decide
from turnout.steps.evaluate_statistics import Estimate, Paired

_SCORE = Estimate(0.91, 0.88, 0.93, "Wilson")
_EQUAL = Paired(450, -0.002, -0.02, 0.016, 0.4, "McNemar, mid-p", 0.03, 9, 10)
_WORSE = replace(_EQUAL, difference=-0.05, low=-0.08, high=-0.02, worse_p=0.0004)
_BETTER = replace(_EQUAL, difference=0.05, low=0.02, high=0.08, worse_p=1.0)


def _decided(comparison: Paired | None = None, *, champion: str = "", incomparable: str = "", **gates: Any) -> Decision:
    return decide(
        gates=Gates(**gates),
        metric="accuracy",
        score=_SCORE,
        champion=champion or ("digits-v1" if comparison or incomparable else ""),
        comparison=comparison,
        incomparable=incomparable,
    )


@pytest.mark.parametrize(
    ("comparison", "minimum", "passed", "says"),
    [
        (None, None, True, "there is no champion to compare with"),
        (None, 0.9, True, "accuracy 0.9100 (95 % interval 0.8800 to 0.9300) on the test part reaches"),
        (
            None,
            0.92,
            False,
            "accuracy 0.9100 (95 % interval 0.8800 to 0.9300) on the test part is below the minimum 0.92",
        ),
        (_EQUAL, 0.9, True, "not shown to be worse than champion digits-v1: accuracy -0.0020"),
        (_EQUAL, 0.9, True, "a loss of 0.03 would have been found in 80 % of cases"),
        (_BETTER, 0.9, True, "better than champion digits-v1: accuracy +0.0500"),
        (_WORSE, 0.9, False, "worse than champion digits-v1: accuracy -0.0500"),
        (_BETTER, 0.92, False, "below the minimum"),
        (_WORSE, 0.92, False, "below the minimum 0.92; worse than champion"),
    ],
)
def test_the_gate(comparison: Paired | None, minimum: float | None, passed: bool, says: str) -> None:
    decision = _decided(comparison, minimum=minimum)
    assert (decision.passed, decision.enforced) == (passed, True)
    assert says in decision.reason


def test_a_better_model_is_said_to_be_that_only_when_it_is_shown() -> None:
    assert "better" not in _decided(_EQUAL).reason


def test_a_champion_that_cannot_be_asked_leaves_the_minimum() -> None:
    decision = _decided(incomparable="it needs 2 columns that this table lacks", minimum=0.9)
    assert decision.passed
    assert "not comparable with champion digits-v1: it needs 2 columns" in decision.reason
    assert not _decided(incomparable="it needs 2 columns", minimum=0.95).passed


def test_a_level_of_the_spec_is_the_level() -> None:
    unsure, strict = replace(_WORSE, worse_p=0.08), Gates(champion=ChampionGate(alpha=0.1))
    assert _decided(unsure).passed
    assert not decide(gates=strict, metric="accuracy", score=_SCORE, champion="digits-v1", comparison=unsure).passed


def test_a_margin_is_told() -> None:
    gates = Gates(champion=ChampionGate(margin=0.01))
    decision = decide(gates=gates, metric="accuracy", score=_SCORE, champion="digits-v1", comparison=_WORSE)
    assert "worse than champion digits-v1 by more than 0.01" in decision.reason


@pytest.mark.parametrize(
    ("comparison", "says"), [(_WORSE, "it would have stopped this model"), (_EQUAL, "it would have passed")]
)
def test_a_gate_that_is_off_says_what_it_would_have_done(comparison: Paired, says: str) -> None:
    decision = _decided(comparison, enabled=False)
    assert (decision.passed, decision.enforced) == (True, False)
    assert says in decision.reason
