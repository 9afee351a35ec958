"""KServe's webhooks: what they write into an InferenceService, and what they refuse, in their words.

The texts come from KServe 0.21 as it ran on a cluster. One of its answers is not copied: a predictor without any
implementation makes KServe's webhook panic (500); here it is refused like two implementations are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from turnout.embedded.api import predictors
from turnout.embedded.api.errors import ApiError, Cause, forbidden
from turnout.embedded.kinds import Kind
from turnout.kube.inferenceservices import FRAMEWORKS

__all__ = ["check_types", "default", "validate"]

Object = dict[str, Any]
_List = Callable[[str, str | None], Iterable[Object]]  # kind, namespace

_MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"
_LEGACY_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}
_AUTOSCALERS = ("hpa", "keda", "external", "none")
_IMPLEMENTATIONS = (
    "[Name, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, Paddle, Model, "
    "StorageUris, StorageContainerName, WorkerSpec, PodSpec]"
)
_INTEGERS = {
    "minReplicas": "int32",
    "maxReplicas": "int32",
    "scaleTarget": "int32",
    "containerConcurrency": "int64",
    "timeout": "int64",
    "canaryTrafficPercent": "int64",
}
_CONTAINER_LIMITS = {"cpu": "1", "memory": "2Gi"}
_DEFAULTER = "inferenceservice.kserve-webhook-server.defaulter"
_QUANTITY = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"


def check_types(kind: Kind, obj: Object, causes: Iterable[Cause]) -> None:
    """Refuse types that the defaulting webhook cannot read; it decodes into Go structs before the schema is looked at.

    Raises:
        ApiError: `causes`, the faults of the object, have such a type, or a quantity is none (400).
    """
    if kind.kind == "InferenceService" and not _has_quantities(obj.get("spec")):
        raise _unreadable(f"quantities must match the regular expression '{_QUANTITY}'")
    wrong = next((cause for cause in causes if cause.reason == "FieldValueTypeInvalid"), None)
    if kind.kind != "InferenceService" or wrong is None:
        return
    parent, _, field = wrong.field.rpartition(".")
    wanted, _, found = wrong.message.partition("must be of type ")[2].partition(": ")
    found = {"boolean": "bool", "integer": "number"}.get(found.strip('"'), found.strip('"'))
    if found == "number" and isinstance(value := _at(obj, wrong.field), float):
        found = f"number {value:g}"
    if parent == "spec.predictor" and field in _INTEGERS:
        path, wanted = f"PredictorSpec.{parent}.ComponentExtensionSpec.{field}", _INTEGERS[field]
    else:
        path = f"InferenceService.{wrong.field}"
    message = f"json: cannot unmarshal {found} into Go struct field {path} of type {wanted}"
    raise _unreadable(message)


def _unreadable(message: str) -> ApiError:
    """Go's own words, for which nobody has set a reason."""
    return ApiError(400, f'admission webhook "{_DEFAULTER}" denied the request: {message}')


def _at(value: Any, path: str) -> Any:
    """The value at a path like spec.predictor.scaleTarget; None for what is not there."""
    for step in re.findall(r"[^.\[\]]+", path):
        value = value.get(step) if isinstance(value, dict) else value[int(step)] if isinstance(value, list) else None
    return value


def _has_quantities(value: Any) -> bool:
    """Whether every amount in `limits` and `requests` is one."""
    if isinstance(value, list):
        return all(map(_has_quantities, value))
    if not isinstance(value, dict):
        return True
    amounts = [
        amount
        for kind in ("limits", "requests")
        if isinstance(resources := value.get("resources"), dict) and isinstance(resources.get(kind), dict)
        for amount in resources[kind].values()
    ]
    good = all(re.match(_QUANTITY, amount) for amount in amounts if isinstance(amount, str))
    return good and all(map(_has_quantities, value.values()))


def default(kind: Kind, obj: Object) -> Object:
    """An object of the right types as KServe's defaulting webhook leaves it."""
    if kind.kind != "InferenceService":
        return obj
    spec = obj.get("spec") or {}
    predictor = spec.get("predictor") or {}
    annotations = dict(obj["metadata"].get("annotations") or {})
    mode = annotations.get(_MODE, "Standard")
    annotations[_MODE] = _LEGACY_MODES.get(mode, mode)
    if mode != "ModelMesh":
        predictor = _with_defaults(_as_model(predictor))
        name = predictor.get("model", {}).get("modelFormat", {}).get("name")
        if name:
            annotations.setdefault("modelFormat", name)
    spec = {**spec, **({"predictor": predictor} if predictor else {})}
    if spec.get("canary"):
        spec["canary"] = [_canary_with_defaults(canary) for canary in spec["canary"]]
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}, "spec": spec}


