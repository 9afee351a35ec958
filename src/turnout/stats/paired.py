"""Paired mode: both versions scored on the same request, as with a shadow whose answer nobody sees.

No share, no drift and no ratio alarm matter here: the difference D of the two outcomes is the evidence. At 10 % of
requests on which the two disagree, a drop of 5 points takes some 310 labels in all; two samples at 5/95 take 6,400.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from turnout.stats.betting import ACCURACY_BETS, CEILING, DECAY, SAFETY, Bets

__all__ = ["PairedBet", "PairedComparison"]

_PROMOTION = Bets((0.5, 1.0, 2.0), (0.3, 0.45, 0.25), relative=True)


class PairedBet:
    """Evidence on D = y_challenger - y_champion: that it is below zero (sign -1) or above -δ (sign +1) on average.

    The wealth is a mixture of products of `1 - κ D` or `1 + κ (D + δ)` (Waudby-Smith and Ramdas, JRSS-B 2024).
    Guarantee: P(evidence ever reaches 1/α) <= α if E[D | past] >= 0 (sign -1), or <= -δ (sign +1), at every pair;
    at any stopping time. It needs that the answer shown cannot change the label.
    """

    def __init__(self, *, sign: int, margin: float = 0.0) -> None:
        self._sign = sign
        self._margin = margin
        self._bets = _PROMOTION if sign > 0 and margin > 0.0 else ACCURACY_BETS
        self._wealth = list(self._bets.weights)
        self._variance = 0.1
        self._n = 0

    @property
    def evidence(self) -> float:
        """The e-value."""
        return sum(self._wealth)

    def update(self, difference: float) -> None:
        """One pair; the difference is in [-1, 1]."""
        payoff = -difference if self._sign < 0 else difference + self._margin
        limit = SAFETY / (1.0 if self._sign < 0 else 1.0 - self._margin)
        unit = self._margin / max(self._variance, 0.01) if self._bets.relative else 1.0
        self._wealth = [
            min(w * (1.0 + min(size * unit, limit) * payoff), CEILING)
            for size, w in zip(self._bets.sizes, self._wealth, strict=True)
        ]
        self._variance += max(1.0 - DECAY, 1.0 / (self._n + 20)) * (difference * difference - self._variance)
        self._n += 1

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth), "variance": self._variance, "n": self._n}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._wealth = [float(w) for w in state["wealth"]]
        self._variance, self._n = float(state["variance"]), int(state["n"])
        return self


class PairedComparison:
    """What is known about a shadow against the champion, from requests that both answered."""

    def __init__(self, *, alpha: float, margin: float) -> None:
        self._alpha = alpha
        self._worse = PairedBet(sign=-1)
        self._not_worse = PairedBet(sign=+1, margin=margin)
        self._highest = [1.0, 1.0]
        self._answers = self._disagreements = self._pairs = 0
        self._total = 0.0

    def answer(self, *, agree: bool) -> None:
        """One request that both answered, labelled or not."""
        self._answers += 1
        self._disagreements += not agree

    def pair(self, *, champion: float, challenger: float) -> None:
        """One labelled request: the outcome of each version's answer, in [0, 1]."""
        difference = challenger - champion
        self._pairs += 1
        self._total += difference
        for j, test in enumerate((self._worse, self._not_worse)):
            test.update(difference)
            self._highest[j] = max(self._highest[j], test.evidence)

    @property
    def is_worse(self) -> bool:
        """Whether "the shadow is not worse" was refuted at level α."""
        return self._highest[0] >= 1.0 / self._alpha

    @property
    def is_not_worse(self) -> bool:
        """Whether "the shadow is worse by the margin" was refuted at level α."""
        return self._highest[1] >= 1.0 / self._alpha

    def summary(self) -> dict[str, Any]:
        """The numbers to show."""
        return {
            "answers": self._answers,
            "disagreement": self._disagreements / self._answers if self._answers else None,
            "pairs": self._pairs,
            "effect": self._total / self._pairs if self._pairs else None,
            "alpha": self._alpha,
            "evidence": {"worse": self._highest[0], "notWorse": self._highest[1]},
        }

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        counts = [self._answers, self._disagreements, self._pairs]
        return {
            "counts": counts,
            "total": self._total,
            "highest": list(self._highest),
            "worse": self._worse.state(),
            "not_worse": self._not_worse.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._answers, self._disagreements, self._pairs = (int(count) for count in state["counts"])
        self._total, self._highest = float(state["total"]), [float(e) for e in state["highest"]]
        self._worse.restore(state["worse"])
        self._not_worse.restore(state["not_worse"])
        return self
