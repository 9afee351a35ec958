"""The objects of the story: two versions behind one endpoint, a service with KServe's canary, and passers-by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.embedded import running
from tests.embedded.running import backend, http_route

__all__ = ["ECHO", "ENDPOINT", "ONNX", "Model", "inference_service", "route", "targets"]

Object = dict[str, Any]

ENDPOINT = "chaos.test"
CANARY_HOST = "fig-default.localhost"
# A machine that is shared stands still for half a minute now and then: a request that was under way then is slow, which
# shows in the figures, and not lost.
PATIENCE_S = 120


@dataclass(frozen=True)
class Model:
    """What every version serves, and a request that it answers. `{name}` in the path is the InferenceService's."""

    fields: Mapping[str, Any]
    path: str
    body: str
    annotations: Mapping[str, str] = field(default_factory=dict)


ECHO = Model({"modelFormat": {"name": "echo"}}, path="/v2/models/{name}/infer", body="{}")
ONNX = Model(
    {"modelFormat": {"name": "onnx"}, "protocolVersion": "v2", "runtime": "turnout-onnx"},
    path="/v2/models/{name}/infer",
    body=json.dumps(
        {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
    ),
    annotations={"turnout.dev/endpoint": "chaos"},
)


def inference_service(name: str, uri: str, model: Model, *, replicas: int) -> Object:
    """One version."""
    found = running.inference_service(name, uri, replicas=replicas)
    found["spec"]["predictor"]["model"] = {**model.fields, "storageUri": uri}
    found["spec"]["predictor"]["timeout"] = PATIENCE_S
    found["metadata"]["annotations"] |= dict(model.annotations)
    return found


def route(weights: Mapping[str, int]) -> Object:
    """The endpoint, shaped as the controller shapes it: a filter on every backend from the first day."""
    references = [backend(name, weight) for name, weight in weights.items()]
    return http_route("chaos", ENDPOINT, {"backendRefs": references, "timeouts": {"request": f"{PATIENCE_S}s"}})


def targets(model: Model) -> list[dict[str, str]]:
    """What the load asks for."""
    names = {ENDPOINT: "chaos", CANARY_HOST: "fig"}
    return [
        {"host": host, "path": model.path.replace("{name}", name), "body": model.body} for host, name in names.items()
    ]
