"""What a real predictor process answers, and what it tells those who ask wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.predictor import models
from tests.predictor.processes import Predictor, post

pytestmark = pytest.mark.e2e

Launch = Callable[..., Predictor]

ROW = [5.1, 3.5, 1.4, 0.2]
V1 = orjson.dumps({"instances": [ROW]})
V2_DOCUMENT = {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}]}
V2 = orjson.dumps(V2_DOCUMENT)


@pytest.fixture(scope="module")
def predictor(launch: Launch, iris: models.Artifact) -> Predictor:
    """One process for all tests that only ask."""
    return launch(iris)


@pytest.mark.parametrize("name", ["digits", "digits-v4"])
def test_it_answers_under_both_names(predictor: Predictor, name: str) -> None:
    v1 = predictor.call("POST", f"/v1/models/{name}:predict", V1)
    v2 = predictor.call("POST", f"/v2/models/{name}/infer", V2)

    assert v1.json == {"predictions": [0]}
    assert v2.json == {
        "model_name": name,
        "model_version": "digits-v4",
        "id": v2.headers["x-turnout-id"],
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [0]}],
    }
    for reply in (v1, v2):
        assert reply.status == 200
        assert reply.headers["x-turnout-version"] == "digits-v4"
        assert len(bytes.fromhex(reply.headers["x-turnout-id"])) == 16


def test_probabilities_are_answered_when_asked_for(predictor: Predictor) -> None:
    reply = predictor.send_json("/v2/models/digits/infer", {**V2_DOCUMENT, "outputs": [{"name": "probabilities"}]})

    (output,) = reply.json["outputs"]
    assert output["shape"] == [1, 3]
    assert output["data"] == pytest.approx([1.0, 0.0, 0.0], abs=1e-5)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/", {"status": "alive"}),
        ("/v1/models", {"models": ["digits", "digits-v4"]}),
        ("/v1/models/digits", {"name": "digits", "ready": True}),
        ("/v2", {"name": "turnout", "version": "0.1.0", "extensions": ["binary_tensor_data", "model_repository"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/digits-v4/ready", {"name": "digits-v4", "ready": True}),
    ],
)
def test_every_readable_path_answers_get_and_head(predictor: Predictor, path: str, document: Any) -> None:
    read, head = predictor.get(path), predictor.call("HEAD", path)

    assert (read.status, read.json) == (200, document)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(read.body))


def test_metadata_is_the_models_real_signature(predictor: Predictor) -> None:
    assert predictor.get("/v2/models/digits").json == {
        "name": "digits",
        "versions": ["digits-v4"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "output-0", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "parameters": {
            "task": "classification",
            "features": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
            "labels": [0, 1, 2],
        },
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "path '/nothing': not found"),
        ("HEAD", "/nothing", 404, ""),
        ("POST", "/v2/models/other/infer", 404, "model 'other': not found; this server has digits, digits-v4"),
        ("POST", "/v1/models/other:predict", 404, "model 'other': not found; this server has digits, digits-v4"),
        ("GET", "/v2/models/other/ready", 404, "model 'other': not found"),
        ("POST", "/v2/models/digits/nothing", 404, "path '/v2/models/digits/nothing': not found"),
        ("GET", "/v2/models/digits/infer", 405, "method: wanted POST, found GET"),
        ("DELETE", "/v1/models/digits:predict", 405, "method: wanted GET, POST, found DELETE"),
        ("POST", "/v2/health/live", 405, "method: wanted GET, HEAD, found POST"),
        ("POST", "/metrics", 405, "method: wanted GET, HEAD, found POST"),
    ],
)
def test_wrong_paths_and_methods_are_told(
    predictor: Predictor, method: str, path: str, status: int, message: str
) -> None:
    reply = predictor.call(method, path)

    assert reply.status == status
    assert message in (reply.error if reply.body else "")
    assert reply.headers.get("allow") == ({405: message.partition("wanted ")[2].partition(", found")[0]}.get(status))


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/digits:predict", b"{", 400, "body: not JSON"),
        ("/v1/models/digits:predict", b'{"instances": [[1]]}', 400, "wanted a list of 4 values, found 1 values"),
        ("/v2/models/digits/infer", b"{", 422, "body: not JSON"),
        ("/v2/models/digits/infer", b"{}", 422, "body.inputs: wanted a list, found nothing"),
        ("/v2/models/digits/infer", V2.replace(b"[1,4]", b"[1,5]"), 400, "shape: wanted [-1, 4]"),
    ],
)
def test_a_malformed_body_is_told_what_was_wanted_and_leaves_the_connection_open(
    predictor: Predictor, path: str, body: bytes, status: int, message: str
) -> None:
    with predictor.connect() as connection:
        connection.send(post(path, body))
        wrong = connection.read()
        connection.send(post("/v1/models/digits:predict", V1))

        assert wrong.status == status
        assert message in wrong.error
        assert "x-turnout-id" not in wrong.headers
        assert connection.read().status == 200


def test_no_rows_get_no_predictions(predictor: Predictor) -> None:
    assert predictor.send_json("/v1/models/digits:predict", {"instances": []}).json == {"predictions": []}


def test_many_pipelined_requests_are_answered_in_their_order(predictor: Predictor) -> None:
    documents = [{**V2_DOCUMENT, "id": f"{number}"} for number in range(200)]
    with predictor.connect() as connection:
        connection.send(b"".join(post("/v2/models/digits/infer", orjson.dumps(document)) for document in documents))

        assert [connection.read().json["id"] for _ in documents] == [document["id"] for document in documents]


def test_a_large_request_is_answered_and_in_its_turn(predictor: Predictor) -> None:
    large = orjson.dumps({"instances": [ROW] * 20_000})
    with predictor.connect() as connection:
        connection.send(post("/v1/models/digits:predict", large) + post("/v1/models/digits:predict", V1))

        assert connection.read().json == {"predictions": [0] * 20_000}
        assert connection.read().json == {"predictions": [0]}


def test_bad_requests_among_good_ones_hurt_nobody(predictor: Predictor) -> None:
    bodies = [V1 if number % 3 else b'{"instances": "x"}' for number in range(60)]
    with predictor.connect() as connection:
        connection.send(b"".join(post("/v1/models/digits:predict", body) for body in bodies))

        assert [connection.read().status for _ in bodies] == [200 if number % 3 else 400 for number in range(60)]


def test_a_body_that_is_too_long_is_refused_and_the_reply_arrives(launch: Launch, iris: models.Artifact) -> None:
    small = launch(iris, "--max_body_bytes=1000")
    with small.connect() as connection:
        connection.send(post("/v1/models/digits:predict", b"x" * 500_000))
        reply = connection.read()

        assert (reply.status, reply.error) == (413, "body: wanted at most 1000 bytes")
        assert connection.is_closed()


def test_a_half_sent_request_is_timed_out(launch: Launch, iris: models.Artifact) -> None:
    impatient = launch(iris, "--request_timeout_s=0.2")
    with impatient.connect() as connection:
        connection.send(b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")

        assert connection.read().status == 408


def test_metrics_name_model_and_version(predictor: Predictor) -> None:
    predictor.call("POST", "/v1/models/digits:predict", V1)
    reply = predictor.get("/metrics")

    assert reply.headers["content-type"].startswith("text/plain")
    found = {line.rpartition(" ")[0] for line in reply.body.decode().splitlines() if not line.startswith("#")}
    assert 'turnout_requests_total{model="digits",version="digits-v4",code="200"}' in found
    assert 'turnout_request_duration_seconds_count{model="digits",version="digits-v4"}' in found


def test_a_table_model_is_served_with_its_columns(launch: Launch, flats: models.Artifact) -> None:
    served = launch(flats)
    good = {"area": 30.0, "rooms": 1, "district": "east"}

    assert served.send_json("/v1/models/digits:predict", {"instances": [good]}).json == {"predictions": [0]}
    unseen = served.send_json("/v1/models/digits:predict", {"instances": [{**good, "district": "atlantis"}]})
    assert unseen.status == 400
    assert "the model cannot take these values" in unseen.error
