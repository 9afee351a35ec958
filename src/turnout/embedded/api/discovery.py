"""What the API has: groups, versions, resources and their verbs, in the old and the aggregated form."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from turnout.embedded.api.routes import GROUPS, Served, served_in
from turnout.embedded.kinds import Kind

__all__ = ["AGGREGATED", "VERSION", "answer", "is_aggregated"]

Object = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "34",
    "emulationMajor": "1",
    "emulationMinor": "34",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "33",
    "gitVersion": "v1.34.4-turnout",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "",
    "goVersion": "",
    "compiler": "cpython",
    "platform": "any",
}
_VERSIONS = {
    "kind": "APIVersions",
    "versions": ["v1"],
    "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
}
_PATHS = ("/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version")

# Kubernetes lists the verbs of custom kinds in another order; clients show them as they come.
_CUSTOM_VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
_BUILT_IN_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_VIEW_VERBS = ["get", "list", "watch"]


def answer(path: str, accept: str) -> Object | None:
    """The document at a discovery path; None if there is none."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return {"paths": sorted([*_PATHS, *(f"/apis/{group}" for group in GROUPS if group)])}
    if parts == ["api"]:
        return _aggregated([""]) if _wants_aggregated(accept) else _VERSIONS
    if parts == ["apis"]:
        groups = [group for group in GROUPS if group]
        if _wants_aggregated(accept):
            return _aggregated(groups)
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in groups]}
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in GROUPS:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
    if parts[0] == "api" and len(parts) == 2 and parts[1] in GROUPS[""]:
        return _resources("", parts[1])
    if parts[0] == "apis" and len(parts) == 3 and parts[2] in GROUPS.get(parts[1], ()):
        return _resources(parts[1], parts[2])
    return None


def is_aggregated(path: str, accept: str) -> bool:
    """Whether the answer is in the aggregated form, which has a content type of its own."""
    return path.strip("/") in ("api", "apis") and _wants_aggregated(accept)


def _wants_aggregated(accept: str) -> bool:
    return "as=APIGroupDiscoveryList" in accept and "v=v2;" in f"{accept.partition(',')[0]};"


def _group(group: str) -> Object:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in GROUPS[group]]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(group: str, version: str) -> Object:
    resources = []
    for served in served_in(group, version).values():
        resources.append(_resource(served))
        resources += [_subresource(served.kind, name) for name in _subresources(served.kind)]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resource(served: Served) -> Object:
    kind = served.kind
    found: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _verbs(served),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    return {**found, "storageVersionHash": _storage_hash(kind)}


def _verbs(served: Served) -> list[str]:
    kind = served.kind
    if served.view is not None:
        return _VIEW_VERBS
    verbs = _CUSTOM_VERBS if kind.custom else _BUILT_IN_VERBS
    return [verb for verb in verbs if kind.kind != "Namespace" or verb != "deletecollection"]


def _subresources(kind: Kind) -> list[str]:
    own = {"Pod": ["log"], "Namespace": ["finalize"]}.get(kind.kind, [])
    return [*own, *(["status"] if kind.has_status else [])]


def _subresource(kind: Kind, name: str) -> Object:
    verbs = {"log": ["get"], "finalize": ["update"]}.get(name, ["get", "patch", "update"])
    return {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs,
    }


def _storage_hash(kind: Kind) -> str:
    digest = hashlib.sha256(f"{kind.group}/{kind.version}/{kind.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _aggregated(groups: list[str]) -> Object:
    items = [{"metadata": {"name": group} if group else {}, "versions": _versions(group)} for group in groups]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _versions(group: str) -> list[Object]:
    return [
        {
            "version": version,
            "freshness": "Current",
            "resources": [_discovered(served) for served in served_in(group, version).values()],
        }
        for version in GROUPS[group]
    ]


def _discovered(served: Served) -> Object:
    kind = served.kind
    response = {"group": served.group, "version": served.version, "kind": kind.kind}
    found: Object = {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": _verbs(served),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    below = [
        {"subresource": name, "responseKind": response, "verbs": _subresource(kind, name)["verbs"]}
        for name in _subresources(kind)
    ]
    return {**found, **({"subresources": below} if below else {})}
