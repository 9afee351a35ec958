"""Calibration, learning curve, slices and behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.steps.learning import LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import evaluate_calibration, evaluate_report, evaluate_slices
from turnout.steps.evaluate import Evaluation, evaluate
from turnout.steps.evaluate_metrics import Answers
from turnout.steps.evaluate_statistics import Estimate


def evaluated(spec: ModelSpec, folder: Path, table: pd.DataFrame) -> Evaluation:
    name = spec.candidates[0].name
    trained(spec, folder, table, candidate=name)
    return evaluate(spec, models=[folder / name], test=folder / "test.parquet", champion=None)


def said(confidence: np.ndarray, right: np.ndarray) -> Answers:
    """Answers of two classes with this confidence, right on these rows."""
    probabilities = np.column_stack([confidence, 1 - confidence])
    return Answers(np.where(right, 0, 1), np.zeros(len(right), dtype=np.int64), (0, 1), probabilities)


def test_a_model_that_is_as_right_as_it_says_is_calibrated() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1.0, 5000)
    honest = evaluate_calibration.calibration(said(confidence, random.random(5000) < confidence))
    boastful = evaluate_calibration.calibration(said(confidence, random.random(5000) < 0.6))
    assert honest is not None
    assert boastful is not None
    assert honest.error < 0.03 < 0.1 < boastful.error
    assert [one.rows for one in honest.bins] == [500] * 10
    assert all(one.low <= one.right <= one.high for one in honest.bins)


def test_too_few_rows_say_nothing_about_confidence() -> None:
    assert evaluate_calibration.calibration(said(np.full(30, 0.9), np.ones(30, bool))) is None
    assert evaluate_calibration.calibration(Answers(np.zeros(99), np.zeros(99))) is None


def test_the_learning_curve_ends_with_the_whole_fold(tmp_path: Path) -> None:
    found = trained(spec_of(LOGISTIC), tmp_path, numbers(), candidate="logistic")
    rows = [count for count, _ in found.search.curve]
    assert rows == sorted(rows)
    assert rows[-1] == pytest.approx(160 * 2 / 3, abs=1)
    assert found.search.curve[-1][1] == found.search.winner.folds[0]


def test_the_report_shows_calibration_curve_and_slices(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC, drop=["price"], slices=["label"])
    found = evaluated(spec, tmp_path, mixed(480))
    page = evaluate_report.render(found, spec=spec)
    assert 'aria-label="calibration"' in page
    assert 'aria-label="score by training rows"' in page
    assert {one.column for one in found.slices} == {"city", "label"}
    assert found.logged()["calibration_error"] < 0.5


def test_a_slice_is_called_worse_only_beyond_what_chance_does() -> None:
    overall = Estimate(0.9, 0.88, 0.92, "Wilson")
    bad, odd = Estimate(0.5, 0.4, 0.6, "Wilson"), Estimate(0.8, 0.7, 0.89, "Wilson")
    one = evaluate_slices.Slice("city", "Bonn", 50, bad)
    assert evaluate_slices._judged(one, overall, looked=40).is_worse
    assert evaluate_slices._judged(evaluate_slices.Slice("city", "Köln", 50, odd), overall, looked=1).is_worse
    assert not evaluate_slices._judged(evaluate_slices.Slice("city", "Köln", 50, odd), overall, looked=40).is_worse


def behaviour(**check: Any) -> dict[str, Any]:
    return {"behaviour": [{"name": "check", "column": "rooms of it", **check}]}


def pricing(**check: Any) -> ModelSpec:
    return spec_of(RIDGE, label="price", task="regression", drop=["kind"], **behaviour(**check))


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of prices: what is checked about it changes nothing of it, so that one is enough."""
    folder = tmp_path_factory.mktemp("priced")
    trained(pricing(add=1.0, expect="same"), folder, mixed(), candidate="ridge")
    return folder


def of_price(folder: Path, **check: Any) -> Evaluation:
    return evaluate(pricing(**check), models=[folder / "ridge"], test=folder / "test.parquet", champion=None)


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        ({"add": 1.0, "expect": "no lower"}, True),
        ({"add": 1.0, "expect": "no higher"}, False),
        ({"add": 1.0, "expect": "same"}, False),
        ({"column": "garden", "to": 1.0, "expect": "same", "share": 0.0}, True),
    ],
)
def test_behaviour_decides_with_the_gate(priced: Path, check: dict[str, Any], passed: bool) -> None:
    found = of_price(priced, **check)
    assert (found.behaved[0].passed, found.decision.passed) == (passed, passed)
    if not passed:
        assert "behaviour check: 0.0% of 80 rows behave so, 100.0% were wanted" in found.decision.reason
        assert "rooms of it was" in found.behaved[0].example


def test_the_probability_of_a_class_goes_in_a_direction(tmp_path: Path) -> None:
    dear = behaviour(add=2.0, expect="no lower", of="dear")
    found = evaluated(spec_of(LOGISTIC, drop=["price"], **dear), tmp_path, mixed())
    assert found.behaved[0].passed


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"column": "windows", "add": 1.0, "expect": "same"}, "behaviour check: windows is no feature"),
        ({"column": "city", "add": 1.0, "expect": "same"}, "city holds words; say what they become in `to`"),
        ({"to": "many", "expect": "same"}, "rooms of it holds numbers, and they cannot become 'many'"),
    ],
)
def test_a_check_that_cannot_be_made_is_named(priced: Path, check: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        of_price(priced, **check)


def test_a_direction_wants_a_class_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`of` names the class .*: \['cheap', 'dear'\]"):
        evaluated(spec_of(LOGISTIC, drop=["price"], **behaviour(add=1.0, expect="no lower")), tmp_path, mixed())
