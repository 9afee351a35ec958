"""Latency as outcomes: was a request slower than the champion's running quantile?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from turnout.stats.betting import ERROR_BETS, ScoreBet

__all__ = ["LEVELS", "STEP", "LatencyTest"]

LEVELS = (0.5, 0.9, 0.95, 0.99)
STEP = 0.05  # of the quantile itself, per request of the champion


class LatencyTest:
    """Evidence that the challenger is slower than the champion by more than a factor.

    The outcome of a request is 1 when it is not slower than q, the champion's running quantile, the challenger's
    duration being divided by the factor first. q comes only from earlier requests, so the kernel's guarantee holds, and
    a slow-down common to both cancels. The four e-values are averaged: a mean of e-values is one under any dependence
    (Vovk and Wang 2021).

    Args:
        ratio: the factor; the challenger is worse when it is slower by more than this.
        tolerance_us: what the challenger may be slower by in any case, before the factor counts: a ratio of two
            durations near the clock's resolution says nothing that a user would feel.
    """

    def __init__(self, *, ratio: float, tolerance_us: float = 0.0) -> None:
        self._ratio = ratio
        self._tolerance_us = tolerance_us
        self._tests = [ScoreBet(sign=-1, bets=ERROR_BETS) for _ in LEVELS]
        self._quantiles: list[float] = []

    @property
    def evidence(self) -> float:
        """The averaged e-value."""
        return sum(test.evidence for test in self._tests) / len(self._tests)

    def update(self, *, duration_us: float, assigned: bool, share: float) -> None:
        """One answered request, in assignment order."""
        scaled = max(duration_us - self._tolerance_us, 0.0) / self._ratio if assigned else duration_us
        if not self._quantiles:
            self._quantiles = [max(scaled, 1.0)] * len(LEVELS)
            return
        for test, quantile in zip(self._tests, self._quantiles, strict=True):
            test.update(y=float(scaled <= quantile), assigned=assigned, share=share)
        if not assigned:
            self._learn(duration_us)

    def _learn(self, duration_us: float) -> None:
        """Stochastic approximation with steps in proportion to the value, so that no unit has to be known."""
        for j, level in enumerate(LEVELS):
            quantile = self._quantiles[j]
            step = STEP * quantile
            self._quantiles[j] = max(quantile + step * (level if duration_us > quantile else level - 1.0), 1.0)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"quantiles": list(self._quantiles), "tests": [test.state() for test in self._tests]}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._quantiles = [float(q) for q in state["quantiles"]]
        for test, saved in zip(self._tests, state["tests"], strict=True):
            test.restore(saved)
        return self
