"""KServe's own REST client is a user of this server, in both protocols and both encodings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.predictor import models
from tests.predictor.processes import Predictor

pytestmark = pytest.mark.e2e

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)


@pytest.fixture(scope="module")
def predictor(launch: Callable[..., Predictor], iris: models.Artifact) -> Predictor:
    return launch(iris)


def with_client(
    predictor: Predictor, protocol: str, story: Callable[[InferenceRESTClient, str], Awaitable[Any]]
) -> Any:
    async def run() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol=protocol))
        try:
            return await story(client, f"http://127.0.0.1:{predictor.port}")
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_it_predicts_in_v2(predictor: Predictor, iris: models.Artifact, binary_in: bool, binary_out: bool) -> None:
    tensor = InferInput("input-0", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary_in)
    outputs = [RequestedOutput("output-0", {"binary_data": binary_out}), RequestedOutput("probabilities")]
    request = InferRequest("digits", [tensor], request_id="mine", request_outputs=outputs)

    reply = with_client(predictor, "v2", lambda client, url: client.infer(url, request, model_name="digits"))

    labels, probabilities = reply.outputs
    assert labels.as_numpy().tolist() == iris.estimator.predict(ROWS).tolist()
    np.testing.assert_allclose(probabilities.as_numpy(), iris.estimator.predict_proba(ROWS), atol=1e-5)
    assert (reply.id, reply.model_name) == ("mine", "digits")


def test_it_predicts_in_v1(predictor: Predictor, iris: models.Artifact) -> None:
    request = {"instances": ROWS.tolist()}

    reply = with_client(predictor, "v1", lambda client, url: client.infer(url, request, model_name="digits"))

    assert reply == {"predictions": iris.estimator.predict(ROWS).tolist()}


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_it_finds_server_and_model_ready(predictor: Predictor, protocol: str) -> None:
    async def story(client: InferenceRESTClient, url: str) -> list[bool]:
        found = [await client.is_model_ready(url, "digits")]
        if protocol == "v2":
            found += [await client.is_server_ready(url), await client.is_server_live(url)]
        return found

    assert all(with_client(predictor, protocol, story))
