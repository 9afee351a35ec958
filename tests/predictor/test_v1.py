"""V1: lists and objects as rows, and a sentence for every mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from turnout.errors import InputError
from turnout.predictor.model import Model
from turnout.predictor.v1 import V1

ROW = [5.1, 3.5, 1.4, 0.2]
NAMED = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
FLAT = {"area": 30.0, "rooms": 2, "district": "east"}


@pytest.fixture
def flowers(iris_model: Model) -> V1:
    return V1(iris_model.manifest)


@pytest.fixture
def tables(flats_model: Model) -> V1:
    return V1(flats_model.manifest)


def decode(dialect: V1, instances: Any) -> Any:
    with np.errstate(over="raise"):
        return dialect.decode(orjson.dumps({"instances": instances}))


def test_rows_are_lists_in_the_order_of_the_features(flowers: V1) -> None:
    call = decode(flowers, [ROW, ROW])

    assert call.rows == 2
    np.testing.assert_array_equal(call.feeds["X"], np.array([ROW, ROW], dtype=np.float32))


def test_rows_are_objects_by_feature_name_in_any_order(flowers: V1) -> None:
    call = decode(flowers, [dict(reversed(NAMED.items()))])

    np.testing.assert_array_equal(call.feeds["X"], np.array([ROW], dtype=np.float32))


def test_a_table_model_takes_objects_and_makes_one_input_per_column(tables: V1) -> None:
    call = decode(tables, [FLAT, {**FLAT, "area": None}])

    assert {name: array.shape for name, array in call.feeds.items()} == {
        "area": (2, 1),
        "rooms": (2, 1),
        "district": (2, 1),
    }
    assert np.isnan(call.feeds["area"][1, 0])
    assert call.feeds["district"].tolist() == [["east"], ["east"]]


def test_no_rows_are_fine(flowers: V1, tables: V1) -> None:
    assert decode(flowers, []).feeds["X"].shape == (0, 4)
    assert decode(tables, []).rows == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: not JSON"),
        (b"{", "body: not JSON"),
        (b"[" * 2000, "body: not JSON"),
        (b"\xff", "body: not JSON"),
        (b"[1]", 'body: wanted an object with "instances", found a list'),
        (b"{}", 'body: wanted "instances", found nothing'),
        (b'{"inputs": []}', "body: wanted \"instances\", found 'inputs'"),
        (b'{"instances": {}}', "instances: wanted a list of rows, found an object"),
        (b'{"instances": [1, 2, 3, 4]}', "instances[0]: wanted a list of 4 values, found a whole number"),
        (b'{"instances": [[1, 2, 3]]}', "instances: row 0: wanted a list of 4 values, found 3 values"),
        (b'{"instances": [[1, 2, 3, 4], 5]}', "instances: row 1: wanted a list of 4 values, found a whole number"),
        (b'{"instances": [[1, 2, 3, "4"]]}', "instances: wanted FP32, found a string at position 3"),
        (b'{"instances": [[1, 2, 3, [4]]]}', "instances: wanted FP32, found a list at position 3"),
        (b'{"instances": [[1, 2, 3, 1e99]]}', "instances: wanted FP32, found a number that does not fit"),
        (b'{"instances": [{"sepal_length": 1}]}', "missing: petal_length, petal_width, sepal_width; unknown: none"),
        (b'{"instances": [{"a": 1}]}', "unknown: a"),
    ],
)
def test_a_wrong_body_is_a_400_that_says_what_was_wanted(flowers: V1, body: bytes, message: str) -> None:
    with np.errstate(over="raise"), pytest.raises(InputError) as caught:
        flowers.decode(body)

    assert message in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([30.0, 2, "east"], "instances[0]: wanted an object with area, rooms, district, found a list"),
        ({**FLAT, "rooms": 2.5}, "instances: rooms: wanted INT64, found a decimal number at position 0"),
        ({**FLAT, "district": 7}, "instances: district: wanted BYTES, found a whole number at position 0"),
        ({**FLAT, "garden": 1}, "missing: none; unknown: garden"),
    ],
)
def test_a_wrong_row_of_a_table_is_a_400(tables: V1, row: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(tables, [row])

    assert message in str(caught.value)


def test_rows_of_both_kinds_do_not_mix(flowers: V1) -> None:
    with pytest.raises(InputError, match=r"instances\[1\]: wanted an object like the rows before, found a list"):
        decode(flowers, [NAMED, ROW])
