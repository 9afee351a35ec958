"""Query parameters: one table per operation, read and documented from the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import InputError

__all__ = ["Parameter", "read"]

_LARGEST = 1 << 53  # what every JSON reader can hold exactly
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """One query parameter."""

    name: str
    sentence: str
    kind: str = "string"  # string, integer or boolean, as JSON Schema calls them
    default: str | int | None = None
    is_required: bool = False
    minimum: int = 0
    maximum: int = _LARGEST
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> str | int | bool:
        """The value that a query spells.

        Raises:
            InputError: it is not one of this parameter's values.
        """
        if self.kind == "integer":
            if not (text.isdecimal() and text.isascii()) or not self.minimum <= int(text) <= self.maximum:
                raise InputError(f"{self.name}: wanted an integer from {self.minimum} to {self.maximum}")
            return int(text)
        if self.kind == "boolean":
            if text not in _BOOLEANS:
                raise InputError(f"{self.name}: wanted true or false")
            return _BOOLEANS[text]
        if "\0" in text:
            raise InputError(f"{self.name}: wanted text without NUL")
        if self.choices and text not in self.choices:
            raise InputError(f"{self.name}: wanted {' or '.join(self.choices)}")
        return text

    def schema(self) -> dict[str, Any]:
        """The parameter as OpenAPI has it."""
        value: dict[str, Any] = {"type": self.kind}
        if self.kind == "integer":
            value |= {"minimum": self.minimum, "maximum": self.maximum}
        if self.choices:
            value["enum"] = list(self.choices)
        if self.default is not None:
            value["default"] = self.default
        return {
            "name": self.name,
            "in": "query",
            "required": self.is_required,
            "description": self.sentence,
            "schema": value,
        }


def read(parameters: tuple[Parameter, ...], query: Mapping[str, str]) -> dict[str, Any]:
    """The values of all parameters; an empty one counts as not given.

    Raises:
        InputError: a parameter is wrong, missing or unknown: a misspelled filter must not widen an answer.
    """
    known = {parameter.name for parameter in parameters}
    if unknown := sorted(set(query) - known):
        raise InputError(f"{unknown[0]}: unknown parameter; known are {', '.join(sorted(known)) or 'none'}")
    values: dict[str, Any] = {}
    for parameter in parameters:
        text = query.get(parameter.name, "")
        if not text and parameter.is_required:
            raise InputError(f"{parameter.name} is missing: {parameter.sentence}")
        values[parameter.name] = parameter.parse(text) if text else parameter.default
    return values
