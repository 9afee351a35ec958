"""A request as the verbs see it, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.embedded.api.routes import Target

__all__ = ["Call", "Reply"]


@dataclass(frozen=True)
class Call:
    """One request to a resource, with its body read."""

    method: str
    target: Target
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    warnings: list[str] = field(default_factory=list)  # for the person behind the client, also when it is refused

    def one(self, name: str) -> str:
        """The first value of a query parameter, or an empty text."""
        values = self.query.get(name)
        return values[0] if values else ""

    @property
    def flat_query(self) -> dict[str, str]:
        """The first value of every query parameter."""
        return {name: values[0] for name, values in self.query.items()}


@dataclass(frozen=True)
class Reply:
    """Status code and JSON body."""

    code: int
    body: Any
