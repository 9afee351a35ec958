"""The way of an object from a client's body to the store: decoded, checked for strange fields, admitted, validated.

The order is Kubernetes': unknown fields, namespace, defaults, webhooks that change, schema and rules, webhooks that
refuse. Nothing here writes; the verbs do.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from turnout.embedded.api import admission, built_in, errors, metadata, rules, schemas
from turnout.embedded.api.bodies import Body, decode, go_json_error, summary
from turnout.embedded.api.calls import Call
from turnout.embedded.api.routes import Target
from turnout.embedded.kinds import KINDS, Kind
from turnout.embedded.store import Store
from turnout.errors import NotFound

__all__ = [
    "admit",
    "body_of",
    "check_identity",
    "check_namespace",
    "field_faults",
    "first_wrong_type",
    "not_an_object",
    "not_convertible",
    "strict",
    "undecodable",
]

Object = dict[str, Any]


def body_of(call: Call) -> Body:
    """The object in a request's body, with apiVersion, kind and metadata.

    Raises:
        ApiError: it is no object, or one of another kind.
    """
    target, content_type = call.target, call.headers.get("content-type", "")
    try:
        body = decode(call.body, content_type)
    except ValueError as problem:
        raise _unrecognized(call, f"{_NO_KIND}{go_json_error(call.body)}") from problem
    if body.value is None and not target.kind.custom:
        body = Body(value={})
    if not isinstance(body.value, dict):
        missing = f"Object 'Kind' is missing in '{call.body.decode(errors='replace')}'"
        message = missing if body.value is None else f"{_NO_KIND}{not_an_object(body.value)}"
        raise _unrecognized(call, message)
    obj = _typed(call, body.value)
    return Body(value={**obj, "metadata": _metadata(target, obj)}, doubled=body.doubled)


_NO_KIND = "couldn't get version/kind; json parse error: "
_KINDS_OF_JSON = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}


_ONLY_KIND = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


def not_an_object(value: Any, wanted: str = _ONLY_KIND) -> str:
    """What Go says of JSON that is no object."""
    return f"json: cannot unmarshal {_KINDS_OF_JSON[type(value)]} into Go value of type {wanted}"


def _unrecognized(call: Call, message: str) -> errors.ApiError:
    must = f"(must be of type {call.target.kind.kind})"
    return errors.bad_request(f"the object provided is unrecognized {must}: {message} ({summary(call.body)})")


def _metadata(target: Target, obj: Object) -> Object:
    found = obj.get("metadata")
    if found is None:
        return {}
    if not isinstance(found, dict):
        wrong = f"cannot unmarshal {_KINDS_OF_JSON[type(found)]}"
        into = "value" if target.kind.custom else f"struct field {target.kind.kind}.metadata"
        raise _cannot_be_handled(target, f"json: {wrong} into Go {into} of type v1.ObjectMeta")
    return found


def not_convertible(kind: Kind, named: str, version: str) -> str:
    """Why Go cannot read an object of another kind as one of this built-in kind."""
    known = KINDS.get(named)
    if known is not None and known.api_version == version and not known.custom:
        return f"converting (v1.{named}) to (core.{kind.kind}): unknown conversion"
    return f'no kind "{named}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"'


def _typed(call: Call, obj: Object) -> Object:
    """The object with apiVersion and kind, which must be those of the path; built-in kinds may leave them out."""
    target = call.target
    kind, wanted = target.kind, target.served.api_version
    for field, value in (("kind", obj.get("kind")), ("apiVersion", obj.get("apiVersion"))):
        if value is not None and not isinstance(value, str):
            wrong = f"cannot unmarshal {_KINDS_OF_JSON[type(value)]}"
            raise _unrecognized(call, f"{_NO_KIND}json: {wrong} into Go struct field .{field} of type string")
    if kind.custom and not obj.get("kind"):
        raise _unrecognized(call, f"Object 'Kind' is missing in '{call.body.decode(errors='replace')}'")
    named, version = obj.get("kind") or kind.kind, obj.get("apiVersion") or ("" if kind.custom else wanted)
    if (named, version) == (kind.kind, wanted):
        return {**obj, "apiVersion": wanted, "kind": kind.kind}
    if not kind.custom:
        why = not_convertible(kind, named, version)
        raise errors.bad_request(f'{named} in version "{version}" cannot be handled as a {kind.kind}: {why}')
    if version != wanted:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({wanted})"
        )
    found = obj.get("metadata")
    name = str(found.get("name", "")) if isinstance(found, dict) else ""
    message = errors.invalid_value("kind", named, f"must be {kind.kind}")
    raise errors.invalid(replace(kind, kind=named), name, [message])


def field_faults(kind: Kind, body: Body) -> list[str]:
    """Complaints about unknown and doubled fields, in Kubernetes' order."""
    unknown = list(schemas.unknown_fields(kind.schema, body.value))
    if not kind.custom:  # what nobody decodes cannot be there twice
        doubled = tuple(path for path in body.doubled if not any(_is_below(path, at) for at in unknown))
        body = Body(value=body.value, doubled=doubled)
    if kind.custom:
        own = sorted(path for path in unknown if not path.startswith("metadata."))
        unknown = [path for path in unknown if path.startswith("metadata.")] + own
        return [f'duplicate field "{path}"' for path in body.doubled] + [f'unknown field "{path}"' for path in unknown]
    places = {path: place for place, path in enumerate(_paths(body.value, ""))}
    found = [(path, "duplicate") for path in body.doubled] + [(path, "unknown") for path in unknown]
    return [f'{what} field "{path}"' for path, what in sorted(found, key=lambda item: places.get(item[0], 0))]


