"""From a path to what it means: a kind, perhaps a namespace, a name and a subresource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from turnout.embedded.kinds import KINDS, Kind

__all__ = ["GROUPS", "Served", "Target", "resolve", "served_in"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A kind under one of its group versions; `view` rewrites objects where the version has another shape."""

    kind: Kind
    group: str
    version: str
    view: Callable[[Object], Object] | None = None

    @property
    def api_version(self) -> str:
        """What stands in `apiVersion` of an answer."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_stored_version(self) -> bool:
        """Whether answers are what is stored."""
        return self.api_version == self.kind.api_version

    def present(self, obj: Object) -> Object:
        """A stored object as this version shows it."""
        if self.view is not None:
            return self.view(obj)
        return obj if self.is_stored_version else {**obj, "apiVersion": self.api_version}


@dataclass(frozen=True)
class Target:
    """What a path names. Without a `name` it is the collection; without a `namespace` all of them."""

    served: Served
    namespace: str | None
    name: str | None
    subresource: str | None

    @property
    def kind(self) -> Kind:
        """The kind that is stored."""
        return self.served.kind


def _events_view(event: Object) -> Object:
    """A core Event in the words of events.k8s.io/v1."""
    renamed = {
        "message": "note",
        "involvedObject": "regarding",
        "source": "deprecatedSource",
        "count": "deprecatedCount",
        "firstTimestamp": "deprecatedFirstTimestamp",
        "lastTimestamp": "deprecatedLastTimestamp",
        "reportingComponent": "reportingController",
    }
    return {renamed.get(key, key): value for key, value in event.items()} | {"apiVersion": "events.k8s.io/v1"}


def _all_served() -> dict[tuple[str, str], dict[str, Served]]:
    found: dict[tuple[str, str], dict[str, Served]] = {}
    for kind in KINDS.values():
        for version in (kind.version, *kind.other_versions):
            served = Served(kind=kind, group=kind.group, version=version)
            found.setdefault((kind.group, version), {})[kind.plural] = served
    events = Served(kind=KINDS["Event"], group="events.k8s.io", version="v1", view=_events_view)
    found["events.k8s.io", "v1"] = {"events": events}
    return found


_SERVED = _all_served()

# Versions of each group, the preferred one first (Kubernetes: stable before beta before alpha).
GROUPS: dict[str, list[str]] = {}
for _group, _version in sorted(_SERVED, key=lambda key: (key[0], "alpha" in key[1], "beta" in key[1], key[1])):
    GROUPS.setdefault(_group, []).append(_version)


def served_in(group: str, version: str) -> dict[str, Served]:
    """The kinds of a group version by their plural; empty for one that is not served."""
    return _SERVED.get((group, version), {})


def resolve(path: str) -> Target | None:
    """What a path below /api/v1 or /apis/{group}/{version} names; None if there is no such resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    served = served_in(group, version)
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] in served:
        namespace, rest = rest[1], rest[2:]
    if rest[0] not in served or len(rest) > 3 or not all(rest):
        return None
    found = served[rest[0]]
    if namespace is not None and not found.kind.namespaced:
        return None
    name = rest[1] if len(rest) > 1 else None
    subresource = rest[2] if len(rest) > 2 else None
    if name is not None and namespace is None and found.kind.namespaced:
        return None
    return Target(served=found, namespace=namespace, name=name, subresource=subresource)
