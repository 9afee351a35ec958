"""What KServe's validating webhook refuses in a predictor's own fields, in its words and its order. Pure.

Each function returns the first fault, or an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

__all__ = ["fault", "number_fault"]

Object = dict[str, Any]

_BLOCKED_VARIABLES = frozenset({"PYTHONPATH"})
_STORAGE_SPEC_PREFIXES = ("s3://", "hdfs://", "webhdfs://")
_PERCENTAGE = "the target utilization percentage should be a [1-100] integer"
_NO_RESOURCE = "metricSpec.Resource is not set for resource metric source type"


def fault(name: str, predictor: Object, *, mode: str, autoscaler: str) -> str:
    """The first fault of an InferenceService's predictor; `mode` and `autoscaler` are its annotations."""
    checks = (
        _variable_fault(name, predictor),
        _storage_uris_fault(predictor),
        _storage_fault(predictor.get("model") or {}),
        number_fault(predictor),
        _logger_fault(predictor.get("logger")),
        _scaling_fault(predictor, mode=mode, autoscaler=autoscaler),
        _worker_fault(name, predictor),
    )
    return next((found for found in checks if found), "")


def _variable_fault(name: str, predictor: Object) -> str:
    for container in _containers(predictor):
        for entry in container.get("env") or ():
            if entry.get("name") in _BLOCKED_VARIABLES:
                return (
                    f'the InferenceService "{name}" is invalid: setting {entry["name"]} in container '
                    f'"{container.get("name", "")}" is not allowed for security reasons'
                )
    return ""


def _containers(predictor: Object) -> Iterator[Object]:
    yield from predictor.get("containers") or ()
    yield from predictor.get("initContainers") or ()
    if "model" in predictor:
        yield predictor["model"]


def _storage_uris_fault(predictor: Object) -> str:
    model, several = predictor.get("model") or {}, predictor.get("storageUris") or []
    if model.get("name"):
        return "the 'name' field is not allowed in standard predictor"
    if "storageUri" in model and "storageUris" in predictor:
        return "Setting both StorageURI and StorageURIs is not supported."
    if found := next((text for entry in several if (text := _storage_path_fault(entry))), ""):
        return found
    paths = [str(entry["mountPath"]) for entry in several if not str(entry["uri"]).startswith("pvc://")]
    volumes = [str(entry["mountPath"]) for entry in several if str(entry["uri"]).startswith("pvc://")]
    if len(paths) < 2:
        return ""
    if len(set(volumes)) < len(volumes):
        return "PVC storage paths must be unique"
    if len({PurePosixPath(path).parts[1] for path in paths}) > 1:
        shown = " ".join(paths)
        return (
            "storage paths must have a common parent directory. "
            f"Current paths: [{shown}] have no common parent beyond root"
        )
    return ""


def _storage_path_fault(entry: Object) -> str:
    path = str(entry.get("mountPath") or "")
    faults = (
        (not entry.get("uri"), "storage URI cannot be empty"),
        (path == "/", "storage path cannot be empty"),
        (not path.startswith("/"), f"storage path must be absolute: {path}"),
        (".." in path, f"storage path cannot contain '..' for security reasons: {path}"),
    )
    return next((message for broken, message in faults if broken), "")


def _storage_fault(model: Object) -> str:
    """`storage` beside a `storageUri` needs an object store or HDFS; a storageUri alone is not looked at."""
    storage, uri = model.get("storage"), model.get("storageUri")
    if storage is None:
        return ""
    known = ", ".join(_STORAGE_SPEC_PREFIXES)
    if uri is not None:
        if str(uri).startswith(_STORAGE_SPEC_PREFIXES):
            return ""
        return (
            f"storageUri, must be one of: [{known}] or match https://{{}}.blob.core.windows.net/{{}}/{{}} or be an "
            f"absolute or relative local path. StorageUri [{uri}] is not supported"
        )
    kind = (storage.get("parameters") or {}).get("type")
    if kind is None or f"{kind}://" in _STORAGE_SPEC_PREFIXES:
        return ""
    return f"storage.spec.type, must be one of: [{known}]. storage.spec.type [{kind}] is not supported"


def _worker_fault(name: str, predictor: Object) -> str:
    if "workerSpec" not in predictor:
        return ""
    scheme = str((predictor.get("model") or {}).get("storageUri") or "").partition("://")[0]
    if scheme in ("pvc", "oci"):
        return ""
    known = f"Multinode only supports 'pvc' and 'oci' Storage Protocol({scheme})"
    return f'the InferenceService "{name}" is invalid: {known}'


def number_fault(predictor: Object) -> str:
    """What is wrong with how many there are to be."""
    least, most = predictor.get("minReplicas"), predictor.get("maxReplicas") or 0
    faults = (
        ((predictor.get("containerConcurrency") or 0) < 0, "parallelism cannot be less than 0"),
        (least is not None and least < 0, "'MinReplicas' cannot be less than 0"),
        (most < 0, "'MaxReplicas' cannot be less than 0"),
        (least is not None and most != 0 and least > most, "'MinReplicas' cannot be greater than MaxReplicas"),
    )
    return next((message for broken, message in faults if broken), "")


def _logger_fault(logger: Object | None) -> str:
    if logger is None:
        return ""
    if logger.get("mode") not in ("all", "request", "response"):
        return "invalid logger type"
    storage = logger.get("storage")
    if storage is not None and not all(storage.get(key) for key in ("path", "parameters", "key")):
        return "invalid logger storage configuration"
    return ""


def _scaling_fault(predictor: Object, *, mode: str, autoscaler: str) -> str:
    if mode != "Standard":
        return _knative_fault(predictor)
    if autoscaler == "hpa":
        return _hpa_fault(predictor)
    if autoscaler == "keda" and "scaleMetric" in predictor:
        return "ScaleMetric is not supported for KEDA"
    return ""


def _hpa_fault(predictor: Object) -> str:
    metric, target = predictor.get("scaleMetric", "cpu"), predictor.get("scaleTarget")
    if metric not in ("cpu", "memory"):
        return f"[{metric}] is not a supported metric"
    if target is not None:
        if (metric == "cpu" and target < 1) or target > 100:
            return _PERCENTAGE
        if metric == "memory" and target < 1:
            return "the target memory should be greater than 1 MiB"
    for entry in (predictor.get("autoScaling") or {}).get("metrics") or ():
        if entry.get("type") != "Resource":
            text = f"invalid HPA metric source type with value [{entry.get('type', '')}]"
            return f"{text},valid metric source types are Resource"
        if "resource" not in entry:
            return _NO_RESOURCE
    return ""


def _knative_fault(predictor: Object) -> str:
    metric, target = predictor.get("scaleMetric", "concurrency"), predictor.get("scaleTarget")
    if "deploymentStrategy" in predictor:
        return "customizing deploymentStrategy is only supported for raw deployment mode"
    if metric not in ("concurrency", "rps"):
        return f"[{metric}] is not a supported metric"
    return "the target for rps should be greater than 1" if metric == "rps" and (target or 1) < 1 else ""
