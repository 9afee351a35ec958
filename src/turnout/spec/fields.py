"""The kinds of value that fields of model.yaml have, and what all of its blocks share."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Strict

from turnout import times
from turnout.errors import InputError
from turnout.kube.turnouts import parse_duration_us

__all__ = [
    "EITHER",
    "LIST",
    "MAPPING",
    "Block",
    "Flag",
    "Moment",
    "Name",
    "Number",
    "Share",
    "Span",
    "Text",
    "Whole",
    "matches",
]

# Strict: `name: 5` is a mistake to be told about, not a name to be guessed.
Text = Annotated[str, Strict(), Field(min_length=1)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Name = Annotated[str, Strict(), Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]


def _moment(written: str) -> str:
    try:
        times.parse_us(written)
    except InputError as error:
        raise ValueError(str(error)) from error
    return written


def _span(written: str) -> str:
    parse_duration_us(written)
    return written


Moment = Annotated[str, Strict(), AfterValidator(_moment)]
Span = Annotated[str, Strict(), AfterValidator(_span)]
"""A length of time such as `1h30m`; kept as written, so that a spec that is written again reads the same."""


class Block(BaseModel):
    """A mapping of model.yaml: no fields but its own, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _form(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else LIST


LIST, MAPPING = "[list]", "[mapping]"
"""Tags of the two forms of a field that may be either."""
EITHER = Discriminator(_form)
"""Says which of the two a value is meant to be, so that a mistake in it is told once."""


def matches(column: str, pattern: str) -> bool:
    """Whether a column is the one that is named, or one of those that a pattern such as `p*` means."""
    return column == pattern or fnmatchcase(column, pattern)
