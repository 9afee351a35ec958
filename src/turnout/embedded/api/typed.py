"""Whether an applied configuration has the types of its schema, in the words of Kubernetes' structured-merge-diff.

It is less strict than validation, which comes later: null may stand anywhere, and 80.5 is a number where 80 is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnout.embedded.api import fields, schemas
from turnout.embedded.api.errors import go_quote

__all__ = ["faults"]

_WORDS = {"object": "map", "array": "list"}


def faults(schema: schemas.Schema, config: Any) -> list[str]:
    """What is wrong, each with its path."""
    return list(_faults(schema, config, ""))


def _faults(schema: schemas.Schema, value: Any, path: str) -> Iterator[str]:
    if value is None or "type" not in schema:
        return
    wanted = schema["type"]
    if not _fits(wanted, value):
        yield f"{path}: expected {_expected(wanted, value)}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(schemas.of_field(schema, key) or {}, item, f"{path}.{key}")
    elif isinstance(value, list):
        yield from _faults_of_list(schema, value, path)


def _faults_of_list(schema: schemas.Schema, items: list[Any], path: str) -> Iterator[str]:
    seen: set[str] = set()
    is_set, is_keyed = (schema.get("x-kubernetes-list-type") == name for name in ("set", "map"))
    for index, item in enumerate(items):
        has_step = is_set or (is_keyed and isinstance(item, dict))
        step = fields.shown((fields.step_of_item(schema, item),)) if has_step else f"[{index}]"
        yield from _faults(schemas.of_items(schema), item, f"{path}{step if is_set else f'[{index}]'}")
        if has_step and step in seen:
            yield f"{path}: duplicate entries for key {step}"
        seen.add(step)


def _fits(wanted: str, value: Any) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    types: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": (int, float),
        "number": (int, float),
    }
    return wanted in types and isinstance(value, types[wanted])


def _expected(wanted: str, value: Any) -> str:
    """Go prints what it found in three ways, by what it wanted."""
    if wanted == "string":
        return f"string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"
    if wanted in ("integer", "number"):
        return f"numeric (int or float), got {_go_type(value)}"
    return f"{_WORDS.get(wanted, wanted)}, got &{{{_go_plain(value)}}}"


def _go_type(value: Any) -> str:
    return {bool: "bool", str: "string", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]


def _go_plain(value: Any) -> str:
    """Go's %v."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_plain(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_plain, value))}]"
    return {True: "true", False: "false", None: "<nil>"}[value] if isinstance(value, bool | None) else str(value)


def _go_syntax(value: Any) -> str:
    """Go's %#v."""
    if isinstance(value, dict):
        inner = ", ".join(f"{go_quote(key)}:{_go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    if isinstance(value, str):
        return go_quote(value)
    return "interface {}(nil)" if value is None else _go_plain(value)
