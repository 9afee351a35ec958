"""InferenceServices of the format sklearn, as KServe's own samples write them, on the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.e2e.conftest import Engine
from tests.steps.learning import numbers, spec_of, trained
from turnout.kube import inferenceservices
from turnout.kube.inferenceservices import Version
from turnout.steps import artifact
from turnout.steps.deploy import Gateway, smoke_question, smoke_test

pytestmark = pytest.mark.e2e

ROW = [5.1, 3.5, 1.4, 0.2]


def ask(engine: Engine, version: str, path: str, document: dict[str, Any]) -> Any:
    """A version's answer through the gateway, at its own host name."""
    host = f"{version}-default.{engine.addresses.domain}"
    transport = httpx.HTTPTransport(retries=3)
    with httpx.Client(base_url=engine.addresses.gateway_url, headers={"host": host}, transport=transport) as client:
        return client.post(path, json=document, timeout=20.0).raise_for_status().json()


def test_the_skops_sample_answers_v1_and_v2(engine: Engine) -> None:
    engine.run("kubectl", "apply", "-f", "kserve/samples/sklearn/")
    engine.run("kubectl", "wait", "--for=condition=Ready", "isvc/iris-sklearn", "--timeout=60s")
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}

    v2 = ask(engine, "iris-sklearn", "/v2/models/iris-sklearn/infer", {"inputs": [tensor]})
    assert (v2["model_version"], v2["outputs"][0]["data"]) == ("iris-sklearn", [0])
    assert ask(engine, "iris-sklearn", "/v1/models/iris-sklearn:predict", {"instances": [ROW]}) == {"predictions": [0]}
    engine.run("kubectl", "delete", "-f", "kserve/samples/sklearn/", "--timeout=60s")


def test_a_joblib_model_runs_only_where_its_inferenceservice_says_so(engine: Engine, tmp_path: Path) -> None:
    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), tmp_path / "model.joblib")
    # As in KServe's documentation: no runtime, no protocol, no annotation.
    sample = tmp_path / "sample.yaml"
    sample.write_text(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
        "metadata: {name: sklearn-iris, namespace: default}\n"
        f"spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: 'file://{tmp_path}'}}}}}}\n"
    )
    engine.run("kubectl", "apply", "-f", str(sample))
    assert "not loaded, because a .joblib file runs the code that is in it" in _failure(engine, "sklearn-iris")

    engine.run("kubectl", "annotate", "isvc", "sklearn-iris", "turnout.dev/allow-joblib=true")
    engine.run("kubectl", "wait", "--for=condition=Ready", "isvc/sklearn-iris", "--timeout=60s")
    assert ask(engine, "sklearn-iris", "/v1/models/sklearn-iris:predict", {"instances": [ROW]}) == {"predictions": [0]}
    engine.run("kubectl", "delete", "-f", str(sample), "--timeout=60s")


def test_a_candidate_without_onnx_becomes_a_version_that_is_served(engine: Engine, tmp_path: Path) -> None:
    nearest = {"name": "nearest", "estimator": "sklearn.neighbors.NearestCentroid"}
    spec = spec_of(nearest)
    found = trained(spec, tmp_path, numbers(), candidate="nearest")
    best = tmp_path / "nearest"
    version = Version(
        "nearest-v1", "nearest", best.as_uri(), found.digest, form=artifact.read(best, expected=found.digest).form
    )
    engine.kube.apply(inferenceservices.build(version, namespace="default"))
    engine.kube.wait("InferenceService", "nearest-v1", namespace="default", timeout_s=60.0)

    question = smoke_question(best, test=tmp_path / "test.parquet", spec=spec)
    gateway = Gateway(engine.addresses.gateway_url, engine.addresses.domain)
    smoke_test("nearest-v1", smoke=question, namespace="default", gateway=gateway)
    engine.kube.delete("InferenceService", "nearest-v1", namespace="default")


def _failure(engine: Engine, name: str) -> str:
    """Why the model is not served, once its process has failed."""
    path = "jsonpath={.status.modelStatus.lastFailureInfo}"
    engine.run("kubectl", "wait", f"isvc/{name}", f"--for={path}", "--timeout=60s")
    info: dict[str, str] = json.loads(engine.run("kubectl", "get", "isvc", name, "-o", path).stdout)
    return info["message"]
