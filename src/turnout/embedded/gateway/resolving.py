"""What an HTTPRoute means among the objects that are there: parents, backends, and the conditions that say so.

Pure; the words are Envoy Gateway's, so that what is read on a laptop reads the same on a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.embedded import objects
from turnout.embedded.gateway import envoy, matching

__all__ = ["Problem", "Resolved", "World", "conditions", "overlaps", "parents", "resolve", "table", "with_status"]

Object = dict[str, Any]

_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
_GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class World:
    """What routes refer to. `listening` holds the ports of ready endpoints by cluster."""

    gateways: Mapping[tuple[str, str], Object]
    services: Mapping[tuple[str, str], Object]
    listening: Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class Problem:
    """Why a reference leads nowhere."""

    reason: str
    message: str


@dataclass(frozen=True)
class Resolved:
    """A route with its references followed."""

    route: Object
    rules: tuple[envoy.Rule, ...]
    problem: Problem | None = None
    without_endpoints: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return _key(self.route)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names; a route without any serves all."""
        return tuple(self.route["spec"].get("hostnames") or ("*",))


def parents(route: Object, world: World) -> list[tuple[Object, bool]]:
    """The route's Gateways that are there, each with whether a listener of it takes the route."""
    found = []
    for reference in route["spec"].get("parentRefs") or ():
        if reference.get("kind", "Gateway") != "Gateway":
            continue
        namespace = reference.get("namespace") or route["metadata"]["namespace"]
        gateway = world.gateways.get((namespace, reference["name"]))
        if gateway is not None:
            full = {"group": _GROUP, "kind": "Gateway", **reference}
            found.append(
                (full, any(_takes(listener, reference) for listener in gateway["spec"].get("listeners") or ()))
            )
    return found


def resolve(route: Object, world: World) -> Resolved:
    """Follow every reference of a route; one that leads nowhere costs its share of the requests, not the route."""
    rules: list[envoy.Rule] = []
    problems: list[Problem] = []
    empty: list[str] = []
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        filters = tuple(rule.get("filters") or ())
        where = f"route rule {number}"
        backends = []
        for position, reference in enumerate(rule.get("backendRefs") or ()):
            target = _target(route, reference, world, where=f"{where} backendRef {position}")
            weight = int(reference.get("weight", 1))
            if isinstance(target, Problem):
                problems.append(target)
            elif weight > 0 and not world.listening.get(target):
                empty.append(_service_name(route, reference))
            cluster = None if isinstance(target, Problem) else target
            backends.append(
                envoy.Backend(cluster=cluster, weight=weight, filters=tuple(reference.get("filters") or ()))
            )
        mirrors = [_target(route, reference, world, where=f"{where} mirror filter") for reference in _mirrored(filters)]
        problems += [mirror for mirror in mirrors if isinstance(mirror, Problem)]
        rules += [
            envoy.Rule(
                name=f"{'/'.join(_key(route))}/rule/{number}",
                match=match,
                filters=filters,
                backends=tuple(backends),
                mirrors=tuple(mirror for mirror in mirrors if isinstance(mirror, str)),
                timeouts=rule.get("timeouts"),
            )
            for match in rule.get("matches") or (matching.DEFAULT,)
        ]
    return Resolved(
        route=route,
        rules=tuple(rules),
        problem=problems[0] if problems else None,
        without_endpoints=tuple(dict.fromkeys(empty)),
    )


def table(routes: Sequence[Resolved]) -> dict[str, list[envoy.Rule]]:
    """The rules of each host in the order in which they are tried; the older route wins among equals."""
    hosts: dict[str, list[tuple[Any, envoy.Rule]]] = {}
    for resolved in routes:
        metadata = resolved.route["metadata"]
        age = (metadata["creationTimestamp"], *resolved.key)
        for number, rule in enumerate(resolved.rules):
            for host in resolved.hosts:
                hosts.setdefault(host, []).append(((*matching.precedence(rule.match), *age, number), rule))
    return {host: [rule for _, rule in sorted(rules, key=lambda entry: entry[0])] for host, rules in hosts.items()}


