"""OpenAPI of the API: enough for `kubectl explain`, for kubectl's checks before it sends, and for generated clients.

Built from the schemas of the kinds on the first request and kept as bytes, by group version as in Kubernetes.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson

from turnout.embedded.api.discovery import VERSION
from turnout.embedded.api.routes import GROUPS, Served, served_in
from turnout.embedded.kinds import KINDS

__all__ = ["index", "v2", "v3"]

Object = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
_LIST_PARAMETERS = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "watch",
)


def index() -> Object:
    """Where the document of each group version is; the hash lets clients keep it."""
    paths = {}
    for group, versions in GROUPS.items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(v3(group, version) or b"").hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


@cache
def v3(group: str, version: str) -> bytes | None:
    """The document of a group version; None for one that is not served."""
    kinds = served_in(group, version)
    if not kinds:
        return None
    found = {_META: _metadata_schema()}
    paths: Object = {}
    for served in kinds.values():
        found[_name(served)] = _schema(served)
        found[_name(served) + "List"] = _list_schema(served)
        paths |= _paths(served)
    return orjson.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
            "paths": paths,
            "components": {"schemas": found},
        }
    )


@cache
def v2() -> bytes:
    """All kinds in one document of the older form."""
    definitions = {_META: _metadata_schema()}
    for group, versions in GROUPS.items():
        for version in versions:
            for served in served_in(group, version).values():
                definitions[_name(served)] = _schema(served)
    text = orjson.dumps(
        {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
            "paths": {},
            "definitions": definitions,
        }
    )
    return text.replace(b"#/components/schemas/", b"#/definitions/")


def _name(served: Served) -> str:
    """The name of a schema: `io.kserve.serving.v1beta1.InferenceService`."""
    group, version = served.group, served.version
    if "." in group and not group.endswith(".k8s.io"):
        return ".".join([*reversed(group.split(".")), version, served.kind.kind])
    if group in ("", "apps", "coordination.k8s.io", "events.k8s.io"):
        return f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{served.kind.kind}"
    return ".".join([*reversed(group.split(".")), version, served.kind.kind])


def _gvk(served: Served, *, suffix: str = "") -> Object:
    return {"group": served.group, "kind": served.kind.kind + suffix, "version": served.version}


def _metadata_schema() -> Object:
    return dict(KINDS["ConfigMap"].schema["properties"]["metadata"])


def _schema(served: Served) -> Object:
    schema = _plain(served.kind.schema)
    metadata = {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "description": "Standard object's metadata."}
    properties = {**schema["properties"], "metadata": {**metadata, "default": {}}}
    return {**schema, "properties": properties, "x-kubernetes-group-version-kind": [_gvk(served)]}


def _plain(schema: Any) -> Any:
    """A schema without what OpenAPI has no word for."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "x-kubernetes-validations"}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def _list_schema(served: Served) -> Object:
    reference = {"$ref": f"#/components/schemas/{_name(served)}"}
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "items": {"type": "array", "items": reference},
        },
        "x-kubernetes-group-version-kind": [_gvk(served, suffix="List")],
    }


def _paths(served: Served) -> Object:
    """The paths of a kind; kubectl looks there for what the server can (dry runs, field validation)."""
    root = f"/apis/{served.group}/{served.version}" if served.group else f"/api/{served.version}"
    middle = "/namespaces/{namespace}" if served.kind.namespaced else ""
    collection = f"{root}{middle}/{served.kind.plural}"
    given = [_parameter(name, place="path") for name in (["namespace"] if served.kind.namespaced else [])]
    below = [*given, _parameter("name", place="path")]
    is_view = served.view is not None
    found: Object = {
        collection: {"parameters": given, "get": _operation(served, "list", _LIST_PARAMETERS)},
        f"{collection}/{{name}}": {"parameters": below, "get": _operation(served, "get", ())},
    }
    if not is_view:
        found[collection]["post"] = _operation(served, "post", _WRITE_PARAMETERS)
        found[f"{collection}/{{name}}"] |= {
            "put": _operation(served, "put", _WRITE_PARAMETERS),
            "patch": _operation(served, "patch", _WRITE_PARAMETERS),
            "delete": _operation(served, "delete", ("dryRun", "propagationPolicy")),
        }
    if served.kind.namespaced:
        everywhere = {"parameters": [], "get": _operation(served, "list", _LIST_PARAMETERS)}
        found[f"{root}/{served.kind.plural}"] = everywhere
    return found


def _operation(served: Served, action: str, parameters: tuple[str, ...]) -> Object:
    reference = {"$ref": f"#/components/schemas/{_name(served)}{'List' if action == 'list' else ''}"}
    content = {"application/json": {"schema": reference}}
    found: Object = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(served),
        "parameters": [_parameter(name, place="query") for name in parameters],
        "responses": {"200": {"description": "OK", "content": content}},
    }
    return {**found, "requestBody": {"content": content}} if action in ("post", "put", "patch") else found


def _parameter(name: str, *, place: str) -> Object:
    kind = {"limit": "integer", "watch": "boolean", "allowWatchBookmarks": "boolean", "force": "boolean"}.get(
        name, "string"
    )
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": kind, "uniqueItems": True}}
