"""Answers without a model, which a model must be shown to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.steps.learning import LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from turnout import spec as specs
from turnout.errors import DataError, SpecError
from turnout.spec import ModelSpec
from turnout.steps import evaluate_baselines, evaluate_report
from turnout.steps.evaluate import evaluate
from turnout.steps.evaluate_baselines import Baseline
from turnout.steps.evaluate_metrics import Answers
from turnout.steps.parts import Part


def beating(*names: str, label: str = "price", task: str = "regression", **more: Any) -> ModelSpec:
    return spec_of(RIDGE, label=label, task=task, gates={"beats": list(names)}, **more)


def asked(spec: ModelSpec, truth: list[Any], values: list[Any], **columns: Any) -> tuple[Baseline, ...]:
    """What the gate sees of these answers beside these columns."""
    features = {name: np.asarray(column) for name, column in columns.items()}
    answers = Answers(np.asarray(truth), np.asarray(values), labels=tuple(sorted({*truth})))
    return evaluate_baselines.baselines(
        spec, Part(features, answers.truth), answers, is_share=spec.metric == "accuracy"
    )


def test_a_good_model_beats_the_mean_and_a_bad_one_does_not() -> None:
    truth = [float(value) for value in range(40)]
    good, bad = ([value + error for value in truth] for error in (0.5, 100.0))
    (beaten,) = asked(beating("constant"), truth, good)
    (unbeaten,) = asked(beating("constant"), truth, bad)
    assert (beaten.beaten, unbeaten.beaten) == (True, False)
    assert beaten.score == 0.0  # r2 of the mean


def test_a_column_is_compared_on_the_rows_where_it_says_something() -> None:
    truth = [float(value) for value in range(40)]
    last_week = np.array([np.nan] * 10 + [value + 3.0 for value in truth[10:]], dtype=np.float32)
    (found,) = asked(beating("last_week"), truth, [value + 1.0 for value in truth], last_week=last_week)
    assert (found.beaten, found.comparison.rows) == (True, 30)
    (same,) = asked(beating("last_week"), truth, [value + 3.0 for value in truth], last_week=last_week)
    assert not same.beaten


def test_a_class_is_compared_with_the_most_frequent_one() -> None:
    spec = beating("constant", label="kind", task="classification")
    (found,) = asked(spec, [0, 0, 0, 1] * 20, [0, 0, 0, 1] * 20)
    assert (found.score, found.beaten) == (0.75, True)


def test_probabilities_are_compared_with_how_frequent_each_class_is() -> None:
    spec = beating("constant", label="kind", task="classification", metric="neg_log_loss")
    truth = np.array([0, 0, 0, 1] * 20)
    sure = Answers(truth, truth, (0, 1), np.column_stack([0.9 - 0.8 * truth, 0.1 + 0.8 * truth]))
    (found,) = evaluate_baselines.baselines(spec, Part({}, truth), sure, is_share=False)
    assert found.score == pytest.approx(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert found.beaten


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("other", [1.0, 2.0], "there is no column other; there are a"),
        ("a", np.array(["x", "y"], dtype=object), "column a holds words, which the label does not"),
        ("a", [np.nan, np.nan], "column a is missing in all 2 rows"),
    ],
)
def test_a_column_that_is_no_answer_is_named(name: str, column: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        asked(beating(name), [1.0, 2.0], [1.0, 2.0], a=column)


def test_a_column_has_no_probabilities() -> None:
    spec = beating("a", label="kind", task="classification", metric="neg_log_loss")
    with pytest.raises(DataError, match="column a cannot be measured by neg_log_loss: this metric needs probabilities"):
        asked(spec, [0, 1], [0, 1], a=[0.0, 1.0])


def test_the_gate_stops_a_model_that_is_no_better_and_says_by_how_much(tmp_path: Path) -> None:
    noise = numbers(400)
    noise["kind"] = np.random.default_rng(0).permutation(noise["kind"])
    spec = spec_of(LOGISTIC, gates={"beats": ["constant"]})
    trained(spec, tmp_path, noise, candidate="logistic")
    found = evaluate(spec, models=[tmp_path / "logistic"], test=tmp_path / "test.parquet", champion=None)
    assert not found.decision.passed
    assert found.decision.reason.startswith("not shown to be better than constant (accuracy 0.")
    assert "not shown to be better" in evaluate_report.render(found, spec=spec)


def test_a_model_that_is_better_passes(tmp_path: Path) -> None:
    spec = beating("constant", "rooms of it", drop=["kind"])
    trained(spec, tmp_path, mixed(), candidate="ridge")
    found = evaluate(spec, models=[tmp_path / "ridge"], test=tmp_path / "test.parquet", champion=None)
    assert found.decision.passed
    assert "better than rooms of it (r2 " in found.decision.reason


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("gates: {beats: [price]}", "gates.beats[0]: 'price' is the label"),
        ("gates: {beats: [city]}\ndrop: ['c*']", "gates.beats[0]: 'city' is in drop"),
    ],
)
def test_what_cannot_be_beaten_is_said(rest: str, problem: str) -> None:
    text = "name: a\nsources: [{name: a, path: a.csv}]\nlabel: price\ntask: regression\n"
    with pytest.raises(SpecError) as caught:
        specs.loads(f"{text}candidates: [{{name: r, estimator: sklearn.linear_model.Ridge}}]\n{rest}\n")
    assert problem in "\n".join(caught.value.problems)
