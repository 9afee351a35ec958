"""Structural schemas as the Kubernetes API uses them: what is unknown, what is missing, what is wrong.

Not JSON Schema in general, and so without a library for it: Kubernetes prunes, fills defaults and words its refusals in
ways that a general validator does not know, and clients show those words to people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from turnout.embedded.api.errors import Cause, go_quote, go_value, invalid_value, required, unsupported_value

__all__ = ["causes", "has_rules", "is_open", "of_field", "of_items", "prune", "unknown_fields", "with_defaults"]

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_ANY: Schema = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}


def is_open(schema: Schema) -> bool:
    """Whether a schema lets any field stand that it does not name."""
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or "type" not in schema


def of_field(schema: Schema, key: str) -> Schema | None:
    """The schema of one field of an object; None for a field that the schema does not know."""
    found: Schema | None = schema.get("properties", {}).get(key)
    if found is None and isinstance(schema.get("additionalProperties"), dict):
        found = schema["additionalProperties"]
    return _ANY if found is None and is_open(schema) else found


def of_items(schema: Schema) -> Schema:
    """The schema of the elements of a list."""
    found: Schema = schema.get("items", _ANY)
    return found


def unknown_fields(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """Paths of the fields that the schema does not know, in the order of the object."""
    if isinstance(value, dict):
        for key, item in value.items():
            at = f"{path}.{key}" if path else key
            known = of_field(schema, key)
            if known is None:
                yield at
            else:
                yield from unknown_fields(known, item, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_fields(of_items(schema), item, f"{path}[{index}]")


def prune(schema: Schema, value: Any, *, keep_nulls: bool = False) -> Any:
    """A value without what the schema does not know, and (unless they are kept) nulls where none may stand."""
    if isinstance(value, dict):
        kept = {}
        for key, item in value.items():
            known = of_field(schema, key)
            if item is None and known is not None and _is_map_of_texts(schema):
                kept[key] = ""  # as Go decodes it
            elif known is not None and (item is not None or keep_nulls or known.get("nullable") or is_open(schema)):
                kept[key] = prune(known, item, keep_nulls=keep_nulls)
        return kept
    if isinstance(value, list):
        return [prune(of_items(schema), item, keep_nulls=keep_nulls) for item in value]
    return value


def _is_map_of_texts(schema: Schema) -> bool:
    return (
        isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"].get("type") == "string"
    )


def with_defaults(schema: Schema, value: Any) -> Any:
    """A value with the schema's defaults where fields are missing."""
    if isinstance(value, dict):
        filled = dict(value)
        for key, known in schema.get("properties", {}).items():
            if "default" in known and key not in filled:
                filled[key] = known["default"]
        return {key: with_defaults(of_field(schema, key) or _ANY, item) for key, item in filled.items()}
    if isinstance(value, list):
        return [with_defaults(of_items(schema), item) for item in value]
    return value


def has_rules(schema: Schema) -> bool:
    """Whether anything in a schema has rules beyond types and limits."""
    if "x-kubernetes-validations" in schema:
        return True
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return any(has_rules(item) for item in below if isinstance(item, dict))


def causes(schema: Schema, value: Any, path: str = "") -> Iterator[Cause]:
    """Everything about a value that breaks its schema."""
    if "type" not in schema or (value is None and schema.get("nullable")):
        return
    wanted = schema["type"]
    if not _is(wanted, value):
        message = f"{path} in body must be of type {wanted}: {go_quote(_type_name(value))}"
        yield Cause(path, "FieldValueTypeInvalid", f"Invalid value: {go_quote(_type_name(value))}: {message}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported_value(path, value, [str(choice) for choice in schema["enum"]])
    yield from _CHECKS[wanted](schema, value, path)


def _is(wanted: str, value: Any) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next(name for name, types in _TYPES.items() if isinstance(value, types))


def _of_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Cause]:
    for key in schema.get("required", ()):
        if key not in value:
            yield required(f"{path}.{key}" if path else key)
    for key, item in value.items():
        known = of_field(schema, key)
        if known is not None:
            yield from causes(known, item, f"{path}.{key}" if path else key)


def _of_array(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    if least is not None and len(value) < least:
        yield invalid_value(path, len(value), f"{path} in body should have at least {least} items")
    for index, item in enumerate(value):
        yield from causes(of_items(schema), item, f"{path}[{index}]")
    yield from _duplicates(schema, value, path)


def _duplicates(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    """Elements of a set or of a list with keys that are there twice."""
    list_type, seen = schema.get("x-kubernetes-list-type"), []
    if list_type not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    for index, item in enumerate(value):
        identity = {key: item.get(key) for key in keys} if list_type == "map" and isinstance(item, dict) else item
        if identity in seen:
            yield Cause(f"{path}[{index}]", "FieldValueDuplicate", f"Duplicate value: {go_value(identity)}")
        seen.append(identity)


def _of_string(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")
    if least is not None and len(value) < least:
        yield invalid_value(path, value, f"{path} in body should be at least {least} chars long")
    if pattern is not None and not _pattern(pattern).search(value):
        yield invalid_value(path, value, f"{path} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and not _is_instant(value):
        yield invalid_value(path, value, f"{path} in body must be of type date-time: {go_quote(value)}")


def _of_number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    most, least = schema.get("maximum"), schema.get("minimum")
    if most is not None and value > most:
        yield invalid_value(path, value, f"{path} in body should be less than or equal to {most}")
    if least is not None and value < least:
        yield invalid_value(path, value, f"{path} in body should be greater than or equal to {least}")
    bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    if bits is not None and not -(2**bits) <= value < 2**bits:
        message = f"{path} in body must be of type {schema['format']}: {go_quote(_type_name(value))}"
        yield invalid_value(path, value, message)


def _of_boolean(schema: Schema, value: bool, path: str) -> Iterator[Cause]:
    yield from ()


_CHECKS: dict[str, Callable[[Schema, Any, str], Iterator[Cause]]] = {
    "object": _of_object,
    "array": _of_array,
    "string": _of_string,
    "integer": _of_number,
    "number": _of_number,
    "boolean": _of_boolean,
}


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of the schema; in Go's dialect `$` is the end of the text, in Python's also before a last newline."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern))


def _is_instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
