"""Both HTTP layers, side by side: whatever is asked, the answers are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.predictor import models
from tests.predictor.processes import Predictor, post

pytestmark = pytest.mark.e2e

ROW = [5.1, 3.5, 1.4, 0.2]
V1 = orjson.dumps({"instances": [ROW]})
TENSOR = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}
V2 = orjson.dumps({"inputs": [TENSOR], "id": "mine"})
BINARY = orjson.dumps({"inputs": [TENSOR], "id": "mine", "parameters": {"binary_data_output": True}})
PREDICT, INFER = "/v1/models/digits:predict", "/v2/models/digits/infer"
# Names of headers that belong to one reply alone, or to the HTTP layer.
OWN = {"x-turnout-id", "connection", "date", "server", "transfer-encoding"}


@pytest.fixture(scope="module")
def both(launch: Callable[..., Predictor], iris: models.Artifact) -> tuple[Predictor, Predictor]:
    flags = ("--max_body_bytes=100000", "--max_rows=3")
    return launch(iris, *flags), launch(iris, *flags, "--server=asgi")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", b"", {}, 200),
        ("HEAD", "/", b"", {}, 200),
        ("GET", "/v1/models", b"", {}, 200),
        ("GET", "/v1/models/digits", b"", {}, 200),
        ("POST", PREDICT, V1, {}, 200),
        ("POST", "/v1/models/digits%3Apredict", V1, {}, 200),
        ("GET", PREDICT + "?sepal_length=5.1&sepal_width=3.5&petal_length=1.4&petal_width=0.2", b"", {}, 200),
        ("GET", PREDICT, b"", {}, 400),
        ("POST", PREDICT, b"{}", {}, 400),
        ("POST", PREDICT, orjson.dumps({"instances": [ROW] * 4}), {}, 413),
        ("POST", PREDICT, V1, {"content-encoding": "gzip"}, 415),
        ("POST", PREDICT, V1, {"x-turnout-caller-id": "x" * 257}, 400),
        ("POST", PREDICT, V1, {"inference-header-content-length": "2"}, 400),
        ("POST", PREDICT, V1, {"content-type": "application/cloudevents-batch+json"}, 415),
        ("POST", PREDICT, b"x" * 100_001, {}, 413),
        ("POST", "/v1/models/digits:explain", V1, {}, 501),
        ("DELETE", PREDICT, b"", {}, 405),
        ("GET", "/v2", b"", {}, 200),
        ("GET", "/v2/models", b"", {}, 200),
        ("GET", "/v2/models/digits", b"", {}, 200),
        ("GET", "/v2/models/digits/ready", b"", {}, 200),
        ("GET", "/v2/models/digits/versions/digits-v4", b"", {}, 200),
        ("GET", "/v2/models/digits/versions/digits-v4/ready", b"", {}, 200),
        ("GET", "/v2/models/digits/versions/digits-v9", b"", {}, 404),
        ("POST", "/v2/models/digits/versions/digits-v4/infer", V2, {}, 200),
        ("POST", "/v2/models/digits/versions/digits-v9/infer", V2, {}, 404),
        ("POST", INFER, V2, {}, 200),
        ("POST", INFER, BINARY, {"inference-header-content-length": str(len(BINARY))}, 200),
        ("POST", INFER, b"{}", {}, 422),
        ("POST", INFER, b"[" * 2000, {}, 422),
        ("POST", INFER, V2.replace(b"FP32", b"BYTES"), {}, 400),
        ("GET", INFER, b"", {}, 405),
        ("POST", "/v2/models/other/infer", V2, {}, 404),
        ("POST", "/v2/repository/index", b"", {}, 200),
        ("POST", "/v2/repository/models/other/load", b"", {}, 409),
        ("GET", "/v2/repository/models/other/load", b"", {}, 405),
        ("GET", "/v2/health/live", b"", {}, 200),
        ("GET", "/v2/health/ready", b"", {}, 200),
        ("GET", "/openapi.json", b"", {}, 200),
        ("GET", "/nothing", b"", {}, 404),
    ],
)
def test_both_answer_alike(
    both: tuple[Predictor, Predictor], method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    own, asgi = (predictor.call(method, path, body, headers) for predictor in both)

    assert (own.status, asgi.status) == (status, status)
    assert own.body == asgi.body
    assert without(own.headers) == without(asgi.headers)


def without(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OWN}


def test_both_answer_traces_and_events_alike(both: tuple[Predictor, Predictor]) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    event = {"ce-specversion": "1.0", "ce-id": "mine", "ce-source": "/tests", "ce-type": "ask"}
    for predictor in both:
        reply = predictor.call("POST", PREDICT, V1, {"traceparent": parent, "tracestate": "a=1", **event})

        assert reply.headers["traceparent"].split("-")[1:3] == [parent.split("-")[1], reply.headers["ce-id"][:16]]
        assert reply.headers["tracestate"] == "a=1"
        assert reply.headers["ce-type"] == "io.kserve.inference.response"


@pytest.mark.parametrize("name", ["content-type", "x-turnout-assigned"])
def test_both_refuse_headers_that_come_twice(both: tuple[Predictor, Predictor], name: str) -> None:
    twice = post(PREDICT, V1, headers={name: "a"}).replace(f"{name}: a\r\n".encode(), f"{name}: a\r\n".encode() * 2)
    for predictor in both:
        with predictor.connect() as connection:
            connection.send(twice)
            reply = connection.read()

        assert (reply.status, reply.error) == (400, f"{name}: wanted one, found two")


def test_both_ask_for_patience_only_within_limits(launch: Callable[..., Predictor], iris: models.Artifact) -> None:
    for server in ("own", "asgi"):
        impatient = launch(iris, "--request_timeout_s=0.2", f"--server={server}")
        with impatient.connect() as connection:
            connection.send(b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")

            assert connection.read().status == 408
        assert impatient.stop() == 0


def test_a_drained_fallback_turns_not_ready_and_ends(launch: Callable[..., Predictor], iris: models.Artifact) -> None:
    predictor = launch(iris, "--server=asgi")
    with predictor.connect() as connection:
        connection.send(post(PREDICT, V1))
        assert connection.read().status == 200

        assert predictor.stop() == 0


def test_one_by_one_answers_are_the_same(launch: Callable[..., Predictor], iris: models.Artifact) -> None:
    alone: Any = launch(iris, "--no-batching")
    with alone.connect() as connection:
        connection.send(post(PREDICT, V1) * 5 + post(PREDICT, b"{}") + post(PREDICT, V1))

        assert [connection.read().status for _ in range(7)] == [200] * 5 + [400, 200]
    assert "turnout_batches_total{" in alone.get("/metrics").body.decode()
    assert 'turnout_batches_total{model="digits",version="digits-v4"} 7' in alone.get("/metrics").body.decode()
