"""The three patches that are applied to a whole object: JSON patch, merge patch and strategic merge patch.

Pure functions: an object and a patch in, a new object out. Server-side apply is another matter (`apply`).
"""

from __future__ import annotations

import copy
from typing import Any

from turnout.embedded.api import schemas
from turnout.embedded.api.errors import ApiError, bad_request

__all__ = ["json_patch", "merge_patch", "strategic_merge_patch"]

_OPERATIONS_MOST = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902, all or nothing; like Kubernetes, `replace` may name a key that is not there.

    Raises:
        ApiError: the patch is no list of operations (400), or one of them cannot be done (422).
    """
    if not isinstance(operations, list):
        name = {dict: "object", str: "string", bool: "bool", int: "number", float: "number"}.get(
            type(operations), "null"
        )
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {name} into Go value of type []handlers.jsonPatchOp"
        )
    if len(operations) > _OPERATIONS_MOST:
        message = f"The allowed maximum operations in a JSON patch is {_OPERATIONS_MOST}, got {len(operations)}"
        raise ApiError(413, message, reason="RequestEntityTooLarge", details={})
    holder = {"": copy.deepcopy(target)}
    for operation in operations:
        try:
            _operate(holder, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as problem:
            raise _refused() from problem
    return holder.get("")


def _refused() -> ApiError:
    """Kubernetes has one text for every JSON patch that cannot be applied."""
    return ApiError(422, "the server rejected our request due to an error in our request", reason="Invalid", details={})


def _operate(holder: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation["op"], _pointer(operation["path"])
    if kind in ("add", "replace"):
        _put(holder, path, copy.deepcopy(operation.get("value")), insert=kind == "add")
    elif kind == "remove":
        _take(holder, path)
    elif kind == "move":
        _put(holder, path, _take(holder, _pointer(operation["from"])), insert=True)
    elif kind == "copy":
        _put(holder, path, copy.deepcopy(_at(holder, _pointer(operation["from"]))), insert=True)
    elif kind == "test":
        if not _equal(_find(holder, path), operation.get("value")):
            raise ValueError("test failed")
    else:
        raise ValueError(f"unknown operation {kind}")


def _pointer(text: str) -> list[str]:
    """The steps of a JSON pointer, below the holder's key."""
    if text and not text.startswith("/"):
        raise ValueError("a pointer starts with a slash")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")]


def _at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value[_index(value, step)] if isinstance(value, list) else value[step]
    return value


def _find(value: Any, steps: list[str]) -> Any:
    """What a test compares: a key that is missing is null."""
    parent = _at(value, steps[:-1])
    return parent.get(steps[-1]) if isinstance(parent, dict) else _at(parent, steps[-1:])


def _index(items: list[Any], step: str) -> int:
    index = int(step)
    if not -len(items) <= index < len(items):
        raise IndexError(step)
    return index


def _put(holder: dict[str, Any], steps: list[str], value: Any, *, insert: bool) -> None:
    parent, last = _at(holder, steps[:-1]), steps[-1]
    if isinstance(parent, list):
        if not insert:
            parent[_index(parent, last)] = value
        elif last == "-":
            parent.append(value)
        elif 0 <= int(last) <= len(parent):
            parent.insert(int(last), value)
        else:
            raise IndexError(last)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise TypeError("neither a list nor an object")


def _take(holder: dict[str, Any], steps: list[str]) -> Any:
    parent, last = _at(holder, steps[:-1]), steps[-1]
    return parent.pop(_index(parent, last)) if isinstance(parent, list) else parent.pop(last)


def _equal(one: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return bool(one == other)


def strategic_merge_patch(schema: schemas.Schema, target: Any, patch: Any) -> Any:
    """A merge patch that merges lists with keys and sets, and knows Kubernetes' `$` directives.

    Raises:
        ApiError: the patch does not fit the object (400).
    """
    try:
        return _merge_strategically(schema, target, patch)
    except (AttributeError, KeyError, TypeError) as problem:
        raise bad_request(f"error decoding patch: it does not fit the object: {problem}") from problem


def _merge_strategically(schema: schemas.Schema, target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if not key.startswith("$"):
            known = schemas.of_field(schema, key) or {}
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _strategic_value(known, merged.get(key), value)
    _direct(schema, merged, patch)
    return {key: value for key, value in merged.items() if value is not _EMPTIED}


_EMPTIED = object()


def _strategic_value(schema: schemas.Schema, current: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return _merge_strategically(schema, current, value)
    if isinstance(value, list) and isinstance(current, list):
        list_type = schema.get("x-kubernetes-list-type")
        if list_type == "set":
            return [*(item for item in value if item not in current), *current]
        if list_type == "map":
            return _merge_list(schema, current, value)
    return _without_directives(value)


def _merge_list(schema: schemas.Schema, current: list[Any], patch: list[Any]) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [item for item in patch if item != {"$patch": "replace"}]
    # Strategic merge has one key per list; of several keys it takes the first (containerPort, not protocol).
    key = schema["x-kubernetes-list-map-keys"][0]
    known = {item.get(key): index for index, item in enumerate(current)}
    result: list[Any] = list(current)
    added = []
    for item in patch:
        index = known.get(item.get(key))
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(key) != item.get(key)]
            known = {old.get(key): place for place, old in enumerate(result)}
        elif index is None:
            added.append(_without_directives(item))
        else:
            result[index] = _merge_strategically(schemas.of_items(schema), result[index], item)
    return [*added, *result]


def _direct(schema: schemas.Schema, merged: dict[str, Any], patch: dict[str, Any]) -> None:
    """`$deleteFromPrimitiveList/x` and `$retainKeys`; `$setElementOrder/x` says only what the order should be."""
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            kept = [item for item in merged.get(field, ()) if item not in value]
            merged[field] = kept or _EMPTIED
        elif key.startswith("$setElementOrder/"):
            field = key.partition("/")[2]
            if isinstance(merged.get(field), list):
                merged[field] = _ordered(schemas.of_field(schema, field) or {}, merged[field], value)
    if "$retainKeys" in patch:
        for key in [key for key in merged if key not in patch["$retainKeys"]]:
            del merged[key]


def _ordered(schema: schemas.Schema, items: list[Any], order: list[Any]) -> list[Any]:
    keys = schema.get("x-kubernetes-list-map-keys", [""])

    def identity(item: Any) -> Any:
        return item.get(keys[0]) if isinstance(item, dict) else item

    places = {identity(item): place for place, item in enumerate(order)}
    return sorted(items, key=lambda item: places.get(identity(item), len(places)))


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if not key.startswith("$")}
    return [_without_directives(item) for item in value] if isinstance(value, list) else value
