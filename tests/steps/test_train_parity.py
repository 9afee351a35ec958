"""The exported model against the fitted one: what is the same, what is nearly so, and what is another model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from turnout.steps import train_parity
from turnout.steps.artifact import Predictions
from turnout.steps.train_parity import Parity, describe, is_equal, is_near


def _compared(ours: Any, theirs: Any, *, probabilities: tuple[Any, Any] = (None, None)) -> Parity:
    exported = SimpleNamespace(predict=lambda _: Predictions(np.array(ours), probabilities[0]))
    fitted = SimpleNamespace(predict=lambda _: np.array(theirs), predict_proba=lambda _: probabilities[1])
    return train_parity.compare_on({}, exported, fitted, None)


def test_equal_labels_agree() -> None:
    assert is_equal(_compared([1, 2, 3], [1, 2, 3]))


def test_one_label_in_a_thousand_may_lie_on_an_edge_and_one_in_a_hundred_may_not() -> None:
    one = _compared([1] * 1000, [2] + [1] * 999)
    assert is_near(one)
    assert not is_equal(one)
    assert not is_near(_compared([1] * 100, [2] + [1] * 99))


def test_the_largest_difference_of_a_probability_is_reported() -> None:
    ours = np.full((100, 2), 0.5)
    theirs = ours.copy()
    theirs[0] = (0.51, 0.49)
    found = _compared([1] * 100, [1] * 100, probabilities=(ours, theirs))
    assert (found.different, found.beyond_tolerance) == (0, 1)
    assert found.largest_difference == pytest.approx(0.01)
    assert describe(found) == (
        "0 of 100 rows are answered otherwise than by scikit-learn, 1 differ by more than 1e-05 (largest 0.01)"
    )


@pytest.mark.parametrize("theirs", [0.4, 0.50002])
def test_other_probabilities_are_another_model(theirs: float) -> None:
    found = _compared([1] * 100, [1] * 100, probabilities=(np.full((100, 2), 0.5), np.full((100, 2), theirs)))
    assert not is_near(found)


def test_probabilities_that_are_no_numbers_are_another_model() -> None:
    found = _compared([1] * 10, [1] * 10, probabilities=(np.full((10, 2), np.nan), np.full((10, 2), 0.5)))
    assert not is_near(found)


def test_values_are_compared_relative_to_their_spread() -> None:
    theirs = np.linspace(0, 1000, 50)
    assert is_equal(_compared((theirs + 0.001).astype(np.float32), theirs))


def test_other_values_are_another_model() -> None:
    theirs = np.linspace(0, 1, 50)
    assert not is_near(_compared((theirs + 0.1).astype(np.float32), theirs))


def test_several_tables_are_judged_as_one() -> None:
    assert train_parity.total([Parity(10, 1, 2, 0.5), Parity(90, 0, 1, 0.1)]) == Parity(100, 1, 3, 0.5)
