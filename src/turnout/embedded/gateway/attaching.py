"""Which Gateways take a route, through which listeners, for which host names: the Gateway API's rules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.embedded.gateway.references import GROUP, World

__all__ = ["Parent", "parents"]

Object = dict[str, Any]

_NO_LISTENER = "NoMatchingParent"
_MESSAGES = {
    _NO_LISTENER: "No listeners match this parent ref",
    "NotAllowedByListeners": "No listeners included by this parent ref allowed this attachment.",
    "NoMatchingListenerHostname": (
        "There were no hostname intersections between the HTTPRoute and this parent ref's Listener(s)."
    ),
}


@dataclass(frozen=True)
class Parent:
    """A Gateway that a route names: the host names it serves there, or why it takes none of them."""

    reference: Object
    hosts: tuple[str, ...] = ()
    reason: str = ""

    @property
    def message(self) -> str:
        """The reason in words."""
        return _MESSAGES[self.reason]


def parents(route: Object, world: World) -> list[Parent]:
    """The route's Gateways that are there. One that is not there says nothing: nobody would write its status."""
    found = []
    for reference in route["spec"].get("parentRefs") or ():
        if reference.get("kind", "Gateway") != "Gateway":
            continue
        namespace = reference.get("namespace") or route["metadata"]["namespace"]
        gateway = world.gateways.get((namespace, reference["name"]))
        if gateway is not None:
            full = {"group": GROUP, "kind": "Gateway", **reference}
            found.append(_attach(full, route, gateway, world))
    return found


def _attach(reference: Object, route: Object, gateway: Object, world: World) -> Parent:
    listeners = [entry for entry in gateway["spec"].get("listeners") or () if _is_meant(entry, reference)]
    if not listeners:
        return Parent(reference, reason=_NO_LISTENER)
    allowing = [entry for entry in listeners if _allows(entry, route, gateway, world)]
    if not allowing:
        return Parent(reference, reason="NotAllowedByListeners")
    wanted = tuple(route["spec"].get("hostnames") or ("*",))
    hosts = dict.fromkeys(host for entry in allowing for host in _common(wanted, entry.get("hostname") or "*"))
    if not hosts:
        return Parent(reference, reason="NoMatchingListenerHostname")
    return Parent(reference, hosts=tuple(hosts))


def _is_meant(listener: Object, reference: Object) -> bool:
    names = reference.get("sectionName") in (None, listener["name"])
    return names and reference.get("port") in (None, listener["port"])


def _allows(listener: Object, route: Object, gateway: Object, world: World) -> bool:
    allowed = listener.get("allowedRoutes") or {}
    kinds = allowed.get("kinds") or ()
    if kinds and not any(kind["kind"] == "HTTPRoute" and kind.get("group", GROUP) == GROUP for kind in kinds):
        return False
    namespace = route["metadata"]["namespace"]
    wanted = allowed.get("namespaces") or {}
    if wanted.get("from", "Same") == "Selector":
        return _selects(wanted.get("selector") or {}, world.namespaces.get(namespace, {}))
    return wanted.get("from", "Same") == "All" or bool(gateway["metadata"]["namespace"] == namespace)


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_fits(entry, labels) for entry in selector.get("matchExpressions") or ())


def _fits(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    holds: dict[str, bool] = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return holds[expression["operator"]]


def _common(wanted: Sequence[str], listener: str) -> Iterator[str]:
    """The hosts that a route wants and a listener has: of two patterns the narrower one."""
    for host in wanted:
        if _covers(listener, host):
            yield host
        elif _covers(host, listener):
            yield listener


def _covers(pattern: str, host: str) -> bool:
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:]
