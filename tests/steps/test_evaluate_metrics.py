"""Every metric is scikit-learn's, and every interval covers what it says."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from turnout.spec.model import TASK_METRICS
from turnout.steps import evaluate_statistics as statistics
from turnout.steps.evaluate_metrics import METRICS, Answers, confusion

Scorer = Callable[[Answers], float]

_SCIKIT_LEARN: dict[str, Scorer] = {
    "accuracy": lambda a: reference.accuracy_score(a.truth, a.values),
    "balanced_accuracy": lambda a: reference.balanced_accuracy_score(a.truth, a.values),
    "f1_macro": lambda a: reference.f1_score(a.truth, a.values, average="macro"),
    "f1_weighted": lambda a: reference.f1_score(a.truth, a.values, average="weighted"),
    "neg_log_loss": lambda a: -reference.log_loss(a.truth, a.probabilities, labels=list(a.labels)),
    "roc_auc_ovr": lambda a: reference.roc_auc_score(a.truth, a.probabilities, multi_class="ovr"),
    "r2": lambda a: reference.r2_score(a.truth, a.values),
    "neg_mean_absolute_error": lambda a: -reference.mean_absolute_error(a.truth, a.values),
    "neg_mean_absolute_percentage_error": lambda a: -reference.mean_absolute_percentage_error(a.truth, a.values),
    "neg_mean_squared_error": lambda a: -reference.mean_squared_error(a.truth, a.values),
    "neg_median_absolute_error": lambda a: -reference.median_absolute_error(a.truth, a.values),
    "neg_root_mean_squared_error": lambda a: -reference.root_mean_squared_error(a.truth, a.values),
}


def _classes(seed: int, *, labels: tuple[Any, ...] = (0, 1, 2)) -> Answers:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(len(labels)), size=120)
    kind: Any = object if isinstance(labels[0], str) else np.int64
    truth = np.array(random.choice(labels, 120), dtype=kind)
    values = np.array([labels[i] for i in probabilities.argmax(axis=1)], dtype=kind)
    return Answers(truth, values, labels, probabilities)


def _values(seed: int) -> Answers:
    random = np.random.default_rng(seed)
    truth = random.normal(3, 2, size=120)
    return Answers(truth, (truth + random.normal(size=120)).astype(np.float32))


@pytest.mark.parametrize("name", [name for name in TASK_METRICS["classification"] if name != "roc_auc"])
@pytest.mark.parametrize("labels", [(0, 1, 2), ("ant", "bee", "cat")])
def test_metrics_of_classes_are_those_of_scikit_learn(name: str, labels: tuple[Any, ...]) -> None:
    answers = _classes(1, labels=labels)
    assert METRICS[name](answers) == pytest.approx(_SCIKIT_LEARN[name](answers), rel=1e-9)


@pytest.mark.parametrize("name", TASK_METRICS["regression"])
def test_metrics_of_values_are_those_of_scikit_learn(name: str) -> None:
    answers = _values(2)
    assert METRICS[name](answers) == pytest.approx(_SCIKIT_LEARN[name](answers), rel=1e-6)


def test_the_area_under_the_curve_counts_ties_half() -> None:
    answers = _classes(3, labels=(0, 1))
    rounded = np.round(answers.probabilities, 1)
    tied = Answers(answers.truth, answers.values, (0, 1), rounded)
    assert METRICS["roc_auc"](tied) == pytest.approx(reference.roc_auc_score(tied.truth, rounded[:, 1]))


def test_every_metric_that_a_spec_may_name_is_there() -> None:
    assert set(METRICS) == {name for names in TASK_METRICS.values() for name in names}


def test_a_metric_of_probabilities_says_when_there_are_none() -> None:
    with pytest.raises(ValueError, match="needs probabilities"):
        METRICS["neg_log_loss"](Answers(np.array([1]), np.array([1]), (0, 1)))


def test_a_class_that_training_never_saw_costs_log_loss_but_does_not_fail() -> None:
    unseen = Answers(np.array([7, 0]), np.array([0, 0]), (0, 1), np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert METRICS["neg_log_loss"](unseen) < -10


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    answers = Answers(np.array([0, 0, 1]), np.array([0, 1, 1]), (0, 1))
    assert confusion(answers, (0, 1)).tolist() == [[1, 1], [0, 1]]


def test_wilson_s_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    intervals = [statistics.wilson(int(hits), 100) for hits in random.binomial(100, 0.9, 4000)]
    assert 0.925 < np.mean([low <= 0.9 <= high for low, high in intervals]) < 0.97


def test_a_bootstrap_is_the_same_for_the_same_seed() -> None:
    first, second, other = (
        statistics.estimate(_values(5), metric=METRICS["r2"], is_share=False, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.low < first.value < first.high
    assert (other.low, other.high) != (first.low, first.high)


def test_mcnemar_finds_few_of_the_equal_models_worse() -> None:
    random = np.random.default_rng(6)
    draws = random.multinomial(450, [0.05, 0.05, 0.9], size=4000)
    worse = [statistics.is_worse_p(int(wins), int(losses)) <= 0.05 for wins, losses, _ in draws]
    assert np.mean(worse) < 0.06


def test_mcnemar_finds_a_loss_of_two_points_in_1600_rows_four_times_in_five() -> None:
    random = np.random.default_rng(7)
    draws = random.multinomial(1600, [0.04, 0.06, 0.9], size=4000)
    worse = [statistics.is_worse_p(int(wins), int(losses)) <= 0.05 for wins, losses, _ in draws]
    assert np.mean(worse) >= 0.79


def test_a_paired_bootstrap_tells_a_worse_regression_from_an_equal_one() -> None:
    good = _values(8)
    noise = np.random.default_rng(9).normal(size=120)
    bad = Answers(good.truth, (good.values + noise).astype(np.float32))
    equal = Answers(good.truth, (2 * good.truth - good.values).astype(np.float32))
    rule = {"metric": METRICS["neg_mean_squared_error"], "is_share": False, "margin": 0.0, "alpha": 0.05, "seed": 1}
    assert statistics.compare(bad, good, **rule).worse_p <= 0.05
    assert statistics.compare(equal, good, **rule).worse_p > 0.05
    assert statistics.compare(good, bad, **rule).low > 0


def test_a_margin_allows_what_is_within_it() -> None:
    truth = np.zeros(400, dtype=np.int64)
    champion, candidate = truth.copy(), truth.copy()
    candidate[:12] = 1
    pair = (Answers(truth, candidate, (0, 1)), Answers(truth, champion, (0, 1)))
    rule = {"metric": METRICS["accuracy"], "is_share": True, "alpha": 0.05, "seed": 1}
    assert statistics.compare(*pair, margin=0.0, **rule).worse_p <= 0.05
    assert statistics.compare(*pair, margin=0.06, **rule).worse_p > 0.05


def test_the_examples_in_the_documentation_hold() -> None:
    assert doctest.testmod(statistics).failed == 0
