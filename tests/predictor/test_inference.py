"""Many requests in one run of the model answer as each would alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from tests.predictor import models
from turnout.ledger.packed import unpacked
from turnout.predictor import artifact
from turnout.predictor.calls import Dialect
from turnout.predictor.identity import Identity
from turnout.predictor.inference import Inference, Outcome, Request
from turnout.predictor.model import Model
from turnout.predictor.v1 import V1
from turnout.predictor.v2 import V2

ROWS = load_iris().data
FLAT = {"area": 30.0, "rooms": 2, "district": "east"}


@pytest.fixture
def flowers(iris_model: Model, identity: Identity) -> Inference:
    return Inference(iris_model, identity)


@pytest.fixture
def tables(flats_model: Model, identity: Identity) -> Inference:
    return Inference(flats_model, identity)


def v1(model: Model, instances: Any, **attributes: Any) -> Request:
    return request(V1(model.manifest), {"instances": instances}, **attributes)


def v2(model: Model, rows: Any, *outputs: str, **attributes: Any) -> Request:
    data = np.asarray(rows, dtype=np.float64)
    tensor = {"name": "input-0", "datatype": "FP64", "shape": list(data.shape), "data": data.reshape(-1).tolist()}
    document: dict[str, Any] = {"inputs": [tensor], "outputs": [{"name": name} for name in outputs]}
    return request(V2(model.manifest, version="digits-v4"), document, **attributes)


def request(dialect: Dialect, document: Any, **attributes: Any) -> Request:
    body = orjson.dumps(document)
    made = Request(dialect, "digits", body, len(body), 0.0)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def record(outcome: Outcome) -> dict[str, Any]:
    """As the ledger gives it out."""
    found = dict(orjson.loads(b"{" + outcome.record))
    document = orjson.dumps(found | {"inputs": unpacked(found["inputs"])}, option=orjson.OPT_SERIALIZE_NUMPY)
    return dict(orjson.loads(document))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "data", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(
    tensor=st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("input-0") | JSON,
            "datatype": st.sampled_from(["FP32", "INT8", "BOOL", "BYTES"]) | JSON,
            "shape": st.just([1, 4]) | JSON,
            "data": st.lists(JSON, min_size=4, max_size=4) | JSON,
            "parameters": JSON,
        },
    ),
    asked=JSON,
)
def test_whatever_is_sent_is_answered_or_refused(iris_model: Model, tensor: Any, asked: Any) -> None:
    flowers = Inference(iris_model, Identity("default", "digits", "digits-v4", "pod"))
    dialect = V2(iris_model.manifest, version="digits-v4")
    good = v1(iris_model, ROWS[:1].tolist())

    sent = [request(dialect, {"inputs": [tensor], "outputs": asked}), v1(iris_model, asked), good]

    statuses = [outcome.status for outcome in flowers.process(sent).outcomes]
    assert set(statuses) <= {200, 400, 422}
    assert statuses[-1] == 200


def test_labels_and_probabilities_are_scikit_learns(
    flowers: Inference, iris_model: Model, iris: models.Artifact
) -> None:
    labels, probabilities = (
        orjson.loads(outcome.body)["outputs"][0]
        for outcome in flowers.process([v2(iris_model, ROWS), v2(iris_model, ROWS, "probabilities")]).outcomes
    )

    assert labels["data"] == iris.estimator.predict(ROWS.astype(np.float32)).tolist()
    assert labels["shape"] == [150]
    expected = iris.estimator.predict_proba(ROWS.astype(np.float32))
    np.testing.assert_allclose(np.reshape(probabilities["data"], probabilities["shape"]), expected, atol=1e-5)


def test_labels_may_be_strings(names: models.Artifact, identity: Identity) -> None:
    model = Model(artifact.load(names.folder, digest=names.digest))

    outcome = Inference(model, identity).process([v1(model, ROWS[:1].tolist())]).outcomes[0]

    assert orjson.loads(outcome.body) == {"predictions": ["setosa"]}


def test_a_regression_answers_in_the_shape_that_onnx_gives(prices: models.Artifact, identity: Identity) -> None:
    model = Model(artifact.load(prices.folder, digest=prices.digest))

    outcome = Inference(model, identity).process([v2(model, [[1.0], [2.0]])]).outcomes[0]

    output = orjson.loads(outcome.body)["outputs"][0]
    assert output["shape"] == [2, 1]
    np.testing.assert_allclose(output["data"], [4.0, 7.0], rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=12), data=st.data())
def test_answers_inside_a_batch_equal_those_alone(iris_model: Model, sizes: list[int], data: st.DataObject) -> None:
    flowers = Inference(iris_model, Identity("default", "digits", "digits-v4", "pod"))
    asked = st.lists(st.sampled_from(["output-0", "probabilities"]), max_size=2, unique=True)
    requests = [v2(iris_model, ROWS[start : start + size], *data.draw(asked)) for start, size in enumerate(sizes)]

    together = [orjson.loads(outcome.body)["outputs"] for outcome in flowers.process(requests).outcomes]

    assert together == [orjson.loads(flowers.process([alone]).outcomes[0].body)["outputs"] for alone in requests]


def test_rows_that_come_in_every_way_are_predicted_and_recorded_in_one_batch(
    flowers: Inference, iris_model: Model
) -> None:
    rows = np.round(ROWS[[0, 60, 120]] * 4).astype(np.float32) / 4  # the same in every notation
    sized = {"parameters": {"binary_data_size": rows.nbytes}}
    head = orjson.dumps({"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [3, 4], **sized}]})
    dialect = V2(iris_model.manifest, version="digits-v4")
    raw = Request(dialect, "digits", head + rows.tobytes(), len(head) + rows.nbytes, 0.0)
    raw.header_length = len(head)
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": rows[1].tolist()}
    named = dict(zip(iris_model.manifest.features, rows[2].tolist(), strict=True))
    requests = [
        v1(iris_model, rows[:1].tolist()),
        v1(iris_model, [named]),
        raw,
        v1(iris_model, rows.tolist()),
        v1(iris_model, []),
        request(dialect, {"inputs": [tensor]}),
        v2(iris_model, rows[1:]),
    ]

    found = [record(outcome) for outcome in flowers.process(requests).outcomes]

    asked = [rows[:1], rows[2:], rows, rows, rows[:0], rows[1:2], rows[1:]]
    assert [one["inputs"][0]["data"] for one in found] == [list(map(float, part.ravel())) for part in asked]
    assert [one["inputs"][0]["shape"] for one in found] == [list(part.shape) for part in asked]
    assert [one["outputs"][0]["data"] for one in found] == [[0], [2], [0, 1, 2], [0, 1, 2], [], [1], [1, 2]]


def test_a_request_that_cannot_be_read_fails_alone(flowers: Inference, iris_model: Model) -> None:
    good = v1(iris_model, ROWS[:1].tolist())
    bad = v1(iris_model, [["x", 1, 2, 3]])

    assert [outcome.status for outcome in flowers.process([good, bad, good]).outcomes] == [200, 400, 200]


def test_values_that_the_model_refuses_fail_alone(tables: Inference, flats_model: Model) -> None:
    good = v1(flats_model, [FLAT, FLAT])
    bad = v1(flats_model, [{**FLAT, "district": "atlantis"}])

    outcomes = tables.process([good, bad, good]).outcomes

    assert [outcome.status for outcome in outcomes] == [200, 400, 200]
    assert "the model cannot take these values" in orjson.loads(outcomes[1].body)["error"]
    assert outcomes[1].record == b""
    assert orjson.loads(outcomes[2].body) == orjson.loads(outcomes[0].body)


def test_no_rows_get_empty_answers_without_running_the_model(flowers: Inference, iris_model: Model) -> None:
    outcomes = flowers.process([v1(iris_model, []), v2(iris_model, np.empty((0, 4)), "probabilities")]).outcomes

    assert orjson.loads(outcomes[0].body) == {"predictions": []}
    assert orjson.loads(outcomes[1].body)["outputs"][0]["shape"] == [0, 3]


def test_a_record_says_what_the_model_saw_and_answered(flowers: Inference, iris_model: Model) -> None:
    sent = v2(iris_model, ROWS[:2], stamp="digits-v4;p=0.20;rev=k3x9", request_id="r-1", caller_id="mine")

    outcome = flowers.process([sent]).outcomes[0]

    found = record(outcome)
    assert found.pop("duration_us") > 0
    assert found == {
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v4",
        "pod": "digits-v4-predictor-abcde",
        "protocol": "v2",
        "rows": 2,
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [2, 4], "data": ROWS[:2].reshape(-1).tolist()}],
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [2], "data": [0, 0]}],
        "stamp": "digits-v4;p=0.20;rev=k3x9",
        "request_id": "r-1",
        "caller_id": "mine",
        "shadow": False,
    }


def test_a_record_begins_with_the_label_whatever_was_asked(flowers: Inference, iris_model: Model) -> None:
    outcome = flowers.process([v2(iris_model, ROWS[:1], "probabilities")]).outcomes[0]

    assert [output["name"] for output in record(outcome)["outputs"]] == ["output-0", "probabilities"]
    assert [output["name"] for output in orjson.loads(outcome.body)["outputs"]] == ["probabilities"]


def test_a_stamp_that_names_another_version_marks_a_shadow(flowers: Inference, iris_model: Model) -> None:
    stamps = ["digits-v3;p=0.80;rev=k3x9", "digits-v4;p=0.20;rev=k3x9", None]

    outcomes = flowers.process([v1(iris_model, ROWS[:1].tolist(), stamp=stamp) for stamp in stamps]).outcomes

    assert [record(outcome)["shadow"] for outcome in outcomes] == [True, False, False]


def test_the_id_in_a_v2_body_is_the_callers_or_else_the_predictions(flowers: Inference, iris_model: Model) -> None:
    dialect = V2(iris_model.manifest, version="digits-v4")
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROWS[0].tolist()}

    own, made = flowers.process(
        [request(dialect, {"inputs": [tensor], "id": "mine"}), request(dialect, {"inputs": [tensor]})]
    ).outcomes

    assert orjson.loads(own.body)["id"] == "mine"
    assert record(own)["caller_id"] == "mine"
    assert orjson.loads(made.body)["id"] == made.prediction_id
    assert len(made.prediction_id) == 32
    assert own.prediction_id != made.prediction_id


def test_a_record_names_a_sticky_user_by_a_digest_only(flowers: Inference, iris_model: Model) -> None:
    stamped = v2(iris_model, ROWS[:1], stamp="digits-v4;p=0.20;rev=k3x9;by=x-user", subject="0123456789abcdef")
    outcome = flowers.process([stamped]).outcomes[0]
    assert record(outcome)["subject"] == "0123456789abcdef"
