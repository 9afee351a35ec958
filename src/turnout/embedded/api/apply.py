"""Server-side apply: a configuration is merged into an object, and its manager owns what stands in it.

    1. The configuration is merged into the live object, field by field (atomic values as a whole).
    2. A field that it changes and that somebody else manages is a conflict, unless the request forces it.
    3. A field that the manager applied before, leaves out now, and nobody else manages is removed.

The rules are those of Kubernetes' structured-merge-diff, written for our schemas.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from turnout.embedded import objects
from turnout.embedded.api import fields, managers, schemas, typed
from turnout.embedded.api.errors import ApiError, bad_request
from turnout.embedded.api.fields import FieldPath, FieldSet
from turnout.embedded.api.managers import Managed, Manager, Managers
from turnout.embedded.kinds import Kind

__all__ = ["apply", "check_configuration"]

Object = dict[str, Any]

_BEFORE_FIRST_APPLY = "before-first-apply"


def check_configuration(kind: Kind, config: Object) -> None:
    """Refuse a configuration with fields that the schema does not know, or of another type than it says.

    Raises:
        ApiError: there are some, a type is wrong, or an element of a set or of a list with keys is there twice (500, as
            in Kubernetes); managedFields are given (400).
    """
    if config["metadata"].get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    unknown = [f".{path}: field not declared in schema" for path in schemas.unknown_fields(kind.schema, config)]
    if wrong := typed.faults(kind.schema, config) or unknown:
        raise ApiError(500, _untyped(config, wrong))


def _untyped(config: Object, texts: list[str]) -> str:
    metadata = config["metadata"]
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    group, _, version = config["apiVersion"].rpartition("/")
    which = f"({name}; {group}/{version}, Kind={config['kind']})"
    text = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in texts)
    return f"failed to create typed patch object {which}: {text}"


def apply(kind: Kind, live: Object | None, config: Object, *, manager: Manager, force: bool) -> Object:
    """The object after `manager` applied `config`.

    Raises:
        ApiError: the configuration changes fields of other managers (409).
    """
    base = live or {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": dict(config["metadata"])}
    known = managers.read(base)
    if live is not None and not known:
        known = _all_of(kind, live)
    claimed = fields.leaves(kind.schema, config)
    merged = _merge(kind.schema, base, config)
    written, _ = fields.changed(kind.schema, live or {"metadata": {}}, merged)
    others = {other: managed for other, managed in known.items() if other != manager}
    if not force:
        _refuse_conflicts(others, written)
    others = {other: replace(managed, fields=managed.fields - written) for other, managed in others.items()}
    before = known.get(manager, Managed(fields=FieldSet()))
    kept = _drop(kind.schema, base, _given_up(before.fields - claimed, others))
    merged = _merge(kind.schema, kept, config)
    still = fields.nodes(kind.schema, merged)
    others = {other: replace(managed, fields=managed.fields & still) for other, managed in others.items()}
    unchanged = live is not None and objects.same(managers.write(live, {}), managers.write(merged, {}))
    time = before.time if unchanged else objects.now()
    return managers.write(merged, {**others, manager: Managed(fields=claimed, time=time)})


def _all_of(kind: Kind, live: Object) -> Managers:
    """An object from before anybody's fields were recorded: all of it belongs to a manager of its own."""
    manager = Manager("Update", _BEFORE_FIRST_APPLY, live["apiVersion"])
    return {manager: Managed(fields=fields.nodes(kind.schema, live), time=objects.now())}


def _refuse_conflicts(others: Managers, written: FieldSet) -> None:
    found = [(other, path) for other, managed in others.items() for path in managed.fields & written]
    if not found:
        return
    found.sort(key=lambda item: (item[0].name, item[1]))
    names = list(dict.fromkeys(_named(other) for other, _ in found))
    count = f"{len(found)} conflict" + ("s" if len(found) > 1 else "")
    if len(found) == 1:
        text = f"conflict with {names[0]}: {fields.shown(found[0][1])}"
    else:
        text = "\n".join(
            f"conflicts with {name}:\n"
            + "\n".join(f"- {fields.shown(path)}" for other, path in found if _named(other) == name)
            for name in names
        )
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_named(other)}", "field": fields.shown(path)}
        for other, path in found
    ]
    raise ApiError(409, f"Apply failed with {count}: {text}", reason="Conflict", details={"causes": causes})


def _named(manager: Manager) -> str:
    if manager.operation == "Apply":
        return f'"{manager.name}"'
    subresource = f' with subresource "{manager.subresource}"' if manager.subresource else ""
    return f'"{manager.name}"{subresource} using {manager.api_version}'


def _given_up(left_out: FieldSet, others: Managers) -> FieldSet:
    """The fields that nobody manages any more, nor anything below them."""
    managed = {path for other in others.values() for path in other.fields}
    above = {path[:length] for path in managed for length in range(1, len(path) + 1)}
    return FieldSet(path for path in left_out if path not in above)


def _merge(schema: schemas.Schema, live: Any, config: Any) -> Any:
    if isinstance(live, dict) and isinstance(config, dict) and schema.get("x-kubernetes-map-type") != "atomic":
        merged = dict(live)
        for key, value in config.items():
            below = schemas.of_field(schema, key) or {}
            merged[key] = _merge(below, live[key], value) if key in live else value
        return merged
    if isinstance(live, list) and isinstance(config, list):
        list_type = schema.get("x-kubernetes-list-type")
        if list_type == "set":
            return [*live, *(item for item in config if item not in live)]
        if list_type == "map":
            return _merge_keyed(schema, live, config)
    return config


def _merge_keyed(schema: schemas.Schema, live: list[Any], config: list[Any]) -> list[Any]:
    """Elements of the configuration in its order; elements of others stay where they were before it."""
    steps = {fields.step_of_item(schema, item): item for item in config}
    known = {fields.step_of_item(schema, item) for item in live}
    merged = []
    for item in live:
        step = fields.step_of_item(schema, item)
        merged.append(_merge(schemas.of_items(schema), item, steps[step]) if step in steps else item)
    return [*merged, *(item for step, item in steps.items() if step not in known)]


def _drop(schema: schemas.Schema, obj: Object, gone: FieldSet) -> Object:
    """An object without some fields; containers that this empties go too, elements of lists as a whole."""
    outer = [path for path in gone if not any(path[:length] in gone for length in range(1, len(path)))]
    for path in sorted(outer):
        obj = _without(schema, obj, path)
    return obj


def _without(schema: schemas.Schema, value: Any, path: FieldPath) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step.startswith("f:"):
        key = step[2:]
        if key not in value:
            return value
        below = _without(schemas.of_field(schema, key) or {}, value[key], rest) if rest else None
        kept = {name: item for name, item in value.items() if name != key}
        return kept if below in (None, {}, []) else {**value, key: below}
    if isinstance(value, list):
        kept_items = []
        for item in value:
            if fields.step_of_item(schema, item) != step:
                kept_items.append(item)
            elif rest:
                kept_items.append(_without(schemas.of_items(schema), item, rest))
        return kept_items
    return value
