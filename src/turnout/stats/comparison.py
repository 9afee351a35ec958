"""Everything that is known about one challenger against one champion: one state for life.

Labels and gateway records go in, in assignment order; evidence for the two verdicts, the alarms and the numbers to
show come out. The level α is split over metric and guardrails by weights that sum to one: rolling back when the
weighted mean of e-values reaches 1/α keeps the chance of a wrong rollback below α for all of them together, under any
dependence (a mean of e-values is an e-value; Vovk and Wang, Ann. Stat. 49(3), 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

from turnout.stats.alarms import (
    ALARM_ALPHA,
    DelayAlarm,
    LabelRatioAlarm,
    SampleRatioAlarm,
    SubjectAlarm,
    UnrecordedAlarm,
)
from turnout.stats.betting import ACCURACY_BETS, ERROR_BETS, LATE_REGRESSION, PROMOTION_BETS, ScoreBet
from turnout.stats.intervals import EffectInterval
from turnout.stats.order import OrderAlarm
from turnout.stats.quantiles import LatencyTest

__all__ = ["ALARM_ALPHA", "GUARDRAIL_WEIGHTS", "Arm", "Comparison", "Levels"]

GUARDRAIL_WEIGHTS = {"outcome": 0.8, "errors": 0.1, "latency": 0.1}
_LATENCY_TOLERANCE_US = 5_000.0


@dataclass(frozen=True)
class Levels:
    """What the verdicts must show.

    `challengers` is how many are tried at the same time: a promotion needs k/α, so that a wrong one among all of them
    has probability α; a rollback needs 1/α whatever k is.
    """

    alpha: float
    margin: float
    error_rate: float
    latency_ratio: float
    challengers: int = 1


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


class _Part(Protocol):
    """A test or an alarm, as far as keeping it goes."""

    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> Self: ...


class _EValue(Protocol):
    @property
    def evidence(self) -> float: ...


@dataclass
class Comparison:
    """The tests of one (champion, challenger) pair.

    Args:
        levels: fixed for life.
        champion: counts so far.
        challenger: counts so far.
        history: the champion's mean outcome before the test began, when it is known; saves the warm-up, moves power
            only.
    """

    levels: Levels
    champion: Arm = field(default_factory=Arm)
    challenger: Arm = field(default_factory=Arm)
    history: float | None = None

    def __post_init__(self) -> None:
        levels = self.levels
        target = 1.0 / (levels.alpha * GUARDRAIL_WEIGHTS["outcome"])
        self._worse = ScoreBet(
            sign=-1, bets=ACCURACY_BETS, target=target, restarts=LATE_REGRESSION, history=self.history
        )
        # A margin of zero would make every promotion bet zero: then "better" itself is what must be shown.
        promotion = PROMOTION_BETS if levels.margin > 0 else ACCURACY_BETS
        self._not_worse = ScoreBet(sign=+1, margin=levels.margin, bets=promotion, history=self.history)
        self._errors = ScoreBet(sign=-1, margin=levels.error_rate, bets=ERROR_BETS)
        self._latency = LatencyTest(ratio=levels.latency_ratio, tolerance_us=_LATENCY_TOLERANCE_US)
        self._sample_ratio, self._label_ratio, self._delay = SampleRatioAlarm(), LabelRatioAlarm(), DelayAlarm()
        self._order, self._subject, self._unrecorded = OrderAlarm(), SubjectAlarm(), UnrecordedAlarm()
        self._interval = EffectInterval(alpha=levels.alpha)
        self._highest_rollback = 0.0
        self._highest_promote = 0.0
        self._newest_us = 0

    def assign(
        self,
        *,
        y: float | None,
        assigned: bool,
        share: float,
        delay_us: float | None = None,
        last: tuple[bool, float] | None = None,
        time_us: int = 0,
    ) -> None:
        """One frozen unit, in assignment order.

        Args:
            y: its outcome, or None when no label came within the window.
            assigned: whether it went to the challenger.
            share: the probability of that given everything before; for sticky users `sticky.unit_share`. 0 and 1
                count in the numbers and carry no evidence.
            delay_us: from request to label, if there is one.
            last: (assigned, share) of the same subject's previous request, for units that were to be drawn afresh.
            time_us: when it was assigned.
        """
        arm = self.challenger if assigned else self.champion
        arm.units += 1
        self._newest_us = max(self._newest_us, time_us)
        self._order.update(assigned=assigned, share=share)
        self._sample_ratio.update(assigned=assigned, share=share)
        self._label_ratio.update(labelled=y is not None, assigned=assigned, share=share)
        if last is not None:
            self._subject.update(assigned=assigned, share=share, last_assigned=last[0], last_share=last[1])
        if y is None:
            return
        if delay_us is not None:
            self._delay.update(delay_us=delay_us, assigned=assigned, share=share)
        arm.labelled += 1
        arm.total += y
        for test in (self._worse, self._not_worse, self._interval):
            test.update(y=y, assigned=assigned, share=share)
        self._remember()

    def answer(self, *, error: bool, duration_us: float, assigned: bool, share: float) -> None:
        """One line of the gateway's access log, in order; of a sticky user only the first request of a unit."""
        arm = self.challenger if assigned else self.champion
        arm.requests += 1
        arm.errors += error
        self._errors.update(y=float(not error), assigned=assigned, share=share)
        if not error:
            self._latency.update(duration_us=duration_us, assigned=assigned, share=share)
        self._remember()

    def unrecorded(self, *, recorded: int, unrecorded: int) -> None:
        """How many more records came with a known probability of their assignment, and how many without."""
        self._unrecorded.update(recorded=recorded, unrecorded=unrecorded)

    def _remember(self) -> None:
        # Ville's inequality bounds the supremum, so what was reached once counts, whatever comes later.
        self._highest_rollback = max(self._highest_rollback, self.rollback_evidence)
        self._highest_promote = max(self._highest_promote, self._not_worse.evidence)

    def _rollback_parts(self) -> dict[str, float]:
        found: dict[str, _EValue] = {"outcome": self._worse, "errors": self._errors, "latency": self._latency}
        return {name: GUARDRAIL_WEIGHTS[name] * test.evidence for name, test in found.items()}

    @property
    def rollback_evidence(self) -> float:
        """Weighted e-value that the challenger is worse in outcome, errors or latency."""
        return sum(self._rollback_parts().values())

    @property
    def is_worse(self) -> bool:
        """Whether "not worse" was refuted at level α."""
        return self._highest_rollback >= 1.0 / self.levels.alpha

    @property
    def is_not_worse(self) -> bool:
        """Whether "worse by the margin" was refuted at level α, over all challengers of the family."""
        return self._highest_promote >= self.levels.challengers / self.levels.alpha

    @property
    def leans_to_rollback(self) -> bool:
        """Whether the evidence for rollback is at half of its threshold or above: no reason to raise the share."""
        return self.rollback_evidence >= 0.5 / self.levels.alpha

    @property
    def newest_us(self) -> int:
        """When the newest unit was assigned; 0 before the first. `alarms.too_old` judges it against the clock."""
        return self._newest_us

    @property
    def alarms(self) -> list[str]:
        """Why the evidence cannot be trusted now; empty when it can. They stop verdicts, never bend them."""
        sentences: dict[str, _EValue] = {
            "SampleRatioMismatch: assignments do not arrive with the recorded probabilities": self._sample_ratio,
            "LabelRatioMismatch: labels arrive for one version more often than for the other": self._label_ratio,
            "DelayMismatch: labels of one version arrive later than those of the other": self._delay,
            "PredictableOrder: assignments follow a pattern, not the random draw that was asked for": self._order,
            "RepeatedSubjects: a subject meets the same version again and again": self._subject,
            "UnrecordedProbability: records arrive without the probability of their assignment": self._unrecorded,
        }
        return [sentence for sentence, alarm in sentences.items() if alarm.evidence >= 1.0 / ALARM_ALPHA]

    @property
    def reason(self) -> str:
        """Which test speaks loudest for a rollback."""
        parts = self._rollback_parts()
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
            "requests": {"champion": self.champion.requests, "challenger": self.challenger.requests},
            "effect": None if mean_a is None or mean_b is None else mean_b - mean_a,
            "interval": [low, high],
            "alpha": self.levels.alpha,
            "evidence": {"rollback": self._highest_rollback, "promote": self._highest_promote},
            # What has been spent of the level: the smallest one at which the verdict would have been given.
            "spent": {
                "rollback": min(1.0, 1.0 / max(self._highest_rollback, 1e-12)),
                "promote": min(1.0, self.levels.challengers / max(self._highest_promote, 1e-12)),
            },
        }

    def state(self) -> dict[str, Any]:
        """Everything that `restored` needs, as JSON values."""
        return {
            "champion": asdict(self.champion),
            "challenger": asdict(self.challenger),
            "highest": [self._highest_rollback, self._highest_promote],
            "newest_us": self._newest_us,
            **{name: part.state() for name, part in self._parts().items()},
        }

    @classmethod
    def restored(cls, levels: Levels, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self = cls(levels, Arm(**state["champion"]), Arm(**state["challenger"]))
        self._highest_rollback, self._highest_promote = state["highest"]
        self._newest_us = int(state["newest_us"])
        for name, part in self._parts().items():
            part.restore(state[name])
        return self

    def _parts(self) -> dict[str, _Part]:
        return {
            "worse": self._worse,
            "not_worse": self._not_worse,
            "errors": self._errors,
            "latency": self._latency,
            "sample_ratio": self._sample_ratio,
            "label_ratio": self._label_ratio,
            "delay": self._delay,
            "order": self._order,
            "subject": self._subject,
            "unrecorded": self._unrecorded,
            "interval": self._interval,
        }
