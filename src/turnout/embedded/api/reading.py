"""The verbs get and list."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from turnout.embedded.api import built_in, errors, options, selectors, tables
from turnout.embedded.api.bodies import go_json_error
from turnout.embedded.api.calls import Call, Reply
from turnout.embedded.api.options import ListOptions
from turnout.embedded.api.routes import Served
from turnout.embedded.api.selectors import Selector
from turnout.embedded.store import Expired, Snapshot, Store
from turnout.errors import NotFound

__all__ = ["get", "list_of", "listed", "shape_of", "shaped", "wants_yaml"]

Object = dict[str, Any]

_ANY_STATE = -1  # the version of a token that goes on with whatever there is now

# Protobuf is asked for by Go clients, which also take JSON.
_WRITTEN = ("application/json", "application/yaml")
_SHAPES = {
    ("Table", "v1"): "Table",
    ("Table", "v1beta1"): "OldTable",
    ("PartialObjectMetadata", "v1"): "Partial",
    ("PartialObjectMetadataList", "v1"): "PartialList",
}


def shape_of(call: Call) -> str:
    """What the client wants to see: a table, metadata only or the `Object`, by its Accept header.

    Raises:
        ApiError: it wants a shape or a format that there is not (406).
    """
    choices = _accepted(call)
    asks_shape = False
    for media_type, parameters in choices:
        if media_type not in (*_WRITTEN, "*/*"):
            continue
        shape = (parameters.get("as", ""), parameters.get("v", ""))
        if shape in _SHAPES:
            return _SHAPES[shape]
        if not shape[0]:
            return "Object"
        asks_shape = True
    if not choices:
        return "Object"
    if asks_shape:
        raise errors.not_acceptable(
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf"
        )
    raise errors.not_acceptable(f"406: Not Acceptable\n\nAvailable representations: {', '.join(_WRITTEN)}", details={})


def wants_yaml(call: Call) -> bool:
    """Whether the first format that the client takes and that there is, is YAML."""
    for media_type, _ in _accepted(call):
        if media_type in (*_WRITTEN, "*/*"):
            return media_type == "application/yaml"
    return False


def _accepted(call: Call) -> list[tuple[str, dict[str, str]]]:
    """The media types of the Accept header with their parameters, what the client likes best first."""
    found = []
    for choice in filter(None, (choice.strip() for choice in call.headers.get("accept", "").split(","))):
        media_type, _, rest = choice.partition(";")
        parameters = {part.partition("=")[0].strip(): part.partition("=")[2].strip() for part in rest.split(";")}
        found.append((media_type.strip(), parameters))
    return sorted(found, key=lambda choice: -_quality(choice[1].get("q", "1")))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def get(store: Store, call: Call) -> Reply:
    """One object.

    Raises:
        ApiError: there is none of that name (404).
    """
    target = call.target
    try:
        obj = store.get(target.kind.kind, target.name or "", target.namespace)
    except NotFound as problem:
        raise errors.not_found(target.kind, target.name or "") from problem
    return shaped(call, Reply(200, target.served.present(obj)), shape_of(call))


def shaped(call: Call, reply: Reply, shape: str) -> Reply:
    """An answer in the shape that the client wants; Statuses stay what they are, lists have been made in theirs.

    Raises:
        ApiError: it wants a list, or something that is no `includeObject`.
    """
    served, obj = call.target.served, reply.body
    if shape == "Object" or obj.get("kind") != served.kind.kind:
        return reply
    if shape == "Partial":
        return Reply(reply.code, tables.partial(obj))
    if shape == "PartialList":
        raise _wrong_number(call, "PartialObjectMetadataList", "the requested object is not a list", "")
    version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
    return Reply(reply.code, _table(call, [obj], version, shape))


def _table(call: Call, found: list[Object], metadata: Object, shape: str) -> Object:
    include = call.one("includeObject")
    tables.check_include(include)
    table = tables.table(call.target.served, found, metadata=metadata, include=include)
    return tables.as_v1beta1(table) if shape == "OldTable" else table


def _wrong_number(call: Call, wanted: str, what: str, suffix: str) -> errors.ApiError:
    kind = call.target.kind
    go_type = f"*unstructured.Unstructured{suffix}" if kind.custom else f"*core.{kind.kind}{suffix}"
    return errors.not_acceptable(f"you requested {wanted}, but {what} ({go_type})")


def listed(store: Store, call: Call) -> Reply:
    """The objects of a collection that the selectors choose.

    Raises:
        ApiError: the options are wrong, or the state is not kept (410) or not there yet (504).
    """
    target, wanted = call.target, options.list_options(call.query)
    selector = selectors.of_request(target.kind, call.flat_query)
    snapshot, start = _snapshot(store, call, wanted)
    found = [obj for obj in snapshot.objects if selector.selects(obj) and _key(obj) > start]
    page = found[: wanted.limit] if wanted.limit else found
    metadata: Object = {"resourceVersion": str(snapshot.resource_version)}
    if len(page) < len(found):
        metadata["continue"] = _token(snapshot.resource_version, _key(page[-1]))
        if selector == Selector():
            metadata["remainingItemCount"] = len(found) - len(page)
    elif target.kind.custom:
        metadata["continue"] = ""
    return Reply(200, _shown(call, page, metadata))


def _shown(call: Call, page: list[Object], metadata: Object) -> Object:
    served, shape = call.target.served, shape_of(call)
    if shape in ("Table", "OldTable"):
        return _table(call, page, metadata, shape)
    if shape == "Partial":
        raise _wrong_number(call, "PartialObjectMetadata", "the requested object is a list", "List")
    if shape == "PartialList":
        items = [tables.partial(obj) for obj in page]
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": items,
        }
    return list_of(served, page, metadata)


def list_of(served: Served, found: list[Object], metadata: Object) -> Object:
    """A List object; the items of built-in kinds do not repeat their kind, as in Kubernetes."""
    items = [served.present(obj) for obj in found]
    if not served.kind.custom:
        items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
    kind = f"{served.kind.kind}List"
    return {"kind": kind, "apiVersion": served.api_version, "metadata": metadata, "items": items}


def _snapshot(store: Store, call: Call, wanted: ListOptions) -> tuple[Snapshot, tuple[str, str]]:
    """The state to list, and the key after which to go on."""
    target, at, start = call.target, None, ("", "")
    if wanted.continue_token:
        version, start = _read_token(wanted.continue_token)
        at = None if version == _ANY_STATE else version
    elif wanted.resource_version:
        current = store.resource_version
        if wanted.resource_version > current:
            raise errors.too_large_resource_version(wanted.resource_version, current)
        if wanted.match == "Exact":
            at = wanted.resource_version
    try:
        return store.snapshot(target.kind.kind, target.namespace, at=at), start
    except Expired as problem:
        if wanted.continue_token:
            raise _inconsistent(_token(_ANY_STATE, start)) from problem
        raise errors.expired(f"The resourceVersion for the provided list is too old: {problem}") from problem


def _inconsistent(token: str) -> errors.ApiError:
    """410 with a token for those who would rather have the rest of another state than begin again."""
    error = errors.expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    error.body["metadata"] = {"continue": token}
    return error


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _token(version: int, key: tuple[str, str]) -> str:
    text = orjson.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": f"{key[0]}/{key[1]}"})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError) as problem:
        message = f"illegal base64 data at input byte {built_in.first_bad_byte(token)}"
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {message}") from problem
    try:
        found = orjson.loads(text)
        namespace, _, name = found["start"].partition("/")
        return int(found["rv"]), (namespace, name)
    except orjson.JSONDecodeError as problem:
        raise errors.bad_request(
            f"invalid continue token: continue key is not valid: {go_json_error(text)}"
        ) from problem
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise errors.bad_request(
            "invalid continue token: continue key is not valid: encoded start key missing"
        ) from problem
