"""What a route refers to and where that leads: Services, the ports behind them, grants between namespaces. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.embedded.gateway import envoy

__all__ = ["GROUP", "Problem", "World", "follow", "mirrored", "service_name"]

Object = dict[str, Any]

GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class World:
    """What routes refer to. `listening` holds the ports of ready endpoints by cluster."""

    gateways: Mapping[tuple[str, str], Object]
    services: Mapping[tuple[str, str], Object]
    listening: Mapping[str, frozenset[int]]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # labels by name
    grants: Sequence[Object] = ()
    policies: Sequence[Object] = ()


@dataclass(frozen=True)
class Problem:
    """Why a reference leads nowhere."""

    reason: str
    message: str


# Envoy Gateway's words, which know of more than this engine has.
_GROUPS = (
    "Group is invalid, only the core API group (specified by omitting the group field or setting it to an empty "
    "string), multicluster.x-k8s.io and gateway.envoyproxy.io are supported."
)
_SERVICES = "Kind is invalid, only Service, MCS ServiceImport and Envoy Gateway Backend are supported."


def follow(route: Object, reference: Object, world: World, *, failed: str) -> str | Problem:
    """The cluster that a reference leads to; `failed` begins the message when it leads nowhere."""
    if reference.get("group", "") or reference.get("kind", "Service") != "Service":
        return Problem("InvalidKind", f"{failed}: {_GROUPS if reference.get('group', '') else _SERVICES}")
    namespace = _namespace(route, reference)
    name = service_name(route, reference)
    if namespace != route["metadata"]["namespace"] and not _is_granted(route, reference, world):
        text = f"{failed}: Backend ref to Service {name} not permitted by any ReferenceGrant."
        return Problem("RefNotPermitted", text)
    service = world.services.get((namespace, reference["name"]))
    if service is None:
        return Problem("BackendNotFound", f"{failed}: service {name} not found.")
    port = int(reference.get("port") or 0)
    if port not in [entry["port"] for entry in service["spec"].get("ports") or ()]:
        return Problem("PortNotFound", f"{failed}: TCP Port {port} not found on Service {name}.")
    return envoy.cluster_name(namespace, reference["name"], port)


def mirrored(filters: Sequence[Object]) -> list[Object]:
    """The RequestMirror filters among these."""
    return [entry["requestMirror"] for entry in filters if "requestMirror" in entry]


def service_name(route: Object, reference: Object) -> str:
    """A Service as messages name it."""
    return f"{_namespace(route, reference)}/{reference['name']}"


def _namespace(route: Object, reference: Object) -> str:
    return str(reference.get("namespace") or route["metadata"]["namespace"])


def _is_granted(route: Object, reference: Object, world: World) -> bool:
    """Whether a ReferenceGrant in the Service's namespace lets routes of the other one in."""
    source = {"group": GROUP, "kind": "HTTPRoute", "namespace": route["metadata"]["namespace"]}
    for grant in world.grants:
        if grant["metadata"]["namespace"] != _namespace(route, reference):
            continue
        spec = grant["spec"]
        is_from = any({key: entry.get(key) for key in source} == source for entry in spec.get("from") or ())
        is_to = any(
            entry.get("group", "") == ""
            and entry.get("kind") == "Service"
            # Without a name all Services of the namespace are meant.
            and entry.get("name") in (None, "", reference["name"])
            for entry in spec.get("to") or ()
        )
        if is_from and is_to:
            return True
    return False