def overlaps(routes: Sequence[Resolved]) -> dict[tuple[str, str], str]:
    """For each route that shares a match with an older one: the older one's namespace/name."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    found: dict[tuple[str, str], str] = {}
    for resolved in sorted(routes, key=lambda entry: (entry.route["metadata"]["creationTimestamp"], *entry.key)):
        for host in resolved.hosts:
            for rule in resolved.rules:
                owner = first.setdefault((host, matching.same_requests(rule.match)), resolved.key)
                if owner != resolved.key:
                    found.setdefault(resolved.key, "/".join(owner))
    return found


def conditions(resolved: Resolved, *, is_taken: bool, overlapping: str = "", refused: str = "") -> list[Object]:
    """The conditions of one parent, without their times."""
    found = [_accepted(is_taken=is_taken, refused=refused), _references(resolved.problem)]
    if resolved.without_endpoints:
        names = resolved.without_endpoints
        message = f"Failed to find endpoints: no ready endpoints for the related Service {names[0]}."
        found.append(_condition("BackendsAvailable", False, "EndpointsNotFound", message))
    if overlapping:
        message = f"Overlapping match conditions with route(s): HTTPRoute {overlapping}"
        found.append(_condition("RouteRulesOverlap", True, "RouteRulesOverlap", message))
    return found


def with_status(route: Object, found: Sequence[tuple[Object, list[Object]]]) -> Object:
    """The route with its parents' conditions; a condition that says what it said keeps its time."""
    before = (route.get("status") or {}).get("parents") or ()
    old = [(entry["parentRef"], {c["type"]: c for c in entry["conditions"]}) for entry in before]
    generation = route["metadata"]["generation"]
    statuses = []
    for parent, entries in found:
        known = next((conditions for reference, conditions in old if reference == parent), {})
        timed = [_timed({**entry, "observedGeneration": generation}, known.get(entry["type"], {})) for entry in entries]
        statuses.append({"parentRef": parent, "controllerName": _CONTROLLER, "conditions": timed})
    return {**route, "status": {"parents": statuses}}


def _target(route: Object, reference: Object, world: World, *, where: str) -> str | Problem:
    """The cluster that a reference leads to."""
    if reference.get("group", "") or reference.get("kind", "Service") != "Service":
        return Problem("InvalidKind", f"Failed to process {where}: Kind is invalid, only Service is supported.")
    namespace = reference.get("namespace") or route["metadata"]["namespace"]
    name = f"{namespace}/{reference['name']}"
    if namespace != route["metadata"]["namespace"]:
        text = f"Failed to process {where}: Backend ref to Service {name} not permitted by any ReferenceGrant."
        return Problem("RefNotPermitted", text)
    service = world.services.get((namespace, reference["name"]))
    if service is None:
        return Problem("BackendNotFound", f"Failed to process {where}: service {name} not found.")
    port = int(reference.get("port") or 0)
    if port not in [entry["port"] for entry in service["spec"].get("ports") or ()]:
        return Problem("PortNotFound", f"Failed to process {where}: TCP Port {port} not found on Service {name}.")
    return envoy.cluster_name(namespace, reference["name"], port)


def _service_name(route: Object, reference: Object) -> str:
    return f"{reference.get('namespace') or route['metadata']['namespace']}/{reference['name']}"


def _mirrored(filters: Sequence[Object]) -> list[Object]:
    """A mirror that leads nowhere is left out; Envoy Gateway fails the whole rule then, and the caller with it."""
    return [entry["requestMirror"]["backendRef"] for entry in filters if "requestMirror" in entry]


def _takes(listener: Object, reference: Object) -> bool:
    names = reference.get("sectionName") in (None, listener["name"])
    return names and reference.get("port") in (None, listener["port"])


def _accepted(*, is_taken: bool, refused: str) -> Object:
    if not is_taken:
        return _condition("Accepted", False, "NoMatchingParent", "No listeners match this parent ref")
    if refused:
        return _condition("Accepted", False, "UnsupportedValue", f"The gateway refuses this route: {refused}")
    return _condition("Accepted", True, "Accepted", "Route is accepted")


def _references(problem: Problem | None) -> Object:
    if problem is not None:
        return _condition("ResolvedRefs", False, problem.reason, problem.message)
    return _condition("ResolvedRefs", True, "ResolvedRefs", "Resolved all the Object references for the Route")


def _condition(name: str, holds: bool, reason: str, message: str) -> Object:
    return {"type": name, "status": str(holds), "reason": reason, "message": message}


def _timed(entry: Object, before: Object) -> Object:
    same = before.get("status") == entry["status"] and "lastTransitionTime" in before
    return {**entry, "lastTransitionTime": before["lastTransitionTime"] if same else objects.now()}


def _key(route: Object) -> tuple[str, str]:
    return (route["metadata"]["namespace"], route["metadata"]["name"])
