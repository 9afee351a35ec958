"""The pod that serves a model: KServe's merge of runtime and predictor, with the defaults that a cluster adds."""

from __future__ import annotations

from typing import Any

from turnout.embedded.serving import runtimes, templates
from turnout.errors import SpecError
from turnout.kube.inferenceservices import FRAMEWORKS

__all__ = ["CONTAINER", "arguments", "is_custom", "model_of", "port_of", "spec"]

Object = dict[str, Any]

CONTAINER = "kserve-container"

_NOT_OF_THE_CONTAINER = frozenset(
    {"modelFormat", "storage", "storageUri", "storageUris", "runtime", "runtimeVersion", "protocolVersion", "name"}
)
_NOT_OF_THE_POD = frozenset(
    {
        *FRAMEWORKS,
        *("model", "name", "containers", "labels", "annotations", "minReplicas", "maxReplicas", "scaleTarget"),
        *("scaleMetric", "autoScaling", "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher"),
        *("deploymentStrategy", "workerSpec", "storageUris"),
    }
)
_POD_FIELDS_OF_A_RUNTIME = ("affinity", "hostIPC", "imagePullSecrets", "nodeSelector", "tolerations", "volumes")
_POD_DEFAULTS: Object = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_CUSTOM_RESOURCES = {"cpu": "1", "memory": "2Gi"}
_DEFAULT_PORT = 8080


def model_of(predictor: Object) -> Object:
    """The predictor's `model` block; a framework's block (`sklearn: {...}`) is one with its format implied."""
    if "model" in predictor:
        return dict(predictor["model"])
    framework = next((name for name in FRAMEWORKS if predictor.get(name) is not None), None)
    return {} if framework is None else {"modelFormat": {"name": framework}, **predictor[framework]}


def is_custom(predictor: Object) -> bool:
    """Whether the predictor brings its own container and needs no runtime."""
    return bool(predictor.get("containers")) and not model_of(predictor)


def spec(predictor: Object, choice: runtimes.Choice | None, *, fields: templates.Fields, name: str) -> Object:
    """The pod spec; `name` is the InferenceService's.

    Raises:
        SpecError: a template in the runtime or the model cannot be rendered.
    """
    runtime = choice.runtime["spec"] if choice is not None else {}
    own = {key: value for key, value in predictor.items() if key not in _NOT_OF_THE_POD}
    inherited = {key: runtime[key] for key in _POD_FIELDS_OF_A_RUNTIME if key in runtime}
    if choice is None:
        containers = [_custom(container) for container in predictor["containers"]]
    else:
        containers = _merged(runtime.get("containers") or [], model_of(predictor))
        containers = [_rendered(container, fields, runtime=choice.name) for container in containers]
    variable = {"name": "INFERENCE_SERVICE_NAME", "value": name}
    containers = [{**container, "env": [*container.get("env", ()), variable]} for container in containers]
    main = port_of(containers)
    return {
        **_POD_DEFAULTS,
        **inherited,
        **own,
        "containers": [_with_defaults(container, probe_port=main["containerPort"]) for container in containers],
    }


def arguments(predictor: Object, *, fields: templates.Fields) -> list[str]:
    """What the model appends to its runtime's command."""
    found: list[str] = templates.render_all(list(model_of(predictor).get("args") or ()), fields)
    return found


def port_of(containers: list[Object]) -> Object:
    """The port that the Service leads to: the first one of the serving container, else 8080 without a name."""
    serving = next((container for container in containers if container.get("name") == CONTAINER), containers[0])
    return next(iter(serving.get("ports") or ()), {"containerPort": _DEFAULT_PORT})


def _merged(containers: list[Object], model: Object) -> list[Object]:
    """The runtime's containers, the serving one overlaid with the model's fields."""
    overlay = {key: value for key, value in model.items() if key not in _NOT_OF_THE_CONTAINER}
    return [
        _overlaid(container, overlay) if container.get("name") == CONTAINER else container for container in containers
    ]


def _overlaid(container: Object, overlay: Object) -> Object:
    merged = {**container, **overlay}
    if args := [*container.get("args", ()), *overlay.get("args", ())]:
        merged["args"] = args
    overridden = {entry["name"] for entry in overlay.get("env") or ()}
    kept = [entry for entry in container.get("env") or () if entry["name"] not in overridden]
    if env := [*(overlay.get("env") or ()), *kept]:
        merged["env"] = env
    resources = (container.get("resources") or {}, overlay.get("resources") or {})
    kinds = dict.fromkeys([*resources[0], *resources[1]])
    merged["resources"] = {kind: {**resources[0].get(kind, {}), **resources[1].get(kind, {})} for kind in kinds}
    return merged


def _rendered(container: Object, fields: templates.Fields, *, runtime: str) -> Object:
    try:
        # KServe renders a container as JSON, where quotes have backslashes, which its templates do not understand.
        rendered: Object = templates.render_all(container, fields, quotes="`")
    except SpecError as error:
        raise SpecError(
            f"failed to replace placeholders in serving runtime {runtime} Container {container['name']}"
        ) from error
    return rendered


def _custom(container: Object) -> Object:
    resources = container.get("resources") or {}
    defaults = {kind: {**_CUSTOM_RESOURCES, **resources.get(kind, {})} for kind in ("limits", "requests")}
    return {**container, "resources": {**resources, **defaults}}


def _with_defaults(container: Object, *, probe_port: int) -> Object:
    policy = "Always" if container.get("image", "").endswith(":latest") else "IfNotPresent"
    full = {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": policy,
        "resources": {},
        **container,
    }
    probe = full.get("readinessProbe") or {"tcpSocket": {"port": probe_port}}
    if full.get("name") == CONTAINER:
        full["readinessProbe"] = _probe_with_defaults(probe)
    for other in ("livenessProbe", "startupProbe"):
        if other in full:
            full[other] = _probe_with_defaults(full[other])
    if "ports" in full:
        full["ports"] = [{"protocol": "TCP", **port} for port in full["ports"]]
    return full


def _probe_with_defaults(probe: Object) -> Object:
    full = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3, **probe}
    if "httpGet" in full:
        full["httpGet"] = {"scheme": "HTTP", **full["httpGet"]}
    return full
