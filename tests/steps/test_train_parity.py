"""The exported model against the fitted one: rounding is tolerated and reported, more is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from turnout.errors import Failed
from turnout.steps import train_parity
from turnout.steps.artifact import Predictions


def _checked(ours: Any, theirs: Any, *, probabilities: tuple[Any, Any] = (None, None)) -> train_parity.Parity:
    exported = SimpleNamespace(predict=lambda _: Predictions(np.array(ours), probabilities[0]))
    fitted = SimpleNamespace(
        predict=lambda _: np.array(theirs), predict_proba=lambda _: probabilities[1], steps=[("model", object())]
    )
    return train_parity.check(exported, fitted, features={}, frame=lambda features: features)  # type: ignore[arg-type]


def test_equal_labels_agree() -> None:
    assert _checked([1, 2, 3], [1, 2, 3]).different == 0


def test_one_label_in_a_hundred_may_lie_on_an_edge() -> None:
    assert _checked([1] * 100, [2] + [1] * 99).different == 1


def test_two_labels_in_a_hundred_are_a_broken_export() -> None:
    with pytest.raises(Failed, match=r"answers otherwise than scikit-learn on 2 of 100 test rows"):
        _checked([1] * 100, [2, 2] + [1] * 98)


def test_the_largest_difference_of_a_probability_is_reported() -> None:
    ours = np.full((100, 2), 0.5)
    theirs = ours.copy()
    theirs[0] = (0.51, 0.49)
    found = _checked([1] * 100, [1] * 100, probabilities=(ours, theirs))
    assert found.beyond_tolerance == 1
    assert found.largest_difference == pytest.approx(0.01)


def test_other_probabilities_are_a_broken_export() -> None:
    ours, theirs = np.full((100, 2), 0.5), np.full((100, 2), 0.4)
    with pytest.raises(Failed, match=r"probabilities that differ by more than 0\.0001 on 100 of 100 test rows"):
        _checked([1] * 100, [1] * 100, probabilities=(ours, theirs))


def test_probabilities_that_are_no_numbers_are_a_broken_export() -> None:
    ours, theirs = np.full((10, 2), np.nan), np.full((10, 2), 0.5)
    with pytest.raises(Failed, match="probabilities"):
        _checked([1] * 10, [1] * 10, probabilities=(ours, theirs))


def test_values_are_compared_relative_to_their_spread() -> None:
    theirs = np.linspace(0, 1000, 50)
    assert _checked((theirs + 0.01).astype(np.float32), theirs).different == 0


def test_other_values_are_a_broken_export() -> None:
    theirs = np.linspace(0, 1, 50)
    with pytest.raises(Failed, match="on 50 of 50 test rows"):
        _checked((theirs + 0.1).astype(np.float32), theirs)
