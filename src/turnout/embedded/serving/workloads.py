"""What KServe makes of an InferenceService in Standard mode: a Deployment and a Service per predictor, two HTTPRoutes.

Pure functions: the same InferenceService and runtime give the same objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from turnout.embedded.serving import podspecs, runtimes, templates
from turnout.embedded.serving.variants import Variant
from turnout.kube.inferenceservices import service_name

__all__ = [
    "ARGUMENTS",
    "LABEL",
    "SOURCE",
    "autoscaler",
    "deployment",
    "domain_names",
    "fields_of",
    "owner",
    "routes",
    "service",
    "short_hash",
    "storage_uri",
]

Object = dict[str, Any]

LABEL = "serving.kserve.io/inferenceservice"
ARGUMENTS = "turnout.dev/arguments"  # what a model appends to its runtime's command, as JSON
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"

_NOT_PASSED_ON = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "modelFormat"})
_GATEWAY = {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "name": "kserve-ingress-gateway",
    "namespace": "kserve",
}
_BEHAVIOR = {  # what Kubernetes fills in
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}
_DEFAULT_TIMEOUT_S = 60
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those of Kubernetes' generated names: no vowels, no words


def fields_of(isvc: Object) -> dict[str, Any]:
    """What templates of a runtime may use."""
    return templates.fields_of(isvc["metadata"])


def storage_uri(predictor: Object) -> str:
    """Where the model is; empty when the predictor brings it along."""
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


def deployment(isvc: Object, variant: Variant, choice: runtimes.Choice | None, *, replicas: int) -> Object:
    """The Deployment of a predictor.

    Raises:
        SpecError: a template cannot be rendered.
    """
    metadata, fields = _metadata(isvc, variant, choice), fields_of(isvc)
    arguments = podspecs.arguments(variant.predictor, fields=fields)
    # On the Deployment and not in its template, which looks as KServe's does.
    command_line = {ARGUMENTS: orjson.dumps(arguments).decode()} if arguments else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **metadata,
            "annotations": {**metadata["annotations"], **command_line},
            "ownerReferences": [owner(isvc)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": metadata["labels"]["app"]}},
            "template": {
                "metadata": metadata,
                "spec": podspecs.spec(variant.predictor, choice, fields=fields, name=isvc["metadata"]["name"]),
            },
            "strategy": _strategy(variant.predictor.get("deploymentStrategy") or {}),
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    }


def _strategy(wanted: Object) -> Object:
    """What a Deployment says of how it changes. Here every change is a rolling one, which Recreate asks less of."""
    if wanted.get("type") == "Recreate":
        return {"type": "Recreate"}
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%", **(wanted.get("rollingUpdate") or {})}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def service(isvc: Object, made: Object) -> Object:
    """The Service in front of a Deployment that `deployment` made."""
    metadata = made["spec"]["template"]["metadata"]
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


def autoscaler(isvc: Object, made: Object, *, most: int) -> Object:
    """The HorizontalPodAutoscaler that KServe's default class puts beside a Deployment.

    Load moves nothing here: there are as many processes as the least of it says.
    """
    least = made["spec"]["replicas"]
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {**made["spec"]["template"]["metadata"], "ownerReferences": [owner(isvc)]},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": made["metadata"]["name"]},
            "minReplicas": least,
            "maxReplicas": max(least, most),
            "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": _BEHAVIOR,
        },
        "status": {"currentReplicas": least, "desiredReplicas": least},
    }


def routes(isvc: Object, domain: str, weights: Mapping[str, int]) -> list[Object]:
    """The HTTPRoutes of the two hosts; both lead to the Services with these weights."""
    return [_route(isvc, name, host, weights) for name, host in domain_names(isvc, domain).items()]


def _route(isvc: Object, name: str, host: str, weights: Mapping[str, int]) -> Object:
    metadata = isvc["metadata"]
    timeout_s = isvc["spec"]["predictor"].get("timeout") or _DEFAULT_TIMEOUT_S
    headers = [
        {"name": "KServe-Isvc-Name", "value": metadata["name"]},
        {"name": "KServe-Isvc-Namespace", "value": metadata["namespace"]},
    ]
    backends = [
        {
            "group": "",
            "kind": "Service",
            "name": service,
            "namespace": metadata["namespace"],
            "port": 80,
            "weight": weight,
        }
        for service, weight in weights.items()
    ]
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
                    "backendRefs": backends,
                    "timeouts": {"request": f"{timeout_s}s"},
                }
            ],
        },
    }


def _metadata(isvc: Object, variant: Variant, choice: runtimes.Choice | None) -> Object:
    """Labels and annotations as KServe passes them on: the predictor's over the service's over the runtime's."""
    metadata, predictor = isvc["metadata"], variant.predictor
    runtime = choice.runtime if choice is not None else {"metadata": {}, "spec": {}}
    name = variant.workload
    labels = {
        **(runtime["spec"].get("labels") or {}),
        **(metadata.get("labels") or {}),
        **(predictor.get("labels") or {}),
        "app": f"isvc.{name}",
        "component": "predictor",
        LABEL: metadata["name"],
    }
    uri = storage_uri(predictor)
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
