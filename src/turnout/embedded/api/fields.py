"""Sets of fields, in the way server-side apply counts them.

A field is a path of steps: `f:name` into an object, `k:{"name":"x"}` to the element of a list with keys, `v:"x"` to an
element of a set. Atomic lists and objects are one field. FieldsV1, as it stands in managedFields, is such a set as a
tree; `.` in it marks an inner node that is itself a member.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from turnout.embedded.api import schemas

__all__ = ["FieldSet", "changed", "from_v1", "leaves", "nodes", "shown", "step_of_item", "to_v1"]

FieldPath = tuple[str, ...]
FieldSet = frozenset[FieldPath]
Schema = dict[str, Any]

# The server's own: nobody manages them.
_UNMANAGED = frozenset(
    [
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{key}")
            for key in (
                "name",
                "namespace",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "selfLink",
                "uid",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    ]
)


def leaves(schema: Schema, obj: dict[str, Any]) -> FieldSet:
    """The fields that an applied configuration claims: its values, empty containers, and elements of keyed lists."""
    return FieldSet(_managed(_walk(schema, obj, (), inner=False)))


def nodes(schema: Schema, obj: dict[str, Any]) -> FieldSet:
    """All fields of an object, containers too: what appears when a field is added and goes when it is removed."""
    return FieldSet(_managed(_walk(schema, obj, (), inner=True)))


def changed(schema: Schema, before: dict[str, Any], after: dict[str, Any]) -> tuple[FieldSet, FieldSet]:
    """The fields of `after` that are new or have another value, and the fields of `before` that are gone."""
    old, new = _values(schema, before), _values(schema, after)
    written = FieldSet(path for path, value in new.items() if path not in old or old[path] != value)
    return written, FieldSet(path for path in old if path not in new)


def to_v1(fields: FieldSet) -> dict[str, Any]:
    """The tree of a set, sorted as Kubernetes sorts it."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        level = tree
        for step in path:
            level = level.setdefault(step, {})
        level["."] = {}
    return _tidy(tree)


def _tidy(tree: dict[str, Any]) -> dict[str, Any]:
    """A member without members below it is an empty object, not one with a dot."""
    return {key: {} if list(below) == ["."] else _tidy(below) for key, below in tree.items()}


def from_v1(tree: dict[str, Any]) -> FieldSet:
    """The set of a tree."""
    return FieldSet(_members(tree, ()))


def shown(path: FieldPath) -> str:
    """A path as conflicts name it: `.spec.rules[name="a"].weight`."""
    return "".join(_shown_step(step) for step in path)


def _shown_step(step: str) -> str:
    if step.startswith("f:"):
        return f".{step[2:]}"
    if step.startswith("k:"):
        keys = orjson.loads(step[2:])
        return "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
    return f"[={step[2:]}]"


def step_of_item(schema: Schema, item: Any) -> str:
    """The step to one element of a list that is a set or has keys."""
    if schema.get("x-kubernetes-list-type") == "set":
        return "v:" + orjson.dumps(item).decode()
    properties = schemas.of_items(schema).get("properties", {})
    keys = {
        key: item.get(key, properties.get(key, {}).get("default"))
        for key in sorted(schema.get("x-kubernetes-list-map-keys", ()))
    }
    return "k:" + orjson.dumps(keys).decode()


def _members(tree: dict[str, Any], path: FieldPath) -> Iterator[FieldPath]:
    for step, below in tree.items():
        if step == ".":
            yield path
        elif below:
            yield from _members(below, (*path, step))
        else:
            yield (*path, step)


def _managed(paths: Iterator[FieldPath]) -> Iterator[FieldPath]:
    return (path for path in paths if path and path not in _UNMANAGED and path[:2] != ("f:metadata", "f:managedFields"))


def _walk(schema: Schema, value: Any, path: FieldPath, *, inner: bool) -> Iterator[FieldPath]:
    for found, _, is_inner in _visit(schema, value, path):
        if inner or not is_inner:
            yield found


def _values(schema: Schema, obj: dict[str, Any]) -> dict[FieldPath, Any]:
    """Every field with what to compare of it: the value of a leaf, of a container only that it is there."""
    found = {path: value for path, value, _ in _visit(schema, obj, ())}
    return {path: found[path] for path in _managed(iter(found))}


def _visit(schema: Schema, value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any, bool]]:
    """Path, value and whether it is a container that is not empty, of everything in a value."""
    if isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic":
        yield path, None, bool(value)
        for key, item in value.items():
            below = schemas.of_field(schema, key) or {}
            yield from _visit(below, item, (*path, f"f:{key}"))
    elif isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("set", "map"):
        yield path, None, bool(value)
        for item in value:
            yield from _visit_item(schema, item, (*path, step_of_item(schema, item)))
    else:
        yield path, value, False


def _visit_item(schema: Schema, item: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any, bool]]:
    """An element of a keyed list or set: being there is itself a field, whatever is in it."""
    if not isinstance(item, dict) or schemas.of_items(schema).get("x-kubernetes-map-type") == "atomic":
        yield path, item, False
        return
    yield path, None, False
    for key, value in item.items():
        yield from _visit(schemas.of_field(schemas.of_items(schema), key) or {}, value, (*path, f"f:{key}"))
