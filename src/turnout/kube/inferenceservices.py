"""InferenceServices as Turnout makes and reads them: one per version, named after it, never edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnout.errors import SpecError

__all__ = [
    "COMMIT",
    "DIGEST",
    "ENDPOINT",
    "FRAMEWORKS",
    "RUN",
    "SNAPSHOT",
    "Version",
    "build",
    "condition",
    "is_ready",
    "service_name",
]

ENDPOINT = "turnout.dev/endpoint"
DIGEST = "turnout.dev/digest"
RUN = "turnout.dev/run"
SNAPSHOT = "turnout.dev/snapshot"
COMMIT = "turnout.dev/commit"

# The fields of a predictor that name a framework instead of a model with its format.
FRAMEWORKS = (
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)

# `{name}-predictor-{namespace}` is one DNS label of KServe's default host name and must fit in 63 characters.
_LONGEST_NAME_AND_NAMESPACE = 52

# KServe's name of the model format; the runtime that serves it is named after it.
_FORMATS = {"onnx": "onnx", "skops": "sklearn"}


@dataclass(frozen=True)
class Version:
    """What an InferenceService says about the version it serves."""

    name: str
    endpoint: str
    uri: str
    digest: str
    run: str = ""
    snapshot: str = ""
    commit: str = ""
    form: str = "onnx"
    """What its artifact holds to be served: onnx or skops."""


def service_name(version: str) -> str:
    """The Service that KServe puts in front of an InferenceService's predictor."""
    return f"{version}-predictor"


def build(version: Version, *, namespace: str, replicas: int = 1) -> dict[str, Any]:
    """The InferenceService of one version.

    Raises:
        SpecError: name and namespace are together too long for KServe's host names.
    """
    if len(version.name) + len(namespace) > _LONGEST_NAME_AND_NAMESPACE:
        raise SpecError(
            f"InferenceService {namespace}/{version.name}: name and namespace may have {_LONGEST_NAME_AND_NAMESPACE} "
            f"characters together, found {len(version.name) + len(namespace)}"
        )
    model_format = _FORMATS[version.form]
    lineage = {RUN: version.run, SNAPSHOT: version.snapshot, COMMIT: version.commit}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": version.name,
            "namespace": namespace,
            "labels": {ENDPOINT: version.endpoint},
            "annotations": {
                ENDPOINT: version.endpoint,
                DIGEST: version.digest,
                **{key: value for key, value in lineage.items() if value},
                "serving.kserve.io/deploymentMode": "Standard",
                # A fixed number of replicas: an autoscaler in the middle of a test would be a second change at once.
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": replicas,
                "model": {
                    "modelFormat": {"name": model_format},
                    "protocolVersion": "v2",
                    "runtime": f"turnout-{model_format}",
                    "storageUri": version.uri,
                },
            }
        },
    }


def condition(obj: dict[str, Any], name: str) -> dict[str, Any]:
    """One condition of an object's status; an empty one when the status does not have it."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == name), {})


def is_ready(obj: dict[str, Any]) -> bool:
    """Whether the object says Ready=True."""
    return condition(obj, "Ready").get("status") == "True"
