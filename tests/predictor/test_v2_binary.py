"""V2 with raw tensors behind the JSON, in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from turnout.errors import InputError
from turnout.ledger.packed import unpacked
from turnout.predictor.identity import Identity
from turnout.predictor.inference import Inference, Outcome, Request
from turnout.predictor.model import Model
from turnout.predictor.v2 import V2

ROW = np.array([[5.1, 3.5, 1.4, 0.2]], dtype=np.float32)
RAW = ROW.tobytes()
ENTRY = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}


def ask(model: Model, document: Any, raw: bytes = RAW, *, length: int | None = None) -> Outcome:
    head = orjson.dumps(document)
    request = Request(
        dialect=V2(model.manifest, version="digits-v4"),
        model="digits",
        body=head + raw,
        size_bytes=len(head) + len(raw),
        arrived_s=0.0,
    )
    request.header_length = len(head) if length is None else length
    identity = Identity("default", "digits", "digits-v4", "pod")
    return Inference(model, identity).process([request]).outcomes[0]


def test_raw_inputs_are_answered_in_json_unless_asked_otherwise(iris_model: Model) -> None:
    outcome = ask(iris_model, {"inputs": [ENTRY]})

    assert orjson.loads(outcome.body)["outputs"][0]["data"] == [0]
    assert (outcome.content_type, outcome.headers) == (b"application/json", ())


def test_a_header_that_was_seen_before_is_no_reason_to_take_the_values_or_the_id_of_before(iris_model: Model) -> None:
    v2 = V2(iris_model.manifest, version="digits-v4")

    def decoded(raw: bytes, **more: Any) -> tuple[list[list[float]], str | None]:
        head = orjson.dumps({"inputs": [ENTRY], **more})
        call = v2.decode(head + raw, header_length=len(head))
        return call.feed(iris_model.manifest.inputs[0]).tolist(), call.caller_id

    other = ROW * 2
    for _ in range(2):
        assert decoded(RAW) == (ROW.tolist(), None)
        assert decoded(other.tobytes()) == (other.tolist(), None)
        assert decoded(RAW, id="mine") == (ROW.tolist(), "mine")
        with pytest.raises(InputError, match="wanted at most the 15 bytes left"):
            decoded(RAW[:-1])
    # More of them than are kept.
    for number in range(200):
        assert decoded(RAW, parameters={"number": number}) == (ROW.tolist(), None)


def test_all_outputs_come_as_raw_bytes_when_the_request_says_so(iris_model: Model) -> None:
    asked = [{"name": "probabilities"}, {"name": "output-0"}]
    outcome = ask(iris_model, {"inputs": [ENTRY], "outputs": asked, "parameters": {"binary_data_output": True}})

    ((name, length),) = outcome.headers
    assert (name, outcome.content_type) == (b"inference-header-content-length", b"application/octet-stream")
    probabilities, label = orjson.loads(outcome.body[: int(length)])["outputs"]
    assert "data" not in probabilities
    assert (probabilities["parameters"], label["parameters"]) == ({"binary_data_size": 12}, {"binary_data_size": 8})
    raw = outcome.body[int(length) :]
    np.testing.assert_allclose(np.frombuffer(raw[:12], dtype=np.float32), [1, 0, 0], atol=1e-5)
    assert np.frombuffer(raw[12:], dtype=np.int64).tolist() == [0]


@pytest.mark.parametrize("for_all", [True, False])
def test_the_wish_of_one_output_counts_more_than_that_of_all(iris_model: Model, for_all: bool) -> None:
    asked = [{"name": "output-0", "parameters": {"binary_data": not for_all}}, {"name": "probabilities"}]
    outcome = ask(iris_model, {"inputs": [ENTRY], "outputs": asked, "parameters": {"binary_data_output": for_all}})

    length = int(outcome.headers[0][1])
    label, probabilities = orjson.loads(outcome.body[:length])["outputs"]
    assert ("data" in label, "data" in probabilities) == (for_all, not for_all)


def test_a_record_holds_numbers_whatever_was_sent(iris_model: Model) -> None:
    record = orjson.loads(
        b"{" + ask(iris_model, {"inputs": [ENTRY], "parameters": {"binary_data_output": True}}).record
    )

    assert unpacked(record["inputs"])[0]["data"] == pytest.approx(ROW[0].tolist())
    assert record["outputs"][0]["data"] == [0]


@pytest.mark.parametrize(
    ("document", "raw", "message"),
    [
        ({"inputs": [ENTRY]}, RAW[:-1], "binary_data_size: wanted at most the 15 bytes left, found 16"),
        ({"inputs": [ENTRY]}, RAW + b"x", "body: 1 bytes belong to no input"),
        (
            {"inputs": [{**ENTRY, "parameters": {"binary_data_size": 12}}]},
            RAW[:12],
            "inputs[0]: wanted 16 bytes for shape [1, 4] of FP32, found 12",
        ),
        (
            {"inputs": [{**ENTRY, "parameters": {"binary_data_size": -1}}]},
            RAW,
            "binary_data_size: wanted at most the 16 bytes left, found -1",
        ),
    ],
)
def test_raw_bytes_that_do_not_fit_are_a_400(iris_model: Model, document: Any, raw: bytes, message: str) -> None:
    outcome = ask(iris_model, document, raw)

    assert outcome.status == 400
    assert message in orjson.loads(outcome.body)["error"]


def test_a_header_longer_than_the_body_is_a_400(iris_model: Model) -> None:
    with pytest.raises(InputError, match="wanted at most the body's 2 bytes, found 3"):
        V2(iris_model.manifest, version="digits-v4").decode(b"{}", header_length=3)


def test_a_size_that_is_no_number_is_a_422(iris_model: Model) -> None:
    outcome = ask(iris_model, {"inputs": [{**ENTRY, "parameters": {"binary_data_size": "16"}}]})

    assert outcome.status == 422
    assert "binary_data_size: wanted a whole number, found a string" in orjson.loads(outcome.body)["error"]
