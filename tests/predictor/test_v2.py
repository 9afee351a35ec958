"""V2 in JSON: names, datatypes and shapes are checked against the model, and a sentence for every mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from turnout.errors import DataError, InputError
from turnout.predictor.model import Model
from turnout.predictor.v2 import V2

ROW = [5.1, 3.5, 1.4, 0.2]
TENSOR = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}


@pytest.fixture
def flowers(iris_model: Model) -> V2:
    return V2(iris_model.manifest, version="digits-v4")


@pytest.fixture
def tables(flats_model: Model) -> V2:
    return V2(flats_model.manifest, version="flats-v1")


def decode(dialect: V2, document: Any) -> Any:
    with np.errstate(over="raise"):
        return dialect.decode(orjson.dumps(document))


def column(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data), 1], "data": list(data)}


@pytest.mark.parametrize("data", [ROW, [ROW]])
def test_data_may_be_flat_or_nested(flowers: V2, iris_model: Model, data: list[Any]) -> None:
    call = decode(flowers, {"inputs": [{**TENSOR, "data": data}]})

    np.testing.assert_array_equal(call.feed(iris_model.manifest.inputs[0]), np.array([ROW], dtype=np.float32))


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT64", "INT8", "UINT8"])
def test_other_numbers_are_cast_to_what_the_model_wants(flowers: V2, datatype: str) -> None:
    call = decode(flowers, {"inputs": [{**TENSOR, "datatype": datatype, "data": [5, 3, 1, 0]}]})

    assert call.feeds["X"].dtype == np.float32
    assert call.feeds["X"].tolist() == [[5.0, 3.0, 1.0, 0.0]]


def test_without_outputs_only_the_label_is_answered(flowers: V2) -> None:
    assert [output.name for output in decode(flowers, {"inputs": [TENSOR]}).outputs] == ["output-0"]
    assert [output.name for output in decode(flowers, {"inputs": [TENSOR], "outputs": []}).outputs] == ["output-0"]


def test_outputs_are_answered_as_asked(flowers: V2) -> None:
    asked = [{"name": "probabilities"}, {"name": "output-0", "parameters": {"binary_data": False}}]

    assert [output.name for output in decode(flowers, {"inputs": [TENSOR], "outputs": asked}).outputs] == [
        "probabilities",
        "output-0",
    ]


def test_several_inputs_come_in_any_order(tables: V2) -> None:
    inputs = [column("district", "BYTES", "east"), column("rooms", "INT32", 2), column("area", "FP64", None)]

    call = decode(tables, {"inputs": inputs})

    assert call.rows == 1
    assert call.feeds["rooms"].dtype == np.int64
    assert np.isnan(call.feeds["area"][0, 0])


def test_no_rows_are_fine(flowers: V2) -> None:
    assert decode(flowers, {"inputs": [{**TENSOR, "shape": [0, 4], "data": []}]}).feeds["X"].shape == (0, 4)


def test_the_callers_id_is_kept(flowers: V2) -> None:
    assert decode(flowers, {"id": "mine", "inputs": [TENSOR], "parameters": {"a": 1}}).caller_id == "mine"


def without(key: str) -> dict[str, Any]:
    return {"inputs": [{name: value for name, value in TENSOR.items() if name != key}]}


def changed(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{**TENSOR, **changes}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "body: wanted an object, found a list"),
        ({}, "body.inputs: wanted a list, found nothing"),
        ({"inputs": {}}, "body.inputs: wanted a list, found an object"),
        ({"inputs": [1]}, "inputs[0]: wanted an object, found a whole number"),
        (without("name"), "inputs[0].name: wanted a string, found nothing"),
        (without("datatype"), "inputs[0].datatype: wanted a string, found nothing"),
        (without("shape"), "inputs[0].shape: wanted a list, found nothing"),
        (without("data"), "inputs[0].data: wanted a list, found nothing"),
        (changed(data="x"), "inputs[0].data: wanted a list, found a string"),
        (changed(shape=[1, -4]), "inputs[0].shape: wanted whole numbers, found [1, -4]"),
        (changed(shape=[True, 4]), "inputs[0].shape: wanted whole numbers, found [True, 4]"),
        (changed(parameters=[]), "inputs[0].parameters: wanted an object, found a list"),
        ({"inputs": [TENSOR], "parameters": 1}, "body.parameters: wanted an object, found a whole number"),
        ({"inputs": [TENSOR], "outputs": {"name": "x"}}, "outputs: wanted a list, found an object"),
        ({"inputs": [TENSOR], "outputs": ["x"]}, "outputs[0]: wanted an object, found a string"),
        ({"inputs": [TENSOR], "outputs": [{}]}, "outputs[0].name: wanted a string, found nothing"),
        (
            {"inputs": [TENSOR], "parameters": {"binary_data_output": 1}},
            "body.parameters.binary_data_output: wanted true or false, found a whole number",
        ),
    ],
)
def test_what_is_no_v2_request_is_a_422(flowers: V2, document: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(flowers, document)

    assert str(caught.value) == message
    assert caught.value.status == 422


def test_what_is_no_json_is_a_422(flowers: V2) -> None:
    with pytest.raises(DataError, match="body: not JSON"):
        flowers.decode(b'{"inputs": [')


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"inputs": []}, "inputs: wanted input-0; missing: input-0"),
        (changed(name="x"), "inputs[0].name: wanted input-0, found 'x'"),
        ({"inputs": [TENSOR, TENSOR]}, "inputs[1].name: input-0 is given twice"),
        (changed(datatype="BYTES"), "inputs[0].datatype: wanted FP32, found 'BYTES'"),
        (changed(datatype="float"), "inputs[0].datatype: wanted FP32, found 'float'"),
        (changed(shape=[4]), "inputs[0].shape: wanted [-1, 4] (-1: any), found [4]"),
        (changed(shape=[1, 5]), "inputs[0].shape: wanted [-1, 4] (-1: any), found [1, 5]"),
        (changed(shape=[2, 4]), "inputs[0].data: wanted 8 values for shape [2, 4], found 4"),
        (changed(data=[ROW, ROW]), "inputs[0].data: wanted 1 rows for shape [1, 4], found 2"),
        (changed(data=["a", 1, 2, 3]), "inputs[0].data: wanted FP32, found a string at position 0"),
        (
            changed(parameters={"binary_data_size": 16}),
            "inputs[0]: wanted data or parameters.binary_data_size, found both",
        ),
        (
            {"inputs": [{**without("data")["inputs"][0], "parameters": {"binary_data_size": 16}}]},
            "inputs[0].parameters.binary_data_size: wanted the header inference-header-content-length, found none",
        ),
        ({"inputs": [TENSOR], "outputs": [{"name": "output-0"}] * 2}, "outputs[1].name: output-0 is asked for twice"),
        (
            {"inputs": [TENSOR], "outputs": [{"name": "x"}]},
            "outputs[0].name: wanted output-0 or probabilities, found 'x'",
        ),
        ({"inputs": [TENSOR], "id": 7}, "id: wanted a string of at most 256 characters, found 7"),
        ({"inputs": [TENSOR], "id": "x" * 257}, "id: wanted a string of at most 256 characters, found 257 characters"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_a_400(flowers: V2, document: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(flowers, document)

    assert str(caught.value).startswith(message)
    assert caught.value.status == 400


def test_every_input_is_wanted(tables: V2) -> None:
    with pytest.raises(InputError, match="inputs: wanted area, rooms, district; missing: rooms, district"):
        decode(tables, {"inputs": [column("area", "FP32", 1.0)]})


def test_inputs_must_agree_on_the_number_of_rows(tables: V2) -> None:
    inputs = [column("area", "FP32", 1.0), column("rooms", "INT64", 1, 2), column("district", "BYTES", "east")]

    with pytest.raises(InputError, match=r"wanted the same number of rows in every input, found \[1, 2\]"):
        decode(tables, {"inputs": inputs})
