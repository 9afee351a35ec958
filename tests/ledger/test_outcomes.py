from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.ledger import outcomes

INTEGERS = st.integers(min_value=-(2**53), max_value=2**53)


def output(data: list[Any], datatype: str = "INT64", shape: list[int] | None = None) -> list[dict[str, Any]]:
    return [{"name": "output-0", "datatype": datatype, "shape": shape or [len(data)], "data": data}]


@pytest.mark.parametrize(
    ("label", "predicted", "equal"),
    [
        (7, 7, True),
        (7.0, 7, True),
        ("7", 7, True),
        ("7.0", 7, True),
        ("7e0", 7, True),
        (" 7", 7, False),
        ("07", 7, False),
        ("nan", 7, False),
        ("1_0", 10, False),
        ("0x7", 7, False),
        (8, 7, False),
        ("seven", 7, False),
        ("cat", "cat", True),
        ("cat", "dog", False),
        ("7", "7.0", False),
        (7, "7", True),
        (7.5, "7.5", True),
        (7, "cat", False),
        (True, 1, True),
        (False, True, False),
        (9007199254740993, "9007199254740993", True),
        (9007199254740993, "9007199254740992", False),
    ],
)
def test_a_label_meets_a_prediction_by_these_rules(label: Any, predicted: Any, equal: bool) -> None:
    assert outcomes.same_value(label, predicted) is equal


@given(INTEGERS)
def test_a_number_its_float_and_its_text_name_the_same_class(number: int) -> None:
    for spelling in (number, float(number), str(number)):
        assert outcomes.same_value(spelling, number)


def test_a_score_is_the_outcome_whatever_was_predicted() -> None:
    assert outcomes.outcome(label=3, score=0.8, outputs=output([7])) == 0.8
    assert outcomes.outcome(label=None, score=0, outputs=output([1.5], "FP32")) == 0.0


def test_several_rows_have_the_mean_of_their_hits() -> None:
    assert outcomes.outcome(label=[7, 1, 2, 3], score=None, outputs=output([7, 1, 2, 9])) == 0.75


def test_one_column_of_labels_counts_as_one_value_per_row() -> None:
    assert outcomes.outcome(label=["a", "b"], score=None, outputs=output([["a"], ["b"]], "BYTES", [2, 1])) == 1.0


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_a_regression_has_no_outcome_by_label_alone(datatype: str) -> None:
    assert outcomes.outcome(label=1.5, score=None, outputs=output([1.5], datatype)) is None


@pytest.mark.parametrize("label", [[7], [7, 7, 7], 7])
def test_a_label_must_have_as_many_rows_as_the_prediction(label: Any) -> None:
    with pytest.raises(InputError, match="the prediction has 2 rows"):
        outcomes.outcome(label=label, score=None, outputs=output([7, 7]))


def test_without_label_score_or_outputs_there_is_no_outcome() -> None:
    assert outcomes.outcome(label=None, score=None, outputs=output([7])) is None
    assert outcomes.outcome(label=7, score=None, outputs=[]) is None


@given(st.lists(st.tuples(INTEGERS, INTEGERS), min_size=1, max_size=20))
def test_an_outcome_is_a_share(rows: list[tuple[int, int]]) -> None:
    labels, predicted = zip(*rows, strict=True)
    found = outcomes.outcome(label=list(labels), score=None, outputs=output(list(predicted)))
    assert found == sum(one == other for one, other in rows) / len(rows)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(7, 7.0, True), (7, "7", False), ([1, 2], [1, 2], True), ([1], 1, False), (None, None, True), (None, 7, False)],
)
def test_two_labels_repeat_or_contradict_each_other(one: Any, other: Any, same: bool) -> None:
    assert outcomes.same_label(one, other) is same