def validate(kind: Kind, obj: Object, current: Object | None, *, others: _List) -> None:
    """Refuse what KServe's validating webhooks refuse; `others` lists the objects beside it.

    Raises:
        ApiError: it is refused (403).
    """
    if kind.kind == "InferenceService":
        message = _inference_service_fault(obj, current)
        if message:
            raise _denied("inferenceservice.kserve-webhook-server.validator", message)
    elif kind.kind in ("ServingRuntime", "ClusterServingRuntime"):
        message = _runtime_fault(kind, obj, others(kind.kind, obj["metadata"].get("namespace")))
        if message:
            raise _denied(f"{kind.singular}.kserve-webhook-server.validator", message)


def _denied(webhook: str, message: str) -> ApiError:
    return forbidden(f'admission webhook "{webhook}" denied the request: {message}')


# Defaults


def _as_model(predictor: Object) -> Object:
    """`sklearn: {...}` is an old way to write `model: {modelFormat: {name: sklearn}, ...}`; it wins over a model."""
    found = [name for name in FRAMEWORKS if name in predictor]
    if len(found) != 1:
        return predictor
    framework = found[0]
    model = {"modelFormat": {"name": framework}, **(predictor[framework] or {})}
    if framework == "triton":
        model.setdefault("protocolVersion", "v2")
    return {**{key: value for key, value in predictor.items() if key != framework}, "model": model}


def _with_defaults(predictor: Object) -> Object:
    if "model" in predictor:
        model_format = {"name": "", **(predictor["model"].get("modelFormat") or {})}
        model = {"name": "", "resources": {}, **predictor["model"], "modelFormat": model_format}
        return {**predictor, "model": model}
    if predictor.get("containers"):
        first, *rest = predictor["containers"]
        resources = first.get("resources") or {}
        filled = {key: {**_CONTAINER_LIMITS, **(resources.get(key) or {})} for key in ("limits", "requests")}
        return {**predictor, "containers": [{**first, "resources": {**resources, **filled}}, *rest]}
    return predictor


def _canary_with_defaults(canary: Object) -> Object:
    predictor = canary.get("predictor") or {}
    if "model" in predictor:
        predictor = _with_defaults(predictor)
    return {"trafficPercent": 0, **canary, "predictor": predictor}


# Refusals; each function returns the first fault, or an empty text


def _inference_service_fault(obj: Object, current: Object | None) -> str:
    predictor = obj["spec"]["predictor"]
    canaries = obj["spec"].get("canary") or []
    annotations = obj["metadata"].get("annotations") or {}
    checks: tuple[Callable[[], str], ...] = (
        lambda: _name_fault(obj["metadata"]["name"]),
        lambda: _autoscaler_fault(annotations),
        lambda: _update_fault(obj, current),
        lambda: _implementation_fault(predictor),
        lambda: predictors.fault(
            obj["metadata"]["name"],
            predictor,
            mode=annotations.get(_MODE, "Standard"),
            autoscaler=annotations.get(_AUTOSCALER, ""),
        ),
        lambda: _transformer_fault(obj["spec"]),
        lambda: _canary_fault(obj, canaries) if canaries else "",
    )
    return next((fault for check in checks if (fault := check())), "")


def _name_fault(name: str) -> str:
    if re.fullmatch(_NAME, name):
        return ""
    return (
        f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case alphanumeric '
        'characters or \'-\', and must start with alphabetical character. (e.g. "my-name" or "abc-123", regex used for '
        f"validation is '{_NAME}')"
    )


def _autoscaler_fault(annotations: Object) -> str:
    name = annotations.get(_AUTOSCALER)
    return "" if name is None or name in _AUTOSCALERS else f"[{name}] is not a supported autoscaler class type"


def _update_fault(obj: Object, current: Object | None) -> str:
    if current is None:
        return ""
    before = (current.get("status") or {}).get("deploymentMode")
    after = (obj["metadata"].get("annotations") or {}).get(_MODE)
    if before and after and before != after:
        return f"update rejected: deploymentMode cannot be changed from '{before}' to '{after}'"
    old, new = current["spec"]["predictor"], obj["spec"]["predictor"]
    if old.get("name") != new.get("name") and _storage_uri(old) == _storage_uri(new):
        return "predictor.name change requires a model change (e.g. storageUri)"
    return ""