def _is_below(path: str, at: str) -> bool:
    return path == at or path.startswith((f"{at}.", f"{at}["))


def _paths(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        below = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        below = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return []
    return [found for at, item in below for found in (at, *_paths(item, at))]


def strict(target: Target, faults: list[str], validation: str) -> tuple[str, ...]:
    """The warnings that strange fields earn; none when they are to be ignored.

    Raises:
        ApiError: the client asked for strictness and there are faults (400).
    """
    if validation == "Strict" and faults:
        kind = target.kind.kind
        message = f'{kind} in version "{target.served.version}" cannot be handled as a {kind}'
        raise errors.bad_request(f"{message}: strict decoding error: {', '.join(faults)}")
    return tuple(faults) if validation == "Warn" else ()


def check_identity(target: Target, obj: Object) -> Object:
    """The object with the namespace and name of its path, which it must not contradict.

    Raises:
        ApiError: it names another one (400).
    """
    found = dict(obj["metadata"])
    namespace = found.get("namespace") or target.namespace
    if namespace and namespace != (target.namespace or ""):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name is not None and found.get("name", target.name) != target.name:
        raise errors.bad_request(
            f"the name of the object ({found['name']}) does not match the name on the URL ({target.name})"
        )
    if target.name is not None:
        found["name"] = target.name
    if target.kind.namespaced:
        found["namespace"] = namespace
    return {**obj, "metadata": found}


def check_namespace(store: Store, target: Target, name: str) -> None:
    """Refuse a new object in a namespace that is not there (404) or is going away (403).

    Raises:
        ApiError: it is refused.
    """
    if not target.kind.namespaced or target.namespace is None:
        return
    kinds = {"kind": "namespaces", "name": target.namespace}
    try:
        namespace = store.get("Namespace", target.namespace)
    except NotFound as problem:
        message = f'namespaces "{target.namespace}" not found'
        raise errors.ApiError(404, message, reason="NotFound", details=kinds) from problem
    if "deletionTimestamp" in namespace["metadata"]:
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {target.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        message = f"unable to create new content in namespace {target.namespace} because it is being terminated"
        details = {**errors.about(target.kind, name), "causes": [cause]}
        raise errors.forbidden(f'{target.kind.resource} "{name}" is forbidden: {message}', details=details)


def admit(store: Store, target: Target, obj: Object, *, current: Object | None, is_applied: bool = False) -> Object:
    """The object as it may be stored. An applied null is refused where another one is as good as nothing.

    Raises:
        ApiError: its types (400), its contents (422) or a webhook (403) refuse it.
    """
    kind, is_status = target.kind, target.subresource == "status"
    metadata_only = {"metadata": schemas.prune(kind.schema, {"metadata": obj["metadata"]})["metadata"]}
    obj = schemas.prune(kind.schema, {**obj, **metadata_only}, keep_nulls=is_applied and kind.custom)
    obj = _without_empty(obj)
    _check_types(target, obj)
    obj = schemas.with_defaults(kind.schema, obj)
    if not is_status:
        built_in.check_encoding(kind, obj)
        obj = built_in.prepare(kind, obj, current)
        admission.check_types(kind, obj, schemas.causes(kind.schema, obj))
        obj = admission.default(kind, obj)
    found = [*metadata.causes(kind, obj), *_causes(kind, obj, current, is_status=is_status)]
    if found:
        raise errors.invalid(kind, obj["metadata"].get("name", ""), found, has_rules=schemas.has_rules(kind.schema))
    if not is_status:
        admission.validate(kind, obj, current, others=store.list)
    return obj


def _without_empty(obj: Object) -> Object:
    """The object without the fields of metadata that say nothing, as Go writes it."""
    kept = {key: value for key, value in obj["metadata"].items() if key not in _OMITTED or value not in ({}, [], "")}
    return {**obj, "metadata": kept}


_OMITTED = ("annotations", "finalizers", "generateName", "labels", "managedFields", "ownerReferences")


def _causes(kind: Kind, obj: Object, current: Object | None, *, is_status: bool) -> list[errors.Cause]:
    """What is wrong with the part of an object that the request writes: its status, or everything else."""
    found = [] if current is None else list(metadata.update_causes(current, obj))
    if kind.custom:
        broken = list(schemas.causes(kind.schema, obj))
        if not any(cause.blocks_rules for cause in broken):
            broken += rules.causes(kind.schema, obj)
        return found + [cause for cause in broken if (cause.field.partition(".")[0] == "status") == is_status]
    return found if is_status and kind.kind != "Namespace" else [*found, *built_in.causes(kind, obj, current)]


def _check_types(target: Target, obj: Object) -> None:
    cause = first_wrong_type(target, obj)
    if cause is not None:
        raise _undecodable(target, cause)


def first_wrong_type(target: Target, obj: Object) -> errors.Cause | None:
    """The first value that Go could not decode: wrong types in metadata, and anywhere in built-in kinds."""
    kind = target.kind
    checked = {"metadata": obj["metadata"]} if kind.custom else obj
    only = kind.schema if not kind.custom else {**kind.schema, "required": []}
    causes = schemas.causes(only, checked)
    return next((cause for cause in causes if cause.reason == "FieldValueTypeInvalid"), None)


def _undecodable(target: Target, cause: errors.Cause) -> errors.ApiError:
    return _cannot_be_handled(target, undecodable(target.kind, cause))


def undecodable(kind: Kind, cause: errors.Cause) -> str:
    """What Go says of a value of a wrong type: it names the field of its struct, not what is inside of a map."""
    found = cause.message.rpartition(": ")[2].strip('"')
    go = {"boolean": "bool", "integer": "number"}.get(found, found)
    path, wanted = _go_field(kind.schema, cause.field)
    wanted = _GO_NAMES.get((kind.kind, path), wanted)
    struct = "ObjectMeta" if cause.field.startswith("metadata.") else kind.kind
    if kind.custom:
        path = path.removeprefix("metadata.")
    return f"json: cannot unmarshal {go} into Go struct field {struct}.{path} of type {wanted}"


def _go_field(schema: schemas.Schema, path: str) -> tuple[str, str]:
    """The path of the struct's field that holds a value, and the Go type that is wanted at the value."""
    known: list[str] = []
    for step in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if step.startswith("["):
            schema = schemas.of_items(schema)
        elif step in schema.get("properties", {}):
            known.append(step)
            schema = schema["properties"][step]
        else:
            schema = schemas.of_field(schema, step) or {}
            break
    return ".".join(known), _go_type(schema, known[-1] if known else "")


def _go_type(schema: schemas.Schema, field: str) -> str:
    kind, inner = str(schema.get("type", "")), schema.get("additionalProperties")
    if kind == "array":
        return f"[]{_go_type(schemas.of_items(schema), field)}"
    if kind == "object" and isinstance(inner, dict):
        return f"map[string]{_go_type(inner, field)}"
    if kind == "object":
        return "v1." + field[:1].upper() + field[1:].removesuffix("s")
    if schema.get("format") == "byte":
        return "[]uint8"
    return {"integer": str(schema.get("format", "int64")), "boolean": "bool"}.get(kind, kind)


_GO_NAMES = {("Secret", "type"): "v1.SecretType"}  # types of Go that are texts in JSON


def _cannot_be_handled(target: Target, message: str) -> errors.ApiError:
    kind = target.kind.kind
    return errors.bad_request(f'{kind} in version "{target.served.version}" cannot be handled as a {kind}: {message}')
