"""The HTTPRoute that a Turnout owns.

While it lives weights change, and as little else as can be (seen on a real gateway: other changes cost requests):
filters on every backendRef from the first day, the main rule first, header rules behind it, and nobody who gets
requests is ever moved (`seats`). The filter makes the gateway draw
each request at random instead of dealing them out in turn, and carries the truth along: the version, its probability
and the revision of the weights, written in the same object as the weight itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    "seats",
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

    `seats` are the versions in their order, with percents that sum to 100; `shadows` get copies; `sticky` names the
    header of sticky users, if any.
    """

    turnout: str
    namespace: str
    uid: str
    host: str
    rev: str
    seats: Sequence[tuple[str, int]]
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
    total = sum(weight for _, weight in route.seats)
    rules: list[dict[str, Any]] = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [
                {"type": "RequestMirror", "requestMirror": {"backendRef": backend(version)}}
                for version in route.shadows
            ],
            "backendRefs": [_weighted(route, version, weight, total) for version, weight in route.seats],
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


def seats(
    weights: Mapping[str, int], *, found: Mapping[str, Any] | None, resting: Collection[str], ordered: bool
) -> tuple[tuple[str, int], ...]:
    """Who sits where, with which weight, when the route is as `found` and is to have these weights.

    Envoy Gateway names a cluster by the place of its backendRef, and the proxy learns of clusters and of weights one
    after the other: a version that moves to another place is not found for a moment (seen: 500, flags NC). So whoever
    gets requests keeps the seat. A version that gets none any more stays in its own with weight 0 as long as it may
    (`resting`), or hands it to the one with the most requests; a newcomer takes such a seat, else a new one at the end.
    Seats at the end go, once their weight is 0 in the route.

    `ordered`: who sits in front of whom matters, because a hash deals out users in that order; then a newcomer in front
    of all seats moves them.

    >>> route = lambda *seats: build(ManagedRoute("d", "n", "", "", "r", seats))
    >>> seats({"v2": 100}, found=route(("v1", 50), ("v2", 50)), resting={"v1"}, ordered=False)
    (('v1', 0), ('v2', 100))
    >>> seats({"v2": 95, "v3": 5}, found=route(("v1", 0), ("v2", 100)), resting={"v1"}, ordered=False)
    (('v3', 5), ('v2', 95))
    """
    plain = tuple(weights.items())
    now = _seats(found) if found else ()
    serving = _serving(weights, now)
    for newcomer in (version for version in weights if version not in serving):
        low, high = _between(list(weights), newcomer, serving) if ordered else (0, len(serving))
        free = [i for i in range(low, min(high, len(now))) if serving[i] is None and now[i][1] == 0]
        if not free and high < len(serving):
            return plain
        if free:
            serving[free[0]] = newcomer
        else:
            serving.append(newcomer)
    if ordered and [version for version in serving if version] != list(weights):
        return plain
    while serving and serving[-1] is None and now[len(serving) - 1][1] == 0:
        serving.pop()
    most = max(weights, key=lambda version: weights[version])
    return tuple(
        (version, weights[version]) if version else (now[i][0] if now[i][1] or now[i][0] in resting else most, 0)
        for i, version in enumerate(serving)
    )


def _seats(route: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    rules = route["spec"].get("rules") or [{}]
    backends = rules[0].get("backendRefs") or ()
    return tuple((entry["name"].removesuffix(service_name("")), int(entry.get("weight", 1))) for entry in backends)


def _serving(weights: Mapping[str, int], now: Sequence[tuple[str, int]]) -> list[str | None]:
    """Per seat the version that goes on getting its requests there; of two seats of one version the weightier."""
    found: list[str | None] = [None] * len(now)
    for version in weights:
        places = [i for i, (name, _) in enumerate(now) if name == version]
        if places:
            found[max(places, key=lambda i: now[i][1])] = version
    return found


def _between(order: Sequence[str], newcomer: str, serving: Sequence[str | None]) -> tuple[int, int]:
    """The seats behind all who come before the newcomer and in front of all who come after it."""
    place = order.index(newcomer)
    before = [i for i, version in enumerate(serving) if version in order[:place]]
    after = [i for i, version in enumerate(serving) if version in order[place + 1 :]]
    return max(before, default=-1) + 1, min(after, default=len(serving))


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
