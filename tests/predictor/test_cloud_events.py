"""CloudEvents around predictions: who asks with an event is answered with one of the same mode."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.predictor import models
from tests.predictor.processes import Predictor
from turnout.errors import InputError
from turnout.predictor.events import Replies, binary_event, structured_event

ROW = [5.1, 3.5, 1.4, 0.2]
V1 = {"instances": [ROW]}
EVENT = {"specversion": "1.0", "id": "mine", "source": "/tests", "type": "ask"}
CE = {f"ce-{key}": value for key, value in EVENT.items()}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
PREDICT = "/v1/models/digits:predict"


@pytest.fixture(scope="module")
def predictor(launch: Callable[..., Predictor], iris: models.Artifact) -> Predictor:
    return launch(iris, environment={"CE_TYPE": "answer", "CE_MERGE": "true"})


@pytest.mark.e2e
def test_an_event_in_headers_is_answered_in_headers(predictor: Predictor) -> None:
    reply = predictor.send_json(PREDICT, V1, {**CE, "ce-partition": "7"})

    assert reply.json == {"predictions": [0]}
    assert reply.headers["ce-type"] == "answer"
    assert reply.headers["ce-source"] == "io.kserve.inference.digits"
    assert reply.headers["ce-id"] == reply.headers["x-turnout-id"]
    assert reply.headers["ce-partition"] == "7"


@pytest.mark.e2e
@pytest.mark.parametrize("data", [{"data": V1}, {"data_base64": base64.b64encode(orjson.dumps(V1)).decode()}])
def test_an_event_in_the_body_is_answered_in_the_body(predictor: Predictor, data: dict[str, Any]) -> None:
    reply = predictor.send_json(PREDICT, {**EVENT, **data}, STRUCTURED)

    assert reply.headers["content-type"] == "application/cloudevents+json"
    assert reply.json["data"] == {"predictions": [0]}
    assert (reply.json["type"], reply.json["id"]) == ("answer", reply.headers["x-turnout-id"])


@pytest.mark.e2e
def test_raw_outputs_inside_an_event_are_base64(predictor: Predictor) -> None:
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}

    reply = predictor.send_json("/v2/models/digits/infer", {**EVENT, "data": asked}, STRUCTURED)

    body = base64.b64decode(reply.json["data_base64"])
    length = int(reply.headers["inference-header-content-length"])
    assert orjson.loads(body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert body[length:] == bytes(8)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "body: not JSON"),
        (b"[]", "body: wanted a CloudEvent as an object"),
        (orjson.dumps({**EVENT, "id": ""}), "CloudEvent: missing: id"),
        (orjson.dumps({**EVENT, "specversion": "0.3"}), "CloudEvent: specversion: wanted 1.0, found '0.3'"),
        (orjson.dumps(EVENT), "body: wanted a CloudEvent with data or data_base64"),
        (orjson.dumps({**EVENT, "data_base64": "?"}), "body: wanted a CloudEvent with data or data_base64"),
    ],
)
def test_what_is_no_event_is_a_400(body: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        structured_event(body, Replies())

    assert message in str(caught.value)


def test_headers_must_hold_a_whole_event() -> None:
    with pytest.raises(InputError, match="CloudEvent: missing: ce-id, ce-source, ce-type"):
        binary_event({b"ce-specversion": b"1.0"}, Replies())
