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

__all__ = ["ASSIGNED", "FORCED", "REV", "ManagedRoute", "build", "route_name", "stamp"]

ASSIGNED = "x-turnout-assigned"
FORCED = "x-turnout-version"
REV = "turnout.dev/rev"

GATEWAY = {
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "name": "kserve-ingress-gateway",
    "namespace": "kserve",
}


@dataclass(frozen=True)
class ManagedRoute:
    """What the controller wants of a Turnout's route. `weights` are percents that sum to 100."""

    turnout: str
    namespace: str
    uid: str
    host: str
    rev: str
    weights: Mapping[str, int]
    forced: Sequence[str] = ()


def route_name(turnout: str) -> str:
    """Not the Turnout's own name: KServe makes an HTTPRoute `{name}` for an InferenceService of that name."""
    return f"{turnout}-turnout"


def stamp(version: str, *, weight: int, total: int, rev: str) -> str:
    """What a request carries about its assignment, e.g. `digits-v4;p=0.2;rev=k3x9`."""
    return f"{version};p={weight / total:.6g};rev={rev}"


def build(route: ManagedRoute) -> dict[str, Any]:
    """The HTTPRoute object."""
    total = sum(route.weights.values())
    rules: list[dict[str, Any]] = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
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
            "ownerReferences": [
                {
                    "apiVersion": "turnout.dev/v1alpha1",
                    "kind": "Turnout",
                    "name": route.turnout,
                    "uid": route.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"parentRefs": [GATEWAY], "hostnames": [route.host], "rules": rules},
    }


def _weighted(route: ManagedRoute, version: str, weight: int, total: int) -> dict[str, Any]:
    value = stamp(version, weight=weight, total=total, rev=route.rev)
    return {
        **_backend(version),
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
                **_backend(version),
                "weight": 1,
                # A forced request is no evidence, whatever its client claims.
                "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [ASSIGNED]}}],
            }
        ],
    }


def _backend(version: str) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": service_name(version), "port": 80}
