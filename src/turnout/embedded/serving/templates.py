"""The part of Go's text/template that serving runtimes use: fields, `index` into maps, and `if`/`else`/`end`.

A missing map key gives an empty text, as KServe's templates do; an unknown field is an error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import SpecError

__all__ = ["command_words", "fields_of", "render", "render_all"]

Fields = Mapping[str, str | Mapping[str, str]]

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(\w+)(?:\.(\w+))?")
_INDEX = re.compile(r'index\s+\.(\w+)\s+(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')
_FIRST_PLACEHOLDER = 0xE000  # Unicode's private use area: no command line holds these


def fields_of(metadata: Mapping[str, Any], **more: str) -> dict[str, str | Mapping[str, str]]:
    """What a template may use of an object: its ObjectMeta, and `more`."""
    return {
        "Name": metadata.get("name", ""),
        "Namespace": metadata.get("namespace", ""),
        "GenerateName": metadata.get("generateName", ""),
        "UID": metadata.get("uid", ""),
        "Labels": metadata.get("labels") or {},
        "Annotations": metadata.get("annotations") or {},
        **more,
    }


def render(text: str, fields: Fields, *, quotes: str = '`"') -> str:
    """The text with its actions replaced; `quotes` are those that actions may use.

    Raises:
        SpecError: an action that is not understood, a field that does not exist, or an `if` without its `end`.
    """
    if "{{" not in text:
        return text
    out: list[str] = []
    conditions: list[_Branch] = []
    position = 0
    for match in _ACTION.finditer(text):
        if '"' in match[1] and '"' not in quotes:
            raise SpecError(f"template {match[0]}: quotes must be ` here")
        _emit(out, conditions, text[position : match.start()])
        _act(match[1], fields, out, conditions)
        position = match.end()
    rest = text[position:]
    if conditions or "{{" in rest:
        raise SpecError(f"template {text!r}: an action is not closed")
    return "".join((*out, rest))


def render_all(value: Any, fields: Fields, *, quotes: str = '`"') -> Any:
    """Every text inside lists and mappings rendered."""
    if isinstance(value, str):
        return render(value, fields, quotes=quotes)
    if isinstance(value, list):
        return [render_all(item, fields, quotes=quotes) for item in value]
    if isinstance(value, dict):
        return {key: render_all(item, fields, quotes=quotes) for key, item in value.items()}
    return value


def command_words(command: str, fields: Fields) -> tuple[str, ...]:
    """A command line split as a shell would, each word then rendered: no value can add words of its own.

    Raises:
        SpecError: quotes that are not closed, or a template that cannot be rendered.
    """
    actions = [match[0] for match in _ACTION.finditer(command)]
    shielded = _ACTION.sub(lambda match: chr(_FIRST_PLACEHOLDER + actions.index(match[0])), command)
    try:
        words = shlex.split(shielded)
    except ValueError as error:
        raise SpecError(f"command {command!r}: {error}") from error
    placeholders = {_FIRST_PLACEHOLDER + index: action for index, action in enumerate(actions)}
    return tuple(render(word.translate(placeholders), fields) for word in words)


@dataclass
class _Branch:
    """An `if` that is open: whether its present branch is written."""

    is_taken: bool


def _emit(out: list[str], conditions: list[_Branch], text: str) -> None:
    if all(branch.is_taken for branch in conditions):
        out.append(text)


def _act(action: str, fields: Fields, out: list[str], conditions: list[_Branch]) -> None:
    word, _, rest = action.partition(" ")
    if word == "if":
        conditions.append(_Branch(is_taken=bool(_value(rest.strip(), fields))))
    elif action in ("else", "end") and not conditions:
        raise SpecError(f"template action {action!r} without an if")
    elif action == "else":
        conditions[-1].is_taken = not conditions[-1].is_taken
    elif action == "end":
        conditions.pop()
    else:
        _emit(out, conditions, _text(_value(action, fields)))


def _value(expression: str, fields: Fields) -> str | Mapping[str, str]:
    if match := _INDEX.fullmatch(expression):
        return _map(match[1], fields).get(match[2] if match[2] is not None else match[3], "")
    if not (match := _FIELD.fullmatch(expression)):
        raise SpecError(f"template action {expression!r} is not understood")
    name, key = match[1], match[2]
    if name not in fields:
        raise SpecError(f"template field .{name} does not exist; there are {', '.join(sorted(fields))}")
    return fields[name] if key is None else _map(name, fields).get(key, "")


def _map(name: str, fields: Fields) -> Mapping[str, str]:
    found = fields.get(name)
    if not isinstance(found, Mapping):
        raise SpecError(f"template field .{name} is no map")
    return found


def _text(value: str | Mapping[str, str]) -> str:
    """Maps are written as Go writes them."""
    if isinstance(value, str):
        return value
    return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
