"""What the controller remembers of one Turnout. It lives in the ledger, next to the audit rows that explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

__all__ = ["Phase", "Rollout"]

Phase = Literal["Idle", "Stable", "Progressing", "Held", "Baking"]


@dataclass(frozen=True)
class Rollout:
    """State of an endpoint. Times are microseconds since the epoch; weights are percents that sum to 100.

    `previous` is the old champion while the new one bakes; `earned` says that the verdict "promote" was given and the
    share only walks its remaining steps; `judged` remembers every version that had its turn, with what became of it;
    `retired` lists (version, time) of those that may be deleted, oldest first.
    """

    phase: Phase = "Idle"
    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None
    step: int = 0
    step_labels: int = 0
    earned: bool = False
    held: str = ""
    rev: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)
    started_us: int = 0
    step_started_us: int = 0
    promoted_us: int = 0
    judged: Mapping[str, str] = field(default_factory=dict)
    retired: tuple[tuple[str, int], ...] = ()
    verdict: Mapping[str, Any] | None = None

    @property
    def pair(self) -> tuple[str, str] | None:
        """(champion, challenger) of the test that is running: in bake the old champion is still the control."""
        if self.phase == "Baking" and self.previous and self.champion:
            return (self.previous, self.champion)
        if self.challenger and self.champion:
            return (self.champion, self.challenger)
        return None

    @property
    def served(self) -> tuple[str, ...]:
        """Versions that the route may name, in the order of its backendRefs."""
        return tuple(v for v in (self.champion, self.challenger, self.previous) if v)

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """From `dump`."""
        return cls(**{**data, "retired": tuple((str(v), int(t)) for v, t in data.get("retired", ()))})
