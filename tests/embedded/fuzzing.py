"""Requests that nobody should send, by the thousand and the same ones every time.

A request begins as one that makes sense; then a few of its parts (method, path, query, headers, body) are replaced by
something else. So most of them reach deep into the API instead of being turned away at its door.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.embedded.apiserver import config_map, inference_service, route, runtime
from turnout.embedded.kinds import KINDS, Kind

__all__ = ["Request", "is_known", "requests"]

Object = dict[str, Any]

# Kubernetes itself answers these with 5xx, and clients know the texts.
_KNOWN = (
    "failed to create typed patch object",
    "resourceVersion should not be set",
    "strconv.ParseUint",
    "Too large resource version",
)
_JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 2**70, 1e400, 1.5, "", "a b", "\x00", "é" * 300, "a" * 70_000, "\ud800"),
    *([], [None], [1], [[[]]], {}, {"a": None}, {"name": 1}, {"$patch": "delete"}, {"": ""}, "2026-13-01T00:00:00Z"),
)
_RAW = (
    *(b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"k8s\x00", b"k8s\x00\x0a\xff\xff", b"{" * 3000, b"[" * 100_000),
    b"a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n".encode() for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    b"a: &a [*a]\n",
    b'{"metadata": {"name": "a"}, "metadata": {"name": "b"}}',
    b'[{"op": "add", "path": "/metadata/labels/~2", "value": 1}]',
    b'[{"op": "copy", "from": "", "path": "/data/a"}]',
    b'[{"op": "move", "from": "/metadata", "path": "/metadata/labels/x"}]',
)
_NAMES = ("a", "a", "a", "b", "A b", "%00", "..", "a%2Fb", "x" * 300, "status", "é")
_TYPES = (
    *("application/json", "application/yaml", "application/json-patch+json", "application/merge-patch+json"),
    *("application/strategic-merge-patch+json", "application/apply-patch+yaml", "text/plain", ""),
    "application/vnd.kubernetes.protobuf",
)
_ACCEPTS = (
    *("application/json", "*/*", "", "text/html", "application/yaml", "application/json;as=Nope", ";;;,,,"),
    *("application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1"),
)
_QUERIES: dict[str, tuple[str, ...]] = {
    "dryRun": ("All", "x"),
    "fieldManager": ("m", "", "x" * 200, "\x00"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x"),
    "force": ("true", "x"),
    "labelSelector": ("a=b", "a in (b", "!", "a>1", "(((", "a=b,,", "\x00", "x" * 5000),
    "fieldSelector": ("metadata.name=a", "spec.x=1", "a=b=c", "="),
    "limit": ("1", "-1", "x", "9" * 30),
    "continue": ("x", "eyJ2IjoiIn0", "e30", "é"),
    "resourceVersion": ("0", "1", "x", "9" * 25, "-1"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "propagationPolicy": ("Orphan", "Foreground", "x"),
    "gracePeriodSeconds": ("0", "x"),
    "includeObject": ("None", "Object", "x"),
    "tailLines": ("1", "x", "-1"),
    "sinceSeconds": ("1", "x"),
}
_PLACES = (
    *("/", "/api", "/apis", "/version", "/healthz", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/nope"),
    *("/apis/serving.kserve.io", "/apis/none/v1/x", "/api/v1/namespaces/default/pods/p/log", "/api/v1//configmaps"),
)


@dataclass(frozen=True)
class Request:
    """One request as it is sent."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def is_known(text: str) -> bool:
    """Whether a 5xx is one of those that Kubernetes gives too."""
    return any(known in text for known in _KNOWN)


def requests(seed: int, count: int) -> Iterator[Request]:
    """So many requests; the same seed gives the same ones."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _one(chance)


def _one(chance: random.Random) -> Request:
    kind = chance.choice(list(KINDS.values()))
    method = chance.choices(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), (3, 4, 2, 6, 2, 0.1))[0]
    query = {
        name: chance.choice(_QUERIES[name]) for name in chance.sample(sorted(_QUERIES), chance.choice((0, 0, 1, 2)))
    }
    if method == "PATCH":
        query.setdefault("fieldManager", "m")
    if method == "GET" and chance.random() < 0.005:
        query |= {"watch": "true", "timeoutSeconds": "1"}
    headers = {"Content-Type": _type(method, chance), "Accept": chance.choices(_ACCEPTS, (20, *[1] * 8))[0]}
    if chance.random() < 0.01:
        headers["Authorization"] = chance.choice(("Bearer x", "Basic eDp5", "", "Bearer"))
    path = chance.choice(_PLACES) if chance.random() < 0.05 else _path(kind, method, chance)
    return Request(method, path, sorted(query.items()), headers, _body(kind, headers["Content-Type"], chance))


def _type(method: str, chance: random.Random) -> str:
    if chance.random() < 0.05:
        return chance.choice(_TYPES)
    return chance.choice(_TYPES[2:6]) if method == "PATCH" else chance.choice(_TYPES[:2])


def _path(kind: Kind, method: str, chance: random.Random) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    namespace = chance.choices(("default", "none", "A b", ""), (20, 1, 1, 1))[0]
    middle = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    name = "" if method == "POST" or chance.random() < 0.1 else f"/{chance.choice(_NAMES)}"
    below = chance.choices(("", "/status", "/log", "/scale"), (12, 2, 0.3, 0.3))[0] if name else ""
    return f"{root}{middle}/{kind.plural}{name}{below}"


def _body(kind: Kind, content_type: str, chance: random.Random) -> bytes:
    if chance.random() < 0.08:
        return chance.choice(_RAW)
    body = _damaged(_sample(kind), chance)
    if content_type == "application/json-patch+json":
        places = [*_places(body), ()]
        path = "/" + "/".join(str(step) for step in chance.choice(places))
        operation = {"op": chance.choice(("add", "remove", "replace", "test", "copy", "move", "x")), "path": path}
        body = [operation | {"from": "/metadata", "value": chance.choice((body, *_JUNK[:12]))}]
    return json.dumps(body).encode("utf-8", "surrogatepass")


def _sample(kind: Kind) -> Object:
    known: dict[str, Object] = {
        "ConfigMap": config_map(data={"k": "v"}, labels={"l": "1"}),
        "HTTPRoute": route(hostnames=["a.test"], rules=[{"backendRefs": [{"name": "r", "port": 80}], "filters": []}]),
        "ServingRuntime": runtime(),
        "InferenceService": inference_service(minReplicas=1, model={"modelFormat": {"name": "onnx"}, "env": []}),
    }
    body = known.get(kind.kind) or {
        "metadata": {"name": "a"},
        "spec": _example(kind.schema["properties"].get("spec", {})),
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, **copy.deepcopy(body)}


def _example(schema: Object) -> Any:
    """A value of the types that a schema wants."""
    if "default" in schema or "enum" in schema:
        return schema.get("default", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return {key: _example(below) for key, below in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [_example(schema.get("items", {}))]
    return {"integer": 1, "number": 0.5, "boolean": True}.get(schema.get("type", ""), "a")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in below for found in ((*path, key), *_places(item, (*path, key)))]


def _damaged(body: Object, chance: random.Random) -> Object:
    """A body in which a few places hold something else, are gone, or stand below a new name."""
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        *steps, last = chance.choice(_places(body) or [("metadata",)])
        parent: Any = body
        for step in steps:
            parent = parent[step]
        if chance.random() < 0.2 and isinstance(parent, dict):
            parent[chance.choice(("nope", "", "$patch", "a.b/c", "é"))] = parent.pop(last, None)
        else:
            parent[last] = copy.deepcopy(chance.choice(_JUNK))
    return body
