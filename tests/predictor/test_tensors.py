"""JSON to arrays and back, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.predictor.tensors import DATATYPES, castable, flatten, to_array, to_json

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UINT8": st.integers(0, 255),
    "BOOL": st.booleans(),
    "BYTES": st.text(),
}


def convert(data: list[Any], shape: list[int], *, declared: str, wanted: str | None = None) -> Any:
    flat = flatten(data, shape, where="data")
    found = [
        to_array(flat, shape, declared=declared, wanted=wanted or declared, where="data", without_bools=without_bools)
        for without_bools in ((False,) if any(type(value) is bool for value in flat) else (False, True))
    ]
    np.testing.assert_array_equal(found[0], found[-1])  # the quick way and the careful way
    assert found[0].dtype == found[-1].dtype
    return found[0]


def through_json(array: Any) -> Any:
    return orjson.loads(orjson.dumps(to_json(array), option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.parametrize("datatype", sorted(VALUES))
@given(data=st.data(), rows=st.integers(0, 4), columns=st.integers(1, 4), nested=st.booleans())
def test_a_tensor_survives_json(datatype: str, data: st.DataObject, rows: int, columns: int, nested: bool) -> None:
    flat = data.draw(st.lists(VALUES[datatype], min_size=rows * columns, max_size=rows * columns))
    table = [flat[start : start + columns] for start in range(0, len(flat), columns)]
    sent = orjson.loads(orjson.dumps(table if nested else flat))

    array = convert(sent, [rows, columns], declared=datatype)

    assert array.shape == (rows, columns)
    assert array.dtype == DATATYPES[datatype].dtype
    again = convert(through_json(array), [rows, columns], declared=datatype)
    np.testing.assert_array_equal(again, array)
    if datatype != "FP32":
        assert array.reshape(-1).tolist() == flat


def test_a_missing_number_is_nan_and_is_written_as_null() -> None:
    array = convert([1.5, None], [2], declared="FP32")

    assert np.isnan(array[1])
    assert through_json(array) == [1.5, None]


def test_single_precision_is_written_short() -> None:
    assert orjson.dumps(to_json(np.array([0.1], dtype=np.float32)), option=orjson.OPT_SERIALIZE_NUMPY) == b"[0.1]"


def test_whole_numbers_written_as_decimals_pass_for_integers() -> None:
    assert convert([3.0, 4], [2], declared="INT64").tolist() == [3, 4]


@pytest.mark.parametrize(
    ("data", "declared", "wanted", "message"),
    [
        (["1.5"], "FP32", "FP32", "data: wanted FP32, found a string at position 0"),
        ([1, True], "FP32", "FP32", "data: wanted FP32, found true or false at position 1"),
        ([{}], "FP32", "FP32", "data: wanted FP32, found an object at position 0"),
        ([1, [2]], "FP32", "FP32", "data: wanted FP32, found a list at position 1"),
        ([1.5], "INT64", "INT64", "data: wanted INT64, found a decimal number at position 0"),
        ([None], "INT64", "INT64", "data: wanted INT64, found null at position 0"),
        ([1], "BYTES", "BYTES", "data: wanted BYTES, found a whole number at position 0"),
        ([None], "BYTES", "BYTES", "data: wanted BYTES, found null at position 0"),
        ([1], "BOOL", "BOOL", "data: wanted BOOL, found a whole number at position 0"),
        ([1e300], "FP32", "FP32", "data: wanted FP32, found a number that does not fit"),
        ([1e300], "FP64", "FP32", "data: wanted FP64, found a number that does not fit"),
        ([300], "UINT8", "FP32", "data: wanted UINT8, found a number that does not fit"),
        ([2**63], "INT64", "INT64", "data: wanted INT64, found a number that does not fit"),
        ([2**40], "INT64", "INT32", "data: wanted INT64, found a number that does not fit"),
    ],
)
def test_values_of_another_kind_are_refused(data: list[Any], declared: str, wanted: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        convert(data, [len(data)], declared=declared, wanted=wanted)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "shape", "message"),
    [
        ([1, 2, 3], [2, 2], "data: wanted 4 values for shape [2, 2], found 3"),
        ([[1, 2]], [2, 2], "data: wanted 2 rows for shape [2, 2], found 1"),
        ([[1, 2], [3]], [2, 2], "data: row 1: wanted a list of 2 values, found 1 values"),
        ([[1, 2], 3], [2, 2], "data: row 1: wanted a list of 2 values, found a whole number"),
        ([], [1, 2], "data: wanted 2 values for shape [1, 2], found 0"),
    ],
)
def test_data_that_does_not_fill_its_shape_is_refused(data: list[Any], shape: list[int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        convert(data, shape, declared="FP32")

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("declared", "wanted", "fits"),
    [
        ("FP64", "FP32", True),
        ("INT64", "FP32", True),
        ("UINT8", "INT64", True),
        ("BOOL", "INT64", True),
        ("FP32", "INT64", False),
        ("BYTES", "FP32", False),
        ("INT64", "BYTES", False),
        ("INT64", "BOOL", False),
    ],
)
def test_only_safe_casts_are_made(declared: str, wanted: str, fits: bool) -> None:
    assert castable(declared, wanted) is fits


def test_a_cast_keeps_the_value() -> None:
    assert convert([1, 2], [2], declared="UINT8", wanted="FP32").tolist() == [1.0, 2.0]
    assert convert([True], [1], declared="BOOL", wanted="INT64").tolist() == [1]
