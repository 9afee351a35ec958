"""The Turnout as types: what `manifests/crd/turnouts.yaml` says, for Python. A test holds the two together."""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from turnout.errors import SpecError
from turnout.kube.freezing import Freeze

__all__ = [
    "API_VERSION",
    "Guardrails",
    "Policy",
    "Sticky",
    "TurnoutSpec",
    "build",
    "default_host",
    "parse_duration_us",
    "read_spec",
]

API_VERSION = "turnout.dev/v1alpha1"

_UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")


def parse_duration_us(text: Any) -> int:
    """Microseconds of a duration such as `90s`, `1h30m` or `500ms`.

    Raises:
        ValueError: the text is not a row of numbers with units.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if not isinstance(text, str) or not re.fullmatch(r"(\d+(ms|s|m|h|d))+", text):
        raise ValueError(f"a duration such as 90s, 1h30m or 500ms was wanted, found {text!r}")
    return sum(int(number) * _UNITS_US[unit] for number, unit in _DURATION.findall(text))


Duration = Annotated[int, BeforeValidator(parse_duration_us)]
"""Microseconds, written as `1h30m`."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Guardrails(_Model):
    """Limits that need no labels; both compare the challenger with the champion over the same time."""

    error_rate: float = Field(0.01, ge=0, le=1)
    latency_p99_ratio: float = Field(1.5, ge=1, le=100, alias="latencyP99Ratio")


class Policy(_Model):
    """How a challenger is tried, and what must be shown before it wins or loses. Durations are microseconds."""

    metric: str = Field("accuracy", min_length=1, max_length=63)
    margin: float = Field(0.02, ge=0, le=0.5)
    alpha: float = Field(0.05, ge=0.000001, le=0.5)
    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = Field((5, 20, 50), min_length=1, max_length=16)
    guardrails: Guardrails = Guardrails.model_construct(error_rate=0.01, latency_p99_ratio=1.5)
    on_fail: Literal["rollback", "hold"] = "rollback"
    on_expiry: Literal["hold", "rollback"] = "hold"
    max_age: Duration = 30 * _UNITS_US["d"]
    on_blind: Literal["hold", "rollback"] = "hold"
    blind_time: Duration = 5 * _UNITS_US["m"]
    on_second: Literal["queue", "replace", "together"] = "queue"
    approval: Literal["none", "required"] = "none"
    freeze: tuple[Freeze, ...] = Field((), max_length=32)
    bake: Duration = _UNITS_US["h"]
    label_window: Duration = _UNITS_US["h"]
    min_labels: int = Field(30, ge=1)
    step_time: Duration = _UNITS_US["m"]
    holdback: int = Field(5, ge=0, le=50)
    forced_routing: bool = True
    keep: int = Field(2, ge=0)

    @field_validator("steps")
    @classmethod
    def _rise(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
            raise ValueError(f"steps must rise strictly, found {list(steps)}")
        return steps


class Sticky(_Model):
    """Who is always answered by the same version: requests with the same value of this header. Empty: nobody."""

    header: str = Field("", max_length=64, pattern="^([A-Za-z0-9!#$%&'*+.^_`|~-]+)?$")


class TurnoutSpec(_Model):
    """`spec` of a Turnout."""

    challengers: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    host: str | None = None
    policy: Policy = Policy.model_construct()
    sticky: Sticky = Sticky.model_construct(header="")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        both = sorted(set(self.challengers) & set(self.shadows))
        if both:
            raise ValueError(f"a version is a challenger or a shadow, not both: {', '.join(both)}")
        if self.sticky.header and self.policy.on_second == "together":
            raise ValueError("a sticky rollout compares two versions at a time: onSecond must be queue or replace")
        return self

    @classmethod
    def read(cls, spec: dict[str, Any]) -> Self:
        """The spec of an object, checked.

        Raises:
            SpecError: names every field that is wrong.
        """
        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            problems = tuple(f"spec.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise SpecError("the Turnout's spec is not valid", problems=problems) from error


def read_spec(turnout: dict[str, Any]) -> TurnoutSpec:
    """The typed spec of a Turnout object."""
    return TurnoutSpec.read(turnout.get("spec") or {})


def default_host(name: str, namespace: str, domain: str) -> str:
    """`{name}.{domain}` in the namespace `default`, `{name}.{namespace}.{domain}` elsewhere."""
    return f"{name}.{domain}" if namespace == "default" else f"{name}.{namespace}.{domain}"


def build(
    name: str, *, namespace: str, challengers: list[str], policy: dict[str, Any], host: str | None = None
) -> dict[str, Any]:
    """A Turnout object; `policy` as it is written in model.yaml."""
    spec: dict[str, Any] = {"challengers": challengers, "policy": policy}
    if host:
        spec["host"] = host
    return {
        "apiVersion": API_VERSION,
        "kind": "Turnout",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
