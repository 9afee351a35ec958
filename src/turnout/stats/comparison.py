"""Everything that is known about one challenger against one champion: one state for life.

Labels and gateway records go in, in assignment order; evidence for the two verdicts, the alarms and the numbers to
show come out. The level α is split over metric and guardrails by weights that sum to one: rolling back when the
weighted mean of e-values reaches 1/α keeps the chance of a wrong rollback below α for all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from turnout.stats.alarms import SampleRatioAlarm
from turnout.stats.betting import ACCURACY_BETS, ERROR_BETS, PROMOTION_BETS, ScoreBet
from turnout.stats.intervals import EffectInterval
from turnout.stats.quantiles import LatencyTest

__all__ = ["ALARM_ALPHA", "Arm", "Comparison", "Levels"]

ALARM_ALPHA = 0.001
_METRIC, _ERRORS, _LATENCY = 0.6, 0.25, 0.15
_LATENCY_TOLERANCE_US = 5_000.0


@dataclass(frozen=True)
class Levels:
    """What the verdicts must show."""

    alpha: float
    margin: float
    error_rate: float
    latency_ratio: float


@dataclass
class Arm:
    """Counts of one version."""

    units: int = 0
    labelled: int = 0
    total: float = 0.0
    requests: int = 0
    errors: int = 0

    @property
    def mean(self) -> float | None:
        """Mean outcome of the labelled units; None without any."""
        return self.total / self.labelled if self.labelled else None


@dataclass
class Comparison:
    """The tests of one (champion, challenger) pair."""

    levels: Levels
    champion: Arm = field(default_factory=Arm)
    challenger: Arm = field(default_factory=Arm)

    def __post_init__(self) -> None:
        levels = self.levels
        self._worse = ScoreBet(sign=-1, bets=ACCURACY_BETS)
        # A margin of zero would make every promotion bet zero: then "better" itself is what must be shown.
        promotion = PROMOTION_BETS if levels.margin > 0 else ACCURACY_BETS
        self._not_worse = ScoreBet(sign=+1, margin=levels.margin, bets=promotion)
        self._errors = ScoreBet(sign=-1, margin=levels.error_rate, bets=ERROR_BETS)
        self._latency = LatencyTest(ratio=levels.latency_ratio, tolerance_us=_LATENCY_TOLERANCE_US)
        self._sample_ratio = SampleRatioAlarm()
        self._fewer_labels = ScoreBet(sign=-1)
        self._more_labels = ScoreBet(sign=+1)
        self._interval = EffectInterval(alpha=levels.alpha)
        self._highest_rollback = 0.0
        self._highest_promote = 0.0

    def assign(self, *, y: float | None, assigned: bool, share: float) -> None:
        """One frozen unit, in assignment order: its outcome, or None when no label came within the window."""
        arm = self.challenger if assigned else self.champion
        arm.units += 1
        labelled = y is not None
        self._sample_ratio.update(assigned=assigned, share=share)
        self._fewer_labels.update(y=float(labelled), assigned=assigned, share=share)
        self._more_labels.update(y=float(labelled), assigned=assigned, share=share)
        if y is None:
            return
        arm.labelled += 1
        arm.total += y
        for test in (self._worse, self._not_worse, self._interval):
            test.update(y=y, assigned=assigned, share=share)
        self._remember()

    def answer(self, *, error: bool, duration_us: float, assigned: bool, share: float) -> None:
        """One line of the gateway's access log, in order."""
        arm = self.challenger if assigned else self.champion
        arm.requests += 1
        arm.errors += error
        self._errors.update(y=float(not error), assigned=assigned, share=share)
        if not error:
            self._latency.update(duration_us=duration_us, assigned=assigned, share=share)
        self._remember()

    def _remember(self) -> None:
        # Ville's inequality bounds the supremum, so what was reached once counts, whatever comes later.
        self._highest_rollback = max(self._highest_rollback, self.rollback_evidence)
        self._highest_promote = max(self._highest_promote, self._not_worse.evidence)

    @property
    def rollback_evidence(self) -> float:
        """Weighted e-value that the challenger is worse in outcome, errors or latency."""
        return _METRIC * self._worse.evidence + _ERRORS * self._errors.evidence + _LATENCY * self._latency.evidence

    @property
    def is_worse(self) -> bool:
        """Whether "not worse" was refuted at level α."""
        return self._highest_rollback >= 1.0 / self.levels.alpha

    @property
    def is_not_worse(self) -> bool:
        """Whether "worse by the margin" was refuted at level α."""
        return self._highest_promote >= 1.0 / self.levels.alpha

    @property
    def leans_to_rollback(self) -> bool:
        """Whether the evidence for rollback is at half of its threshold or above: no reason to raise the share."""
        return self.rollback_evidence >= 0.5 / self.levels.alpha

    @property
    def alarms(self) -> list[str]:
        """Why the evidence cannot be trusted now; empty when it can."""
        found = []
        if self._sample_ratio.evidence >= 1.0 / ALARM_ALPHA:
            found.append("SampleRatioMismatch: assignments do not arrive with the recorded probabilities")
        if max(self._fewer_labels.evidence, self._more_labels.evidence) >= 2.0 / ALARM_ALPHA:
            found.append("LabelRatioMismatch: labels arrive for one version more often than for the other")
        return found

    @property
    def reason(self) -> str:
        """Which test speaks loudest for a rollback."""
        parts = {
            "outcome": _METRIC * self._worse.evidence,
            "errors": _ERRORS * self._errors.evidence,
            "latency": _LATENCY * self._latency.evidence,
        }
        return max(parts, key=lambda name: parts[name])

    def summary(self) -> dict[str, Any]:
        """The numbers that a verdict is reported with."""
        mean_a, mean_b = self.champion.mean, self.challenger.mean
        low, high = self._interval.bounds
        return {
            "n": self.champion.labelled + self.challenger.labelled,
            "labelled": {"champion": self.champion.labelled, "challenger": self.challenger.labelled},
            "units": {"champion": self.champion.units, "challenger": self.challenger.units},
            "means": {"champion": mean_a, "challenger": mean_b},
            "errors": {"champion": self.champion.errors, "challenger": self.challenger.errors},
            "effect": None if mean_a is None or mean_b is None else mean_b - mean_a,
            "interval": [low, high],
            "alpha": self.levels.alpha,
            "evidence": {"rollback": self._highest_rollback, "promote": self._highest_promote},
        }

    def state(self) -> dict[str, Any]:
        """Everything that `restored` needs, as JSON values."""
        return {
            "champion": asdict(self.champion),
            "challenger": asdict(self.challenger),
            "highest": [self._highest_rollback, self._highest_promote],
            **{name: test.state() for name, test in self._tests().items()},
        }

    @classmethod
    def restored(cls, levels: Levels, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self = cls(levels, Arm(**state["champion"]), Arm(**state["challenger"]))
        self._highest_rollback, self._highest_promote = state["highest"]
        for name, test in self._tests().items():
            test.restore(state[name])
        return self

    def _tests(self) -> dict[str, ScoreBet | EffectInterval | LatencyTest | SampleRatioAlarm]:
        return {
            "worse": self._worse,
            "not_worse": self._not_worse,
            "errors": self._errors,
            "latency": self._latency,
            "sample_ratio": self._sample_ratio,
            "fewer_labels": self._fewer_labels,
            "more_labels": self._more_labels,
            "interval": self._interval,
        }
