"""Alarm and latency test on arrays, for bars with more requests than plain Python should run; tested equal to both."""

from __future__ import annotations

import numpy as np

from turnout.simulation.kernel import ScoreBets, Share
from turnout.stats import alarms, quantiles
from turnout.stats.betting import CEILING, ERROR_BETS

__all__ = ["LatencyTests", "SampleRatios"]


class SampleRatios:
    """`SampleRatioAlarm` in many repetitions."""

    def __init__(self, repetitions: int) -> None:
        self._odds = np.array(alarms.ODDS)[:, None]
        self._weights = np.array(alarms.ODDS_WEIGHTS)[:, None]
        self._wealth = np.repeat(alarms.RESTARTS.first * self._weights, repetitions, axis=1)
        self._restarted = self._n = 0

    @property
    def evidence(self) -> np.ndarray:
        return self._wealth.sum(axis=0) + alarms.RESTARTS.cash(self._restarted)

    def update(self, *, assigned: np.ndarray, share: float) -> None:
        """One assignment of every repetition."""
        norm = share * self._odds + 1.0 - share
        self._wealth *= np.where(assigned > 0.0, self._odds / norm, 1.0 / norm)
        np.minimum(self._wealth, CEILING, out=self._wealth)
        self._n += 1
        if self._n >= (self._restarted + 1) * alarms.RESTARTS.every:
            self._restarted += 1
            stake = alarms.RESTARTS.cash(self._restarted - 1) - alarms.RESTARTS.cash(self._restarted)
            self._wealth += stake * self._weights

    def keep(self, which: np.ndarray) -> None:
        """Go on with these repetitions only."""
        self._wealth = np.ascontiguousarray(self._wealth[:, which])


class LatencyTests:
    """`LatencyTest` in many repetitions."""

    def __init__(self, repetitions: int, *, ratio: float = 1.0) -> None:
        self._ratio = ratio
        self._tests = [ScoreBets(repetitions, sign=-1, bets=ERROR_BETS) for _ in quantiles.LEVELS]
        self._quantiles: np.ndarray | None = None

    @property
    def evidence(self) -> np.ndarray:
        return np.mean([test.evidence for test in self._tests], axis=0)

    def update(self, *, duration: np.ndarray, assigned: np.ndarray, share: Share) -> None:
        """One answered request of every repetition; durations in microseconds."""
        scaled = np.where(assigned > 0.0, duration / self._ratio, duration)
        if self._quantiles is None:
            self._quantiles = np.tile(np.maximum(scaled, 1.0), (len(quantiles.LEVELS), 1))
            return
        for test, quantile in zip(self._tests, self._quantiles, strict=True):
            test.update(y=(scaled <= quantile).astype(float), assigned=assigned, share=share)
        level = np.array(quantiles.LEVELS)[:, None]
        moved = self._quantiles * (1.0 + quantiles.STEP * np.where(duration > self._quantiles, level, level - 1.0))
        self._quantiles = np.where(assigned > 0.0, self._quantiles, np.maximum(moved, 1.0))

    def keep(self, which: np.ndarray) -> None:
        """Go on with these repetitions only."""
        for test in self._tests:
            test.keep(which)
        if self._quantiles is not None:
            self._quantiles = self._quantiles[:, which]
