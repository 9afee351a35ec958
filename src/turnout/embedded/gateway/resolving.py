"""What an HTTPRoute means among the objects that are there: rules for Envoy, and what is wrong with them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.embedded.gateway import envoy, matching, policies, references
from turnout.embedded.gateway.attaching import Parent
from turnout.embedded.gateway.references import Problem, World

__all__ = ["Resolved", "overlaps", "resolve", "table"]

Object = dict[str, Any]

_RULE_FILTERS = frozenset(
    {"RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite"}
)
_BACKEND_FILTERS = frozenset({"RequestHeaderModifier", "ResponseHeaderModifier"})


@dataclass(frozen=True)
class Resolved:
    """A route with its references followed."""

    route: Object
    parents: Sequence[Parent]
    rules: tuple[envoy.Rule, ...]
    problem: Problem | None = None
    without_endpoints: tuple[str, ...] = ()
    unsupported: str = ""  # a filter that this gateway does not have

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.route["metadata"]["namespace"], self.route["metadata"]["name"])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names that its Gateways let it serve."""
        return tuple(dict.fromkeys(host for parent in self.parents for host in parent.hosts))

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts routes: of two that want the same requests the older one has them."""
        return (self.route["metadata"]["creationTimestamp"], *self.key)


@dataclass
class _Findings:
    """What was found on the way through a route."""

    problems: list[Problem] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)


def resolve(route: Object, parents: Sequence[Parent], world: World) -> Resolved:
    """Follow every reference of a route; one that leads nowhere costs its share of the requests, not the route."""
    hash_policy = policies.hash_policy(route, world.policies)
    found = _Findings()
    rules: list[envoy.Rule] = []
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        rules += _rules(route, number, rule, world, hash_policy=hash_policy, found=found)
    return Resolved(
        route=route,
        parents=parents,
        rules=tuple(rules),
        problem=found.problems[0] if found.problems else None,
        without_endpoints=tuple(dict.fromkeys(found.empty)),
        unsupported=found.unsupported[0] if found.unsupported else "",
    )


def table(routes: Sequence[Resolved]) -> dict[str, list[envoy.Rule]]:
    """The rules of each host in the order in which they are tried; the older route wins among equals."""
    hosts: dict[str, list[tuple[Any, envoy.Rule]]] = {}
    for resolved in routes:
        for number, rule in enumerate(resolved.rules):
            for host in resolved.hosts:
                hosts.setdefault(host, []).append(((*matching.precedence(rule.match), *resolved.age, number), rule))
    return {host: [rule for _, rule in sorted(rules, key=lambda entry: entry[0])] for host, rules in hosts.items()}


def overlaps(routes: Sequence[Resolved]) -> dict[tuple[str, str], list[str]]:
    """For each route that wants requests which another one wants too: the others, as namespace/name."""
    claimed = Counter(host for resolved in routes for host in resolved.hosts)
    wanted: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for resolved in routes:
        for host in (host for host in resolved.hosts if claimed[host] > 1):
            for rule in resolved.rules:
                wanted.setdefault((host, matching.same_requests(rule.match)), set()).add(resolved.key)
    found: dict[tuple[str, str], set[str]] = {}
    for keys in wanted.values():
        for key in keys if len(keys) > 1 else ():
            found.setdefault(key, set()).update("/".join(other) for other in keys if other != key)
    return {key: sorted(others) for key, others in found.items()}


def _rules(
    route: Object, number: int, rule: Object, world: World, *, hash_policy: tuple[Object, ...], found: _Findings
) -> Iterator[envoy.Rule]:
    """One rule for each of its matches."""
    filters = tuple(rule.get("filters") or ())
    where = f"route rule {number}"
    backends = tuple(
        _backend(route, reference, world, failed=f"Failed to process {where} backendRef {position}", found=found)
        for position, reference in enumerate(rule.get("backendRefs") or ())
    )
    if hash_policy:
        backends = tuple(backend.hashed() for backend in backends)
    mirrors = tuple(_mirrors(route, filters, world, found=found))
    if unknown := _beyond(filters, _RULE_FILTERS):
        # The Gateway API: a filter that is not understood is never skipped, its requests get an error.
        found.unsupported.append(unknown)
        filters, backends = (), ()
    for match in rule.get("matches") or (matching.DEFAULT,):
        yield envoy.Rule(
            name=f"{route['metadata']['namespace']}/{route['metadata']['name']}/rule/{number}",
            match=match,
            filters=filters,
            backends=backends,
            mirrors=mirrors,
            timeouts=rule.get("timeouts"),
            hash_policy=hash_policy,
        )


def _backend(route: Object, reference: Object, world: World, *, failed: str, found: _Findings) -> envoy.Backend:
    target = references.follow(route, reference, world, failed=failed)
    weight, filters = int(reference.get("weight", 1)), tuple(reference.get("filters") or ())
    if isinstance(target, Problem):
        found.problems.append(target)
        return envoy.Backend(cluster=None, weight=weight)
    if weight > 0 and not world.listening.get(target):
        found.empty.append(references.service_name(route, reference))
    if unknown := _beyond(filters, _BACKEND_FILTERS):
        found.unsupported.append(unknown)
        return envoy.Backend(cluster=None, weight=weight)
    return envoy.Backend(cluster=target, weight=weight, filters=filters)


def _mirrors(route: Object, filters: Sequence[Object], world: World, *, found: _Findings) -> Iterator[envoy.Mirror]:
    """A mirror that leads nowhere is left out; Envoy Gateway fails the whole rule then, and the caller with it."""
    for mirror in references.mirrored(filters):
        failed = "Failed to validate the RequestMirror filter"
        target = references.follow(route, mirror["backendRef"], world, failed=failed)
        if isinstance(target, Problem):
            found.problems.append(target)
        else:
            yield envoy.Mirror.of(target, mirror)


def _beyond(filters: Sequence[Object], known: frozenset[str]) -> str:
    """What the status says of the first filter that there is not; empty when there are all."""
    unknown = next((entry for entry in filters if entry.get("type") not in known), None)
    if unknown is None:
        return ""
    if extension := unknown.get("extensionRef"):
        return f"Invalid filter ExtensionRef: unknown kind {extension['group']}/{extension['kind']}."
    return f"The gateway refuses this route: filter type {unknown['type']} is not supported"
