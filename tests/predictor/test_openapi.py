"""What the server says about itself is true: every path of its OpenAPI answers, and the examples fit the schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import orjson
import pytest

from tests.predictor import models
from tests.predictor.desks import served
from tests.predictor.processes import Predictor
from tests.predictor.wires import Batching
from turnout.predictor import openapi
from turnout.predictor.model import Model

ROW = [5.1, 3.5, 1.4, 0.2]
TENSOR = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}


def document(model: Model) -> Any:
    return orjson.loads(openapi.document([served(model, Batching())]))


def body_schema(model: Model, path: str) -> Any:
    return document(model)["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


@pytest.mark.e2e
def test_every_readable_path_of_the_document_answers(launch: Callable[..., Predictor], iris: models.Artifact) -> None:
    predictor = launch(iris)
    paths = predictor.get("/openapi.json").json["paths"]
    assert len(paths) > 20

    for path, operations in paths.items():
        for method in operations:
            reply = predictor.call(method.upper(), path, b"{}" if method == "post" else b"")

            assert reply.status in {200, *(int(code) for code in operations[method]["responses"])}, path
            assert reply.status not in {404, 405, 500}, path


def test_requests_that_are_answered_fit_the_schema(iris_model: Model) -> None:
    v1 = body_schema(iris_model, "/v1/models/digits:predict")
    v2 = body_schema(iris_model, "/v2/models/digits/infer")
    by_name = dict(zip(iris_model.manifest.features, ROW, strict=True))

    jsonschema_rs.validate(v1, {"instances": [ROW, by_name, [None, *ROW[1:]]]})
    jsonschema_rs.validate(v2, {"inputs": [TENSOR], "outputs": [{"name": "probabilities"}]})


def test_requests_that_are_refused_do_not_fit_the_schema(iris_model: Model, flats_model: Model) -> None:
    v1 = body_schema(iris_model, "/v1/models/digits:predict")
    tables = body_schema(flats_model, "/v1/models/digits:predict")
    v2 = body_schema(iris_model, "/v2/models/digits/infer")

    for wrong, schema in [
        ({}, v1),
        ({"instances": [ROW[1:]]}, v1),
        ({"instances": [["x", *ROW[1:]]]}, v1),
        ({"instances": [[1.0, 2, "east"]]}, tables),
        ({"instances": [{"area": 1.0, "rooms": 2.5, "district": "east"}]}, tables),
        ({"inputs": [{**TENSOR, "name": "x"}]}, v2),
        ({"inputs": [TENSOR], "outputs": [{"name": "x"}]}, v2),
    ]:
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema, wrong)
