"""The part of Kubernetes' JSONPath that CustomResourceDefinitions use for their columns.

Fields, escaped dots, quoted keys, indices, `[*]`, and filters that compare a field with a text, number or truth value.
Not the whole language: an expression outside of it is refused when the definition is read, not when somebody lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from turnout.errors import InputError

__all__ = ["as_text", "compile"]

_TOKEN = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\\])+)
      | \[\?\(\s*@\.(?P<key>[\w.]+)\s*==\s*(?P<quote>["']?)(?P<value>.*?)(?P=quote)\s*\)\]
      | \[(?P<kquote>["'])(?P<name>.*?)(?P=kquote)\]
      | \[(?P<index>-?\d+)\]
      | (?P<every>\[\*\])""",
    re.VERBOSE,
)
_Step = Callable[[list[Any]], list[Any]]


def compile(expression: str) -> Callable[[Any], list[Any]]:
    """A function from an object to the values at `expression`, in order.

    >>> compile('.conditions[?(@.type=="Ready")].status')({"conditions": [{"type": "Ready", "status": "True"}]})
    ['True']
    """
    steps, position = [], 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if token is None:
            raise InputError(f"JSONPath {expression!r}: cannot read {expression[position:]!r}")
        steps.append(_step(token))
        position = token.end()

    def find(obj: Any) -> list[Any]:
        values = [obj]
        for step in steps:
            values = step(values)
        return values

    return find


def as_text(values: list[Any]) -> str:
    """The values as kubectl prints them: texts bare, everything else as JSON, a space between."""
    return " ".join(value if isinstance(value, str) else orjson.dumps(value).decode() for value in values)


def _step(token: re.Match[str]) -> _Step:
    if token["index"] is not None:
        return lambda values: _at(values, int(token["index"]))
    if token["every"] is not None:
        return lambda values: [item for value in values if isinstance(value, list) for item in value]
    if token["key"] is not None:
        return lambda values: _matching(values, token["key"], token["value"])
    key = token["name"] if token["name"] is not None else re.sub(r"\\(.)", r"\1", token["field"])
    return lambda values: [value[key] for value in values if isinstance(value, dict) and value.get(key) is not None]


def _at(values: list[Any], index: int) -> list[Any]:
    return [value[index] for value in values if isinstance(value, list) and -len(value) <= index < len(value)]


def _matching(values: list[Any], key: str, wanted: str) -> list[Any]:
    items = [item for value in values if isinstance(value, list) for item in value]
    return [item for item in items if isinstance(item, dict) and key in item and as_text([item[key]]) == wanted]
