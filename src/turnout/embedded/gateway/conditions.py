"""The status of HTTPRoutes and policies. Pure; the words are Envoy Gateway's, as on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnout.embedded import objects
from turnout.embedded.gateway.attaching import Parent
from turnout.embedded.gateway.references import Problem
from turnout.embedded.gateway.resolving import Resolved

__all__ = ["conditions", "with_ancestors", "with_parents"]

Object = dict[str, Any]

_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


def conditions(
    resolved: Resolved, parent: Parent, *, overlapping: Sequence[str] = (), refused: str = ""
) -> list[Object]:
    """The conditions of one parent, without their times."""
    found = [
        _accepted(parent, refused=f"The gateway refuses this route: {refused}" if refused else resolved.unsupported),
        _references(resolved.problem),
    ]
    if resolved.without_endpoints:
        names = resolved.without_endpoints
        message = f"Failed to find endpoints: no ready endpoints for the related Service {names[0]}."
        found.append(_condition("BackendsAvailable", False, "EndpointsNotFound", message))
    if overlapping:
        others = ", ".join(f"HTTPRoute {other}" for other in overlapping)
        message = f"Overlapping match conditions with route(s): {others}"
        found.append(_condition("RouteRulesOverlap", True, "RouteRulesOverlap", message))
    return found


def with_parents(route: Object, found: Sequence[tuple[Object, list[Object]]]) -> Object:
    """The route with its parents' conditions; a condition that says what it said keeps its time."""
    return _with_entries(route, "parents", "parentRef", found)


def with_ancestors(policy: Object, found: Sequence[tuple[Object, Object]]) -> Object:
    """The policy with the condition of each Gateway that it reaches."""
    return _with_entries(policy, "ancestors", "ancestorRef", [(ancestor, [entry]) for ancestor, entry in found])


def _with_entries(obj: Object, entries: str, reference: str, found: Sequence[tuple[Object, list[Object]]]) -> Object:
    before = (obj.get("status") or {}).get(entries) or ()
    old = [(entry[reference], {c["type"]: c for c in entry["conditions"]}) for entry in before]
    generation = obj["metadata"]["generation"]
    statuses = []
    for target, conditions in found:
        known = next((conditions for other, conditions in old if other == target), {})
        timed = [
            _timed({**entry, "observedGeneration": generation}, known.get(entry["type"], {})) for entry in conditions
        ]
        statuses.append({reference: target, "controllerName": _CONTROLLER, "conditions": timed})
    return {**obj, "status": {entries: statuses}}


def _accepted(parent: Parent, *, refused: str) -> Object:
    if parent.reason:
        return _condition("Accepted", False, parent.reason, parent.message)
    if refused:
        return _condition("Accepted", False, "UnsupportedValue", refused)
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
