"""Schemas of the kinds that we apply, saved from a real API server by `python -m tests.manifests.schemas`.

Without descriptions, and only what our kinds refer to; with KUBECONFIG naming a cluster that has the pinned CRDs.
"""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.manifests.rendering import EVERYTHING, OVERLAYS, Object, objects

FILE = Path(__file__).with_name("schemas.json.gz")
_DROPPED = ("description", "externalDocs", "x-kubernetes-group-version-kind", "x-kubernetes-validations", "default")
_PREFIX = "#/components/schemas/"


@functools.cache
def saved() -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(FILE.read_bytes())))


def problems(obj: Object) -> list[str]:
    """What the schema of its kind says against an object; unknown fields are mistakes."""
    schema = {"$ref": _PREFIX + saved()["kinds"][_kind(obj)], "components": {"schemas": saved()["schemas"]}}
    found = jsonschema_rs.Draft7Validator(schema).iter_errors(obj)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in found]


def _kind(obj: Object) -> str:
    return f"{obj['apiVersion']}/{obj['kind']}"


def _fetch() -> None:
    from cluster.tools import kubectl

    overlays = (*OVERLAYS, EVERYTHING)
    wanted = {_kind(obj): obj["apiVersion"] for overlay in overlays for obj in objects(overlay)}
    wanted["serving.kserve.io/v1beta1/InferenceService"] = "serving.kserve.io/v1beta1"
    wanted["turnout.dev/v1alpha1/Turnout"] = "turnout.dev/v1alpha1"
    kinds: dict[str, str] = {}
    schemas: dict[str, Any] = {}
    for api in sorted(set(wanted.values())):
        path = f"/openapi/v3/apis/{api}" if "/" in api else f"/openapi/v3/api/{api}"
        found = json.loads(kubectl("get", "--raw", path))["components"]["schemas"]
        for name, schema in found.items():
            for which in schema.get("x-kubernetes-group-version-kind", []):
                said = "/".join(filter(None, (which["group"], which["version"], which["kind"])))
                if said in wanted:
                    kinds[said] = name
                    _collect(name, found, schemas)
    text = json.dumps({"kinds": kinds, "schemas": schemas}, sort_keys=True, separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))


def _collect(name: str, found: dict[str, Any], schemas: dict[str, Any]) -> None:
    if name not in schemas:
        schemas[name] = {}
        schemas[name] = _strict(found[name], found, schemas)


def _strict(schema: Any, found: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The schema without prose; what it does not name is not allowed, as strict field validation has it."""
    if isinstance(schema, list):
        return [_strict(item, found, schemas) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if str(schema.get("$ref", "")).startswith(_PREFIX):
        _collect(schema["$ref"].removeprefix(_PREFIX), found, schemas)
    kept = {key: value for key, value in schema.items() if key not in _DROPPED or isinstance(value, dict)}
    kept.pop("externalDocs", None)
    strict = {
        key: {name: _strict(inner, found, schemas) for name, inner in value.items()}
        if key == "properties"
        else _strict(value, found, schemas)
        for key, value in kept.items()
    }
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        strict.pop("type", None)
        strict.pop("pattern", None)
    if (
        "properties" in schema
        and "additionalProperties" not in schema
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        strict["additionalProperties"] = False
    return strict


if __name__ == "__main__":
    _fetch()
