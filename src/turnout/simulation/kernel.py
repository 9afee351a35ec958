"""`stats.betting.ScoreBet` for many repetitions at once: the same arithmetic on arrays, one label of each per step.

A test holds every number of both together (1e-9); this one exists for speed alone and decides nothing in a rollout.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from turnout.stats.betting import (
    ACCURACY_BETS,
    CEILING,
    DECAY,
    LATE_REGRESSION,
    NO_RESTARTS,
    PAID,
    PROMOTION_BETS,
    SAFETY,
    SMALLEST_VARIANCE,
    WARM_START_LABELS,
    WARM_UP,
    Bets,
    Restarts,
)

__all__ = ["Floats", "ScoreBets", "Share", "promotion_bets", "rollback_bets"]

Floats = NDArray[np.float64]
Share = float | Floats
"""One share for all repetitions, or one for each."""


class ScoreBets:
    """The same bet in many independent repetitions. Arguments as for `ScoreBet`; `binary` saves work on 0 and 1."""

    def __init__(
        self,
        repetitions: int,
        *,
        sign: int,
        margin: float = 0.0,
        bets: Bets = ACCURACY_BETS,
        target: float | None = None,
        restarts: Restarts = NO_RESTARTS,
        history: float | None = None,
        binary: bool = True,
    ) -> None:
        self._sign = sign
        self._margin = margin
        self._relative = bets.relative
        self._sizes = np.array(bets.sizes)[:, None]
        self._weights = np.array(bets.weights)[:, None]
        self._target = target if target is not None and margin == 0.0 else math.inf
        self._restarts = restarts
        self._restarted = 0
        self._cash = np.full(repetitions, restarts.cash(0))
        self._wealth = np.repeat(restarts.first * self._weights, repetitions, axis=1)
        self._mean = np.full(repetitions, 0.5 if history is None else history)
        self._level, self._square = self._mean.copy(), self._mean.copy()
        self._binary = binary
        self._n = 0
        self._seen = 0 if history is None else WARM_START_LABELS
        self.evidence: Floats = np.ones(repetitions)

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Go on with these repetitions only."""
        self._cash, self._mean = self._cash[which], self._mean[which]
        self._level, self._square = self._level[which], self._square[which]
        self._wealth, self.evidence = np.ascontiguousarray(self._wealth[:, which]), self.evidence[which]

    def update(self, *, y: Floats, assigned: Floats, share: Share) -> None:
        """One label of every repetition; `assigned` is 0.0 or 1.0."""
        shifted = y + self._margin * assigned if self._margin else y
        if self._seen >= WARM_UP:
            self._bet(y, shifted - self._mean, assigned, share)
        weight = 1.0 / (self._seen + 2) if self._seen < 998 else 1.0 - DECAY
        self._mean += weight * (shifted - self._mean)
        if self._relative or not self._binary:
            self._level += weight * (y - self._level)
            self._square += weight * (y * y - self._square)
        self._n += 1
        self._seen += 1
        if self._n >= (self._restarted + 1) * self._restarts.every:
            self._restart()

    def _bet(self, y: Floats, residual: Floats, assigned: Floats, share: Share) -> None:
        gain = residual * (assigned - share)
        if self._sign < 0:
            np.negative(gain, out=gain)
        if not isinstance(share, float):
            gain[(share <= 0.0) | (share >= 1.0)] = 0.0
        limit = SAFETY / self._worst(share)
        sizes = self._sizes
        if self._relative:
            sizes = sizes * (self._margin / np.maximum(self._square - self._level**2, SMALLEST_VARIANCE))
        elif not self._binary:
            sizes = sizes * self._score_unit()
        if np.any(limit < sizes[-1]):
            sizes = np.minimum(sizes, limit)
        overshoot = self._overshoot(sizes, share)
        factors = sizes * gain
        factors += 1.0
        self._wealth *= factors
        self.evidence = self._wealth.sum(axis=0)
        self.evidence += self._cash
        if overshoot is not None:
            self._refund(overshoot, y, assigned, share)
        if self.evidence.max(initial=0.0) > CEILING:
            np.minimum(self._wealth, CEILING, out=self._wealth)
            self.evidence = self._wealth.sum(axis=0) + self._cash

    def _score_unit(self) -> Floats:
        variance = np.maximum(self._square - self._level**2, SMALLEST_VARIANCE)
        unit = np.sqrt(self._level * (1.0 - self._level) / variance)
        return np.where(np.abs(self._square - self._level) < 1e-9, 1.0, unit)

    def _overshoot(self, sizes: Floats, share: Share) -> tuple[NDArray[np.intp], Floats] | None:
        """Which repetitions could overshoot the target with their best label, and by how much."""
        if math.isinf(self._target):
            return None
        most = (self._mean if self._sign < 0 else 1.0 - self._mean) * (1.0 - share)
        near = (self.evidence < self._target) & (self.evidence * (1.0 + sizes[-1] * most) > self._target)
        which = np.flatnonzero(near)
        if not which.size:
            return None
        columns = sizes[:, which] if sizes.shape[1] > 1 else sizes
        stakes = (columns * self._wealth[:, which]).sum(axis=0)
        return which, np.maximum(self.evidence[which] + most[which] * stakes - self._target * PAID, 0.0)

    def _refund(self, overshoot: tuple[NDArray[np.intp], Floats], y: Floats, assigned: Floats, share: Share) -> None:
        which, excess = overshoot
        excess = excess * (1.0 - y[which] if self._sign < 0 else y[which])
        odds = (share / (1.0 - share)) if isinstance(share, float) else share[which] / (1.0 - share[which])
        total = self.evidence[which]
        wanted = np.where(assigned[which] > 0.0, total - excess, total + excess * odds)
        scale = wanted / total
        self._wealth[:, which] *= scale
        self._cash[which] *= scale
        self.evidence[which] = wanted

    def _restart(self) -> None:
        self._restarted += 1
        kept = self._restarts.cash(self._restarted) / self._restarts.cash(self._restarted - 1)
        self._wealth += self._weights * (self._cash * (1.0 - kept))
        self._cash *= kept

    def _worst(self, share: Share) -> Floats:
        mean, margin = self._mean, self._margin
        if self._sign < 0:
            worst = np.maximum((1.0 + margin - mean) * (1.0 - share), mean * share)
        else:
            worst = np.maximum((mean - margin) * (1.0 - share), (1.0 - mean) * share)
        return np.maximum(worst, 1e-9)


def rollback_bets(repetitions: int, *, alpha: float, history: float | None = None, binary: bool = True) -> ScoreBets:
    """The shipped test of "not worse" at a level of its own."""
    return ScoreBets(repetitions, sign=-1, target=1.0 / alpha, restarts=LATE_REGRESSION, history=history, binary=binary)


def promotion_bets(repetitions: int, *, margin: float, history: float | None = None) -> ScoreBets:
    """The shipped test of "worse by the margin"."""
    bets = PROMOTION_BETS if margin > 0.0 else ACCURACY_BETS
    return ScoreBets(repetitions, sign=+1, margin=margin, bets=bets, history=history)
