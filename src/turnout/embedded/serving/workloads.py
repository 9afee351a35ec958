"""What KServe makes of an InferenceService in Standard mode: one Deployment, one Service, two HTTPRoutes.

Pure functions: the same InferenceService and runtime give the same objects.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from turnout.embedded.serving import podspecs, runtimes, templates
from turnout.kube.inferenceservices import service_name

__all__ = [
    "LABEL",
    "SOURCE",
    "deployment",
    "domain_names",
    "fields_of",
    "isvc_of",
    "owner",
    "routes",
    "service",
    "short_hash",
    "storage_uri",
]

Object = dict[str, Any]

LABEL = "serving.kserve.io/inferenceservice"
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"

_NOT_PASSED_ON = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "modelFormat"})
_AUTOSCALER = "serving.kserve.io/autoscalerClass"
_GATEWAY = {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "name": "kserve-ingress-gateway",
    "namespace": "kserve",
}
_DEFAULT_TIMEOUT_S = 60
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those of Kubernetes' generated names: no vowels, no words


def isvc_of(workload: str) -> str:
    """The InferenceService that a Deployment, Service or HTTPRoute of this name would belong to."""
    return workload.removesuffix("-predictor")


def fields_of(isvc: Object) -> dict[str, Any]:
    """What templates of a runtime may use."""
    return templates.fields_of(isvc["metadata"])


def storage_uri(isvc: Object) -> str:
    """Where the model is; empty when the predictor brings it along."""
    predictor = isvc["spec"]["predictor"]
    return str(podspecs.model_of(predictor).get("storageUri") or "")


def owner(obj: Object) -> Object:
    """The reference by which an object is owned."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def short_hash(value: Any, *, length: int = 10) -> str:
    """A digest of some content in the letters of Kubernetes' generated names."""
    number = int.from_bytes(hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[index])
    return "".join(letters)


def deployment(isvc: Object, choice: runtimes.Choice | None) -> Object:
    """The Deployment of the predictor.

    Raises:
        SpecError: a template cannot be rendered.
    """
    name, predictor = isvc["metadata"]["name"], isvc["spec"]["predictor"]
    metadata = _metadata(isvc, choice)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "ownerReferences": [owner(isvc)]},
        "spec": {
            "replicas": _replicas(isvc),
            "selector": {"matchLabels": {"app": metadata["labels"]["app"]}},
            "template": {
                "metadata": metadata,
                "spec": podspecs.spec(predictor, choice, fields=fields_of(isvc), name=name),
            },
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    }


def service(isvc: Object, made: Object) -> Object:
    """The Service in front of a Deployment that `deployment` made."""
    metadata = made["metadata"]
    target = podspecs.port_of(made["spec"]["template"]["spec"]["containers"])
    port = {"protocol": "TCP", "port": 80, "targetPort": target["containerPort"]}
    # A port that the runtime did not declare gets the Service's name: seen on a cluster.
    name = target.get("name", "") if "protocol" in target else metadata["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "ownerReferences": [owner(isvc)]},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "127.0.0.1",
            "clusterIPs": ["127.0.0.1"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "selector": {"app": metadata["labels"]["app"]},
            "ports": [{"name": name, **port} if name else port],
        },
        "status": {"loadBalancer": {}},
    }


def domain_names(isvc: Object, domain: str) -> dict[str, str]:
    """Host names by the HTTPRoute that serves them."""
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    return {route: f"{route}-{namespace}.{domain}" for route in (name, service_name(name))}


def routes(isvc: Object, domain: str) -> list[Object]:
    """The HTTPRoutes of the two hosts; both lead to the predictor."""
    return [_route(isvc, name, host) for name, host in domain_names(isvc, domain).items()]


def _route(isvc: Object, name: str, host: str) -> Object:
    metadata = isvc["metadata"]
    timeout_s = isvc["spec"]["predictor"].get("timeout") or _DEFAULT_TIMEOUT_S
    headers = [
        {"name": "KServe-Isvc-Name", "value": metadata["name"]},
        {"name": "KServe-Isvc-Namespace", "value": metadata["namespace"]},
    ]
    backend = {
        "group": "",
        "kind": "Service",
        "name": service_name(metadata["name"]),
        "namespace": metadata["namespace"],
        "port": 80,
        "weight": 1,
    }
    labels = metadata.get("labels") or {}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            **({"labels": labels} if labels else {}),
            "annotations": _passed_on(metadata),
            "ownerReferences": [owner(isvc)],
        },
        "spec": {
            "parentRefs": [_GATEWAY],
            "hostnames": [host],
            "rules": [
                {
                    "matches": [{"path": {"type": "RegularExpression", "value": "^/.*$"}}],
                    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": headers}}],
                    "backendRefs": [backend],
                    "timeouts": {"request": f"{timeout_s}s"},
                }
            ],
        },
    }


def _metadata(isvc: Object, choice: runtimes.Choice | None) -> Object:
    """Labels and annotations as KServe passes them on: the predictor's over the service's over the runtime's."""
    metadata, predictor = isvc["metadata"], isvc["spec"]["predictor"]
    runtime = choice.runtime if choice is not None else {"metadata": {}, "spec": {}}
    name = service_name(metadata["name"])
    labels = {
        **(runtime["spec"].get("labels") or {}),
        **(metadata.get("labels") or {}),
        **(predictor.get("labels") or {}),
        "app": f"isvc.{name}",
        "component": "predictor",
        LABEL: metadata["name"],
    }
    uri = storage_uri(isvc)
    annotations = {
        **_command(runtime),
        **(runtime["spec"].get("annotations") or {}),
        **_passed_on(metadata),
        **(predictor.get("annotations") or {}),
        **({SOURCE: uri} if uri else {}),
    }
    return {"name": name, "namespace": metadata["namespace"], "labels": labels, "annotations": annotations}


def _command(runtime: Object) -> Object:
    """A runtime may carry its command in its own metadata, which KServe passes on to nobody."""
    found = runtimes.command_of(runtime["metadata"].get("annotations"))
    return {runtimes.COMMAND: found} if found else {}


def _passed_on(metadata: Object) -> Object:
    return {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _NOT_PASSED_ON}


def _replicas(isvc: Object) -> int:
    """`minReplicas`; an autoscaler, KServe's default, never goes to zero."""
    wanted = isvc["spec"]["predictor"].get("minReplicas")
    scaler = (isvc["metadata"].get("annotations") or {}).get(_AUTOSCALER, "hpa")
    if wanted is None:
        return 1
    return int(wanted) if scaler in ("none", "external") else max(1, int(wanted))
