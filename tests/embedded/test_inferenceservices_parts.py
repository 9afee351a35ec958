"""Parts of an InferenceService that this engine does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.embedded.apiserver import inference_service
from turnout.embedded.serving.inferenceservices import InferenceServiceReconciler
from turnout.embedded.store import Store

PREDICTOR = {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://samples/iris"}}


@pytest.mark.parametrize(
    ("part", "spec"),
    [
        ("transformer", {"predictor": PREDICTOR, "transformer": {"containers": [{"name": "t", "image": "t"}]}}),
        ("explainer", {"predictor": PREDICTOR, "explainer": {"containers": [{"name": "e", "image": "e"}]}}),
        ("workerSpec", {"predictor": {**PREDICTOR, "workerSpec": {}}}),
    ],
)
def test_a_part_that_is_not_served_is_named_and_nothing_runs_without_it(
    tmp_path: Path, part: str, spec: dict[str, Any]
) -> None:
    store = Store(tmp_path / "store.db", durable=False)
    made = {**inference_service(), "spec": spec}
    store.create("InferenceService", {**made, "metadata": {**made["metadata"], "namespace": "default"}})
    InferenceServiceReconciler(store, domain="localhost").reconcile(("InferenceService", "default", "a"))
    status = store.get("InferenceService", "a", "default")["status"]
    found = next(entry for entry in status["conditions"] if entry["type"] == "PredictorReady")
    assert (found["status"], found["reason"]) == ("False", "ComponentNotSupported")
    assert found["message"].startswith(f"{part} is not served")
    assert store.list("Deployment") == []
    store.close()
