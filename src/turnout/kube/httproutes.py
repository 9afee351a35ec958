"""The HTTPRoute that a Turnout owns.

Its shape never changes while it lives, only weights do (seen on a real gateway: other changes cost requests): filters
on every backendRef from the first day, the main rule first, header rules behind it. The filter makes the gateway draw
each request at random instead of dealing them out in turn, and carries the truth along: the version, its probability
and the revision of the weights, written in the same object as the weight itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.kube.inferenceservices import service_name

__all__ = [
    "ASSIGNED",
    "BLIND",
    "FORCED",
    "GATEWAY",
    "REV",
    "ManagedRoute",
    "backend",
    "build",
    "mirrors",
    "named",
    "owner",
    "policy",
    "route_name",
    "stamp",
]

ASSIGNED = "x-turnout-assigned"
FORCED = "x-turnout-version"
REV = "turnout.dev/rev"
BLIND = "turnout.dev/blind"  # when and why a controller went back to the champion without the ledger

GATEWAY = {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "name": "kserve-ingress-gateway",
    "namespace": "kserve",
}


@dataclass(frozen=True)
class ManagedRoute:
    """What the controller wants of a Turnout's route.

    `weights` are percents that sum to 100; `shadows` get copies; `sticky` names the header of sticky users, if any.
    """

    turnout: str
    namespace: str
    uid: str
    host: str
    rev: str
    weights: Mapping[str, int]
    forced: Sequence[str] = ()
    shadows: Sequence[str] = ()
    sticky: str = ""


def route_name(turnout: str) -> str:
    """Not the Turnout's own name: KServe makes an HTTPRoute `{name}` for an InferenceService of that name."""
    return f"{turnout}-turnout"


def stamp(version: str, *, weight: int, total: int, rev: str, sticky: str = "") -> str:
    """What a request carries about its assignment, e.g. `digits-v4;p=0.2;rev=k3x9`.

    For sticky users also the header that names them: `;by=x-user` tells the predictor whose unit the request is.
    """
    return f"{version};p={weight / total:.6g};rev={rev}" + (f";by={sticky.lower()}" if sticky else "")


def build(route: ManagedRoute) -> dict[str, Any]:
    """The HTTPRoute object."""
    total = sum(route.weights.values())
    rules: list[dict[str, Any]] = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [
                {"type": "RequestMirror", "requestMirror": {"backendRef": backend(version)}}
                for version in route.shadows
            ],
            "backendRefs": [_weighted(route, version, weight, total) for version, weight in route.weights.items()],
        }
    ]
    rules += [_forced_rule(version) for version in route.forced]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": route_name(route.turnout),
            "namespace": route.namespace,
            "annotations": {REV: route.rev},
            "ownerReferences": [owner(route.turnout, route.uid)],
        },
        "spec": {"parentRefs": [GATEWAY], "hostnames": [route.host], "rules": rules},
    }


def owner(turnout: str, uid: str) -> dict[str, Any]:
    """What makes an object go with its Turnout."""
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "Turnout",
        "name": turnout,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def mirrors(route: Mapping[str, Any]) -> tuple[str, ...]:
    """The versions that a route sends copies to."""
    filters = [entry for rule in route["spec"].get("rules") or () for entry in rule.get("filters") or ()]
    services = [entry["requestMirror"]["backendRef"]["name"] for entry in filters if "requestMirror" in entry]
    return tuple(name.removesuffix(service_name("")) for name in services)


def named(route: Mapping[str, Any]) -> frozenset[str]:
    """Every version that a route refers to, for whatever."""
    backends = [entry for rule in route["spec"].get("rules") or () for entry in rule.get("backendRefs") or ()]
    return frozenset({*mirrors(route), *(entry["name"].removesuffix(service_name("")) for entry in backends)})


def policy(routes: Sequence[str], *, namespace: str, owned_by: Mapping[str, Any], header: str) -> dict[str, Any]:
    """Envoy Gateway's policy that keeps users on their version; with filters on the backendRefs the weights hold.

    It has the name of the first route.
    """
    group = "gateway.networking.k8s.io"
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": routes[0], "namespace": namespace, "ownerReferences": [dict(owned_by)]},
        "spec": {
            "targetRefs": [{"group": group, "kind": "HTTPRoute", "name": name} for name in routes],
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {"type": "Header", "header": {"name": header}},
            },
        },
    }


def _weighted(route: ManagedRoute, version: str, weight: int, total: int) -> dict[str, Any]:
    value = stamp(version, weight=weight, total=total, rev=route.rev, sticky=route.sticky)
    return {
        **backend(version),
        "weight": weight,
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": ASSIGNED, "value": value}]}}
        ],
    }


def _forced_rule(version: str) -> dict[str, Any]:
    return {
        "matches": [
            {
                "path": {"type": "PathPrefix", "value": "/"},
                "headers": [{"type": "Exact", "name": FORCED, "value": version}],
            }
        ],
        "backendRefs": [
            {
                **backend(version),
                "weight": 1,
                # A forced request is no evidence, whatever its client claims.
                "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [ASSIGNED]}}],
            }
        ],
    }


def backend(version: str) -> dict[str, Any]:
    """The Service of a version, as a route refers to it."""
    return {"group": "", "kind": "Service", "name": service_name(version), "port": 80}
