"""What people tell a controller: one annotation on the Turnout, so that kubectl can say all that the CLI can.

    kubectl annotate to/digits turnout.dev/order='{verb: rollback, by: ann, reason: "complaints from support"}'

The controller takes an order once, writes down what became of it (`status.lastOrder`), and takes the annotation away.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from turnout.errors import SpecError

__all__ = ["ANNOTATION", "Order", "Verb", "new_id", "read"]

ANNOTATION = "turnout.dev/order"
Verb = Literal["promote", "rollback", "hold", "resume", "retry"]
_WITH_REASON = frozenset({"promote", "retry"})


class Order(BaseModel):
    """One order. Without a version it means the one under test, or what its verb can only mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Verb
    by: str = Field(min_length=1, max_length=100)
    reason: str = Field("", max_length=500)
    version: str = Field("", max_length=52)
    id: str = Field("", max_length=32)

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.verb in _WITH_REASON and not self.reason.strip():
            raise ValueError(f"{self.verb} wants a reason")
        if self.verb == "retry" and not self.version:
            raise ValueError("retry wants a version")
        return self

    def dump(self) -> str:
        """The text of the annotation."""
        return self.model_dump_json(exclude_defaults=True)


def new_id() -> str:
    """Tells two orders of the same words apart."""
    return secrets.token_hex(6)


def read(turnout: Mapping[str, Any]) -> Order | None:
    """The order that an object carries; one without an id is known by its words.

    Raises:
        SpecError: the annotation says nothing that could be obeyed; in one line.
    """
    text = (turnout["metadata"].get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return None
    try:
        fields = yaml.safe_load(text)
        if not isinstance(fields, dict):
            raise SpecError(f"{ANNOTATION}: wanted a mapping such as {{verb: hold, by: ann}}, found {text[:80]!r}")
        order = Order.model_validate(fields)
    except yaml.YAMLError as error:
        raise SpecError(f"{ANNOTATION}: wanted JSON or YAML, found {text[:80]!r}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'order'}: {e['msg']}" for e in error.errors())
        raise SpecError(f"{ANNOTATION}: {problems}") from error
    return order if order.id else order.model_copy(update={"id": hashlib.sha256(text.encode()).hexdigest()[:12]})
