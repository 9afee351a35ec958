"""BackendTrafficPolicy: what keeps a user at one version (Envoy Gateway's consistent hash). Pure.

The hash decides among weighted backends and among the endpoints of the chosen one. Envoy takes it modulo the sum of
the weights, backends in the order of the rule: so weights hold among users, a user meets one version, and raising the
share of the last backend only moves users towards it. A request without the header is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from turnout.embedded.gateway import filters
from turnout.embedded.gateway.references import GROUP, World

__all__ = ["accepted", "conditions", "hash_policy"]

Object = dict[str, Any]


def hash_policy(route: Object, policies: Sequence[Object]) -> tuple[Object, ...]:
    """What Envoy hashes for the requests of a route; empty when each request is drawn at random.

    A policy for the route wins over one for its Gateway, the older one among equals.
    """
    namespace, name = route["metadata"]["namespace"], route["metadata"]["name"]
    gateways = {
        (reference.get("namespace") or namespace, reference["name"])
        for reference in route["spec"].get("parentRefs") or ()
    }
    ordered = sorted(policies, key=_age)
    targeted = [
        *(policy for policy in ordered if ("HTTPRoute", namespace, name) in _targets(policy)),
        *(policy for policy in ordered if any(("Gateway", *gateway) in _targets(policy) for gateway in gateways)),
    ]
    return _hashed(targeted[0]) if targeted else ()


def accepted(policy: Object, policies: Sequence[Object]) -> bool:
    """Whether no older policy has one of its targets."""
    mine = set(_targets(policy))
    return not any(_age(other) < _age(policy) and mine & set(_targets(other)) for other in policies)


def conditions(policy: Object, world: World, routes: Sequence[Object]) -> list[tuple[Object, Object]]:
    """Accepted, without its time, for each Gateway that the policy reaches; none when nothing is there to reach."""
    holds = accepted(policy, world.policies)
    kind, _, name = next(iter(_targets(policy)), ("", "", ""))
    taken = f"Unable to target {kind} {name}, another BackendTrafficPolicy has already attached to it"
    entry = {
        "type": "Accepted",
        "status": str(holds),
        "reason": "Accepted" if holds else "Conflicted",
        "message": "Policy has been accepted." if holds else taken,
    }
    return [(ancestor, entry) for ancestor in _ancestors(policy, world, routes)]


def _ancestors(policy: Object, world: World, routes: Sequence[Object]) -> Iterator[Object]:
    known = {(route["metadata"]["namespace"], route["metadata"]["name"]): route for route in routes}
    found: dict[tuple[str, str], None] = {}
    for kind, namespace, name in _targets(policy):
        if kind == "Gateway":
            found[(namespace, name)] = None
        elif route := known.get((namespace, name)):
            for reference in route["spec"].get("parentRefs") or ():
                found[(reference.get("namespace") or namespace, reference["name"])] = None
    for namespace, name in found:
        if (namespace, name) in world.gateways:
            yield {"group": GROUP, "kind": "Gateway", "namespace": namespace, "name": name}


def _hashed(policy: Object) -> tuple[Object, ...]:
    wanted = (policy["spec"].get("loadBalancer") or {}).get("consistentHash") or {}
    headers = [wanted["header"]] if "header" in wanted else wanted.get("headers") or ()
    return (
        *({"header": {"header_name": header["name"]}} for header in headers),
        *({"query_parameter": {"name": query["name"]}} for query in wanted.get("queryParams") or ()),
        *((_hashed_cookie(wanted["cookie"]),) if "cookie" in wanted else ()),
        *(({"connection_properties": {"source_ip": True}},) if wanted.get("type") == "SourceIP" else ()),
    )


def _hashed_cookie(cookie: Object) -> Object:
    """A caller without the cookie is given one that lives as long as the policy says."""
    lifetime = {"ttl": f"{filters.seconds(cookie['ttl']):.3f}s"} if "ttl" in cookie else {}
    attributes = [{"name": name, "value": value} for name, value in sorted((cookie.get("attributes") or {}).items())]
    return {"cookie": {"name": cookie["name"], **lifetime, **({"attributes": attributes} if attributes else {})}}


def _targets(policy: Object) -> list[tuple[str, str, str]]:
    spec, namespace = policy["spec"], policy["metadata"]["namespace"]
    references = [*([spec["targetRef"]] if "targetRef" in spec else ()), *(spec.get("targetRefs") or ())]
    return [(reference["kind"], namespace, reference["name"]) for reference in references]


def _age(policy: Object) -> tuple[str, str, str]:
    metadata = policy["metadata"]
    return (str(metadata.get("creationTimestamp", "")), metadata["namespace"], metadata["name"])
