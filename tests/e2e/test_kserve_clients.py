"""KServe's own clients, which nobody here wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Engine

pytestmark = pytest.mark.e2e


def test_kserve_client_creates_waits_for_and_deletes_an_inferenceservice(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kserve import KServeClient, V1beta1InferenceService, V1beta1ModelFormat, V1beta1ModelSpec
    from kserve import V1beta1InferenceServiceSpec as Spec
    from kserve import V1beta1PredictorSpec as Predictor
    from kubernetes import client

    kserve = KServeClient(config_file=str(engine.home / "kubeconfig"))
    model = V1beta1ModelSpec(
        model_format=V1beta1ModelFormat(name="onnx"), protocol_version="v2", storage_uri="pvc://samples/iris"
    )
    obj = V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=client.V1ObjectMeta(name="by-kserve", namespace="default"),
        spec=Spec(predictor=Predictor(model=model)),
    )
    kserve.create(obj)
    # The client sleeps for ten seconds before its first look; here, nobody has to.
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    kserve.wait_isvc_ready("by-kserve", namespace="default", timeout_seconds=2000, polling_interval=1)
    assert kserve.is_isvc_ready("by-kserve", namespace="default")
    monkeypatch.undo()
    kserve.delete("by-kserve", namespace="default")
    deadline = time.monotonic() + 20
    while any(o["metadata"]["name"] == "by-kserve" for o in engine.kube.list("InferenceService")):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


def test_the_inference_rest_client_gets_a_v2_answer_through_the_gateway(
    engine: Engine, sample: Callable[..., dict[str, Any]]
) -> None:
    from kserve import InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig

    sample("rest-v1")
    tensor = InferInput(name="input-0", shape=[1, 4], datatype="FP32", data=[[5.1, 3.5, 1.4, 0.2]])

    async def ask() -> Any:
        client = InferenceRESTClient(config=RESTConfig(protocol="v2", retries=0))
        return await client.infer(
            engine.addresses.gateway_url,
            InferRequest(model_name="rest-v1", infer_inputs=[tensor]),
            headers={"Host": "rest-v1-default.localhost"},
            model_name="rest-v1",
        )

    answer = asyncio.run(ask())
    assert answer.model_name == "rest-v1"
    assert answer.outputs[0].data == ["setosa"]
    engine.kube.delete("InferenceService", "rest-v1", namespace="default")
