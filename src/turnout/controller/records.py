"""The plain records that decisions are made from and of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from turnout.controller.rollout import Rollout
from turnout.kube.orders import Order
from turnout.kube.turnouts import Policy

__all__ = ["Action", "Blindness", "Decision", "Evidence", "Observed", "Rules"]

Action = Literal[
    "adopt",
    "start",
    "step",
    "verdict",
    "await",
    "promote",
    "rollback",
    "hold",
    "resume",
    "retry",
    "expire",
    "withdraw",
    "replace",
    "revert",
    "baked",
    "refuse",
    "alias",
]


class Evidence(Protocol):
    """What the rules ask of a comparison."""

    @property
    def is_worse(self) -> bool: ...
    @property
    def is_not_worse(self) -> bool: ...
    @property
    def leans_to_rollback(self) -> bool: ...
    @property
    def alarms(self) -> list[str]: ...
    @property
    def newest_us(self) -> int: ...
    @property
    def reason(self) -> str: ...
    def summary(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Blindness:
    """What cannot be seen, since when. `rolled_back`: the route was already taken back while the ledger was away."""

    what: str = ""
    since_us: int = 0
    rolled_back: bool = False


@dataclass(frozen=True)
class Observed:
    """The world as the rules see it. `frozen` says why no share may be raised now, empty when it may.

    `leaving` are versions that somebody deletes; they serve on until the route has let go of them. `missing` are those
    of the rollout that do not exist.
    """

    challengers: tuple[str, ...]
    ready: frozenset[str]
    policy: Policy
    now_us: int
    frozen: str = ""
    blind: Blindness = field(default_factory=Blindness)
    order: Order | None = None
    leaving: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Decision:
    """What to do, the state after it, and why in one sentence. `actor` is the person who ordered it, if one did."""

    action: Action
    version: str
    rollout: Rollout
    sentence: str
    evidence: Mapping[str, Any] | None = None
    actor: str = "controller"
    guarantee: Literal["inside", "outside", ""] = ""
    reason: str = ""


@dataclass(frozen=True)
class Rules:
    """What every rule looks at; `new_rev` makes a token for changed weights."""

    rollout: Rollout
    observed: Observed
    evidence: Mapping[str, Evidence]
    new_rev: Callable[[], str]