def _storage_uri(predictor: Object) -> str:
    return str((predictor.get("model") or {}).get("storageUri") or "")


def _implementation_fault(predictor: Object) -> str:
    if _implementations(predictor) != 1:
        return f"exactly one of {_IMPLEMENTATIONS} must be specified in PredictorSpec"
    return ""


def _implementations(predictor: Object) -> int:
    return sum(1 for name in (*FRAMEWORKS, "model", "containers") if predictor.get(name) not in (None, []))


def _transformer_fault(spec: Object) -> str:
    if spec.get("transformer") == {}:
        return "exactly one of [PodSpec, ComponentExtensionSpec] must be specified in TransformerSpec"
    return ""


def _canary_fault(obj: Object, canaries: list[Object]) -> str:
    predictor = obj["spec"]["predictor"]
    if (obj["metadata"].get("annotations") or {}).get(_MODE) != "Standard":
        return "canary is only supported in Standard deployment mode"
    if "model" not in predictor:
        return "canary requires a stable predictor with a model (multi-model serving is not supported with canary)"
    seen: set[str] = set()
    for index, canary in enumerate(canaries):
        fault = _one_canary_fault(index, canary, stable=predictor, seen=seen)
        if fault:
            return fault
    total = sum(canary["trafficPercent"] for canary in canaries)
    return f"sum of canary trafficPercent values ({total}) must be <= 100" if total > 100 else ""


def _one_canary_fault(index: int, canary: Object, *, stable: Object, seen: set[str]) -> str:
    predictor = canary["predictor"]
    name, least = predictor.get("name") or "", predictor.get("minReplicas")
    if not name:
        return f"canary[{index}] predictor.name is required"
    if name in seen:
        return f'canary predictor.name "{name}" is duplicated'
    seen.add(name)
    if name == stable.get("name"):
        return f'canary predictor.name "{name}" conflicts with stable predictor name'
    if _implementations(predictor) != 1:
        return f'canary "{name}" predictor: exactly one of {_IMPLEMENTATIONS} must be specified in PredictorSpec'
    if fault := predictors.number_fault(predictor):
        return f'canary "{name}" predictor: {fault}'
    for field in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"):
        if predictor.get(field):
            return f'canary "{name}" must not set {field} (canary uses fixed replicas)'
    if "workerSpec" in predictor:
        return f'canary "{name}" must not set workerSpec (multi-node is not yet supported for canary)'
    most = 1 if stable.get("minReplicas") is None else stable["minReplicas"]
    if least is not None and least > most:
        return f'canary "{name}" minReplicas ({least}) must not exceed stable predictor minReplicas ({most})'
    return ""


def _runtime_fault(kind: Kind, obj: Object, others: Iterable[Object]) -> str:
    """Two runtimes of one priority for one format would make the choice between them random."""
    name, spec = obj["metadata"]["name"], obj["spec"]
    if spec.get("disabled"):
        return ""
    formats = _selectable(spec)
    priorities: dict[str, int] = {}
    for entry in formats:
        if priorities.setdefault(entry["name"], entry["priority"]) != entry["priority"]:
            return (
                f"different priorities assigned for the model format {entry['name']} under the {kind.singular} {name}"
            )
    for other in others:
        if (
            other["metadata"]["name"] == name
            or other["spec"].get("disabled")
            or not _share_protocol(spec, other["spec"])
        ):
            continue
        for entry in formats:
            if any(_same_claim(entry, claim) for claim in _selectable(other["spec"])):
                where = f" in namespace {obj['metadata']['namespace']}" if kind.namespaced else ""
                return (
                    f"same priority assigned for the model format {entry['name']} in the {kind.plural} "
                    f"{other['metadata']['name']} and {name}{where}"
                )
    return ""


def _selectable(spec: Object) -> list[Object]:
    return [
        entry for entry in spec.get("supportedModelFormats") or () if entry.get("autoSelect") and "priority" in entry
    ]


def _share_protocol(one: Object, other: Object) -> bool:
    return bool(set(one.get("protocolVersions") or ()) & set(other.get("protocolVersions") or ()))


def _same_claim(one: Object, other: Object) -> bool:
    return all(one.get(key) == other.get(key) for key in ("name", "version", "priority"))
