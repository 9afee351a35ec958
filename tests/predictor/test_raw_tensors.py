"""Tensors survive every encoding: JSON, raw bytes behind JSON, protobuf fields and protobuf raw bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import Call, TensorWriter
from turnout.predictor.over_grpc import open_inference_pb2 as pb
from turnout.predictor.over_grpc.codec import GrpcV2
from turnout.predictor.raw_tensors import from_raw, to_raw
from turnout.predictor.tensors import DATATYPES, Array
from turnout.predictor.v2 import V2

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "BOOL": st.booleans(),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"])),
}
SMALL: dict[str, st.SearchStrategy[Any]] = {
    "FP16": st.floats(width=16, allow_nan=False, allow_infinity=False),
    "INT8": st.integers(-(2**7), 2**7 - 1),
    "INT16": st.integers(-(2**15), 2**15 - 1),
    "UINT8": st.integers(0, 2**8 - 1),
    "UINT16": st.integers(0, 2**16 - 1),
    "UINT32": st.integers(0, 2**32 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
}


def echo(datatype: str) -> Manifest:
    """A model that answers what it is asked."""
    return Manifest(
        folder=Path(),
        task="regression",
        inputs=(Signature("in", "x", datatype, (-1, 3)),),
        outputs=(Signature("out", "x", datatype, (-1, 3)),),
        features=("a", "b", "c"),
        labels=(),
    )


def made(datatype: str, values: list[Any]) -> Array:
    array = np.empty(len(values), dtype=DATATYPES[datatype].dtype)
    array[:] = values
    return array.reshape(-1, 3)


def through_json(dialect: V2, array: Array, datatype: str) -> tuple[Call, bytes]:
    _, sent = TensorWriter(Signature("in", "x", datatype, (-1, 3))).write(array)
    return answered(dialect, b'{"inputs":[%b]}' % sent)


def through_raw(dialect: V2, array: Array, datatype: str) -> tuple[Call, bytes]:
    raw = to_raw(array)
    entry = {
        "name": "in",
        "datatype": datatype,
        "shape": list(array.shape),
        "parameters": {"binary_data_size": len(raw)},
    }
    head = orjson.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}})
    return answered(dialect, head + raw, header_length=len(head))


def answered(dialect: Any, body: Any, **how: Any) -> tuple[Call, bytes]:
    call = dialect.decode(body, **how)
    call.results = {signature.onnx: call.feed(signature) for signature in call.outputs}
    outputs = [TensorWriter(signature).write(call.results[signature.onnx]) for signature in call.outputs]
    reply, length = dialect.encode(call, outputs, model="echo", prediction_id="0" * 32)
    assert bool(length) == bool(how)
    return call, reply[length:] if length else reply


@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("datatype", sorted(VALUES))
@given(data=st.data(), rows=st.integers(0, 4))
def test_a_tensor_survives_json_and_raw_bytes_both_ways(datatype: str, data: st.DataObject, rows: int) -> None:
    dialect = V2(echo(datatype), version="echo-v1")
    values = data.draw(st.lists(VALUES[datatype], min_size=rows * 3, max_size=rows * 3))
    array = made(datatype, values)

    as_json, text = through_json(dialect, array, datatype)
    as_raw, raw = through_raw(dialect, array, datatype)

    (only,) = echo(datatype).inputs
    np.testing.assert_array_equal(as_json.feed(only), array)
    np.testing.assert_array_equal(as_raw.feed(only), array)
    assert as_raw.feed(only).dtype == as_json.feed(only).dtype == DATATYPES[datatype].dtype
    (output,) = orjson.loads(text)["outputs"]
    np.testing.assert_array_equal(made(datatype, output["data"]), array)
    assert raw == to_raw(array)


@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("datatype", sorted(VALUES))
@given(data=st.data(), rows=st.integers(0, 4), raw=st.booleans())
def test_a_tensor_survives_protobuf_both_ways(datatype: str, data: st.DataObject, rows: int, raw: bool) -> None:
    values = data.draw(st.lists(VALUES[datatype], min_size=rows * 3, max_size=rows * 3))
    array = made(datatype, values)
    message = request(array, datatype, raw=raw)

    call, reply = answered(GrpcV2(echo(datatype), version="echo-v1"), message)

    np.testing.assert_array_equal(call.feeds["x"], array)
    found = pb.ModelInferResponse.FromString(reply)
    again = request(array, datatype, raw=raw)
    assert list(found.raw_output_contents) == list(again.raw_input_contents)
    assert found.outputs[0].contents == again.inputs[0].contents
    assert list(found.outputs[0].shape) == [rows, 3]


@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("datatype", sorted(SMALL))
@given(data=st.data())
def test_every_other_datatype_is_taken_as_raw_bytes_where_it_fits(datatype: str, data: st.DataObject) -> None:
    wanted = "FP64" if datatype.startswith("FP") else "INT64"
    values = data.draw(st.lists(SMALL[datatype], min_size=3, max_size=3))
    array = made(datatype, values)
    fits = max(values) < 2**63

    try:
        found = from_raw(memoryview(to_raw(array)), [1, 3], declared=datatype, wanted=wanted, where="x")
    except InputError:
        assert not fits
        return

    assert fits
    assert found.dtype == DATATYPES[wanted].dtype
    assert found.reshape(-1).tolist() == array.reshape(-1).tolist()


@pytest.mark.parametrize("offset", range(8))
def test_numbers_behind_json_of_any_length_are_aligned(offset: int) -> None:
    raw = b"x" * offset + to_raw(np.arange(3.0))

    found = from_raw(memoryview(raw)[offset:], [1, 3], declared="FP64", wanted="FP64", where="x")

    assert found.flags.aligned
    assert found.tolist() == [[0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("raw", "declared", "wanted", "message"),
    [
        (b"\0" * 11, "FP32", "FP32", "x: wanted 12 bytes for shape [1, 3] of FP32, found 11"),
        (b"\0\1\2", "BOOL", "BOOL", "x: wanted BOOL as bytes of 0 or 1, found 2"),
        (b"\1\0\0\0a", "BYTES", "BYTES", "x: wanted 3 strings, found 1"),
        (b"\2\0\0\0a", "BYTES", "BYTES", "x: string 0: wanted 2 bytes, found 1"),
        (b"\1\0\0", "BYTES", "BYTES", "x: string 0: wanted four bytes of length before it"),
        (b"\1\0\0\0\xff", "BYTES", "BYTES", "x: string 0: not UTF-8: invalid start byte"),
        (np.full(3, 1e300).tobytes(), "FP64", "FP32", "x: wanted FP64, found a number that does not fit"),
        (np.full(3, 2**40).tobytes(), "INT64", "INT32", "x: wanted INT64, found a number that does not fit"),
    ],
)
def test_bytes_that_do_not_hold_the_tensor_are_refused(raw: bytes, declared: str, wanted: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        from_raw(memoryview(raw), [1, 3], declared=declared, wanted=wanted, where="x")

    assert str(caught.value) == message


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_tensor_without_any_extent_is_refused_whatever_the_model_wants(shape: tuple[int, ...]) -> None:
    manifest = replace(echo("FP32"), inputs=(Signature("in", "x", "FP32", shape),))

    with pytest.raises(InputError, match=r"inputs\[0\]\.shape: wanted .*, found \[\]"):
        V2(manifest, version="echo-v1").decode(b'{"inputs":[{"name":"in","datatype":"FP32","shape":[],"data":[1]}]}')


def request(array: Array, datatype: str, *, raw: bool) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="echo")
    entry = message.inputs.add(name="in", datatype=datatype, shape=array.shape)
    if raw:
        message.raw_input_contents.append(to_raw(array))
        return message
    values = array.reshape(-1).tolist()
    field = {"INT32": "int", "BYTES": "bytes"}.get(datatype, datatype.lower())
    getattr(entry.contents, f"{field}_contents").extend(
        [value.encode() for value in values] if datatype == "BYTES" else values
    )
    return message


def changed(**changes: Any) -> pb.ModelInferRequest:
    message = request(np.zeros((1, 3), dtype=np.float32), "FP32", raw=changes.pop("raw", False))
    for name, value in changes.items():
        setattr(message.inputs[0], name, value)
    return message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (pb.ModelInferRequest(), "inputs: wanted in; missing: in"),
        (changed(name="x"), "inputs[0].name: wanted in, found 'x'"),
        (changed(datatype="BYTES"), "inputs[0].datatype: wanted FP32, found 'BYTES'"),
        (changed(datatype="FP16"), "inputs[0]: FP16 comes as raw_input_contents only"),
        (changed(datatype="FP64"), "inputs[0].contents.fp64_contents: wanted 3 values for shape [1, 3], found 0"),
    ],
)
def test_a_message_that_does_not_fit_the_model_is_told_why(message: pb.ModelInferRequest, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        answered(GrpcV2(echo("FP32"), version="echo-v1"), message)

    assert str(caught.value) == complaint


def test_values_and_raw_bytes_for_the_same_input_are_refused() -> None:
    message = changed(raw=True)
    message.inputs[0].contents.fp32_contents.extend([1.0, 2.0, 3.0])

    with pytest.raises(InputError, match=r"inputs\[0\]: wanted contents or raw_input_contents, found both"):
        answered(GrpcV2(echo("FP32"), version="echo-v1"), message)


def test_every_input_needs_its_raw_bytes() -> None:
    message = changed(raw=True)
    message.raw_input_contents.append(b"")

    with pytest.raises(InputError, match="raw_input_contents: wanted one for each of 1 inputs, found 2"):
        answered(GrpcV2(echo("FP32"), version="echo-v1"), message)
