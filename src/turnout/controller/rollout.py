"""What the controller remembers of one Turnout. It lives in the ledger, next to the audit rows that explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

__all__ = ["Challenge", "Phase", "Rollout"]

Phase = Literal["Idle", "Stable", "Progressing", "Held", "Baking"]


@dataclass(frozen=True)
class Challenge:
    """One version under test.

    `earned` says that the verdict "promote" was given and the share only walks its remaining steps; `awaits` that it
    has walked them and waits for a person's approval; `held` why it is held; `family` among how many versions its error
    rate is split.
    """

    version: str
    step: int = 0
    step_labels: int = 0
    earned: bool = False
    awaits: bool = False
    held: str = ""
    family: int = 1
    started_us: int = 0
    step_started_us: int = 0


@dataclass(frozen=True)
class Rollout:
    """State of an endpoint. Times are microseconds since the epoch; weights are percents that sum to 100.

    `previous` is the old champion while the new one bakes; `held` why a person holds everything; `past` the revisions
    before this one, newest last; `judged` remembers every version that had its turn, with what became of it; `retired`
    lists (version, time) of those that may be deleted, oldest first; `order` is how the versions of a rollout stand in
    the route; `tainted` has the revisions whose requests somebody else's weights may have assigned, and since when;
    `last_order` what became of the last order of a person; `aliases` what MLflow was told last; `sticky` the header
    whose values keep their version, empty when every request is drawn anew; `probed` what a probe of the gateway found
    for which header.
    """

    champion: str | None = None
    previous: str | None = None
    challenges: tuple[Challenge, ...] = ()
    held: str = ""
    rev: str = ""
    rev_us: int = 0
    past: tuple[str, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    promoted_us: int = 0
    judged: Mapping[str, str] = field(default_factory=dict)
    retired: tuple[tuple[str, int], ...] = ()
    tainted: Mapping[str, int] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None
    last_order: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str | None, str | None] | None = None
    sticky: str = ""
    probed: Mapping[str, str] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """Where the endpoint is, in one word."""
        if self.champion is None:
            return "Idle"
        if self.held or (self.challenges and all(challenge.held for challenge in self.challenges)):
            return "Held"
        if self.previous is not None:
            return "Baking"
        return "Progressing" if self.challenges else "Stable"

    @property
    def challenger(self) -> str | None:
        """The version under test; the first one when several are."""
        return self.challenges[0].version if self.challenges else None

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(champion, challenger) of the tests that are running: in bake the old champion is still the control."""
        if self.champion is None:
            return ()
        if self.previous is not None:
            return ((self.previous, self.champion),)
        return tuple((self.champion, challenge.version) for challenge in self.challenges)

    @property
    def served(self) -> tuple[str, ...]:
        """Versions that the route may name."""
        return tuple(v for v in (self.champion, *(c.version for c in self.challenges), self.previous) if v)

    def challenge(self, version: str) -> Challenge | None:
        """The test of this version."""
        return next((challenge for challenge in self.challenges if challenge.version == version), None)

    def with_challenge(self, changed: Challenge) -> Rollout:
        """The same, with one version's test changed."""
        challenges = tuple(changed if c.version == changed.version else c for c in self.challenges)
        return replace(self, challenges=challenges)

    def without(self, versions: Sequence[str]) -> Rollout:
        """The same, with these no longer under test."""
        return replace(self, challenges=tuple(c for c in self.challenges if c.version not in versions))

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """From `dump`."""
        aliases = data.get("aliases")
        return cls(
            **{
                **data,
                "challenges": tuple(Challenge(**challenge) for challenge in data["challenges"]),
                "order": tuple(data["order"]),
                "past": tuple(data["past"]),
                "retired": tuple((str(v), int(t)) for v, t in data["retired"]),
                "aliases": (aliases[0], aliases[1]) if aliases else None,
            }
        )
