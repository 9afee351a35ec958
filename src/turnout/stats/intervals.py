"""An always-valid interval for the effect, by inverting the tests: for display, never for the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from turnout.stats.betting import CEILING, DECAY, SAFETY, WARM_UP

__all__ = ["EffectInterval"]

_GRID = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
_SHIFTS = tuple(sorted({-x for x in _GRID} | set(_GRID)))
_SIZES = (0.15, 0.5, 1.5)


class EffectInterval:
    """Interval for μ_challenger - μ_champion that covers at every look with probability 1 - α.

    For every shift x on a grid there is one bet that the effect is larger and one that it is smaller, with the factors
    `1 ± κ (y - xW - m)(W - s)` of `ScoreBet`; the interval holds the shifts that neither has refuted at α/2 (a
    confidence sequence by inversion: Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49(2), 2021). Between refuted
    shifts it is as wide as the grid is coarse. It assumes one effect over the whole test, the verdicts do not.

    Examples:
        >>> interval = EffectInterval(alpha=0.05)
        >>> for i in range(4000):
        ...     interval.update(y=float(i % 10 != 0 or i % 4 == 0), assigned=i % 2 == 0, share=0.5)
        >>> interval.bounds
        (-0.15, -0.075)
    """

    def __init__(self, *, alpha: float) -> None:
        self._alpha = alpha
        self._larger = [[1.0] * len(_SIZES) for _ in _SHIFTS]
        self._smaller = [[1.0] * len(_SIZES) for _ in _SHIFTS]
        self._low = 0
        self._high = len(_SHIFTS) - 1
        self._mean = 0.5
        self._n = 0

    @property
    def bounds(self) -> tuple[float, float]:
        """(lower, upper), within [-1, 1]."""
        low = _SHIFTS[self._low - 1] if self._low > 0 else -1.0
        high = _SHIFTS[self._high + 1] if self._high < len(_SHIFTS) - 1 else 1.0
        return (low, high)

    def update(self, *, y: float, assigned: bool, share: float) -> None:
        """One label; arguments as for `ScoreBet.update`."""
        if self._n >= WARM_UP and 0.0 < share < 1.0:
            # Only shifts that still stand are bet on: what was refuted once stays refuted.
            threshold = 2.0 * len(_SIZES) / self._alpha
            for j in range(self._low, len(_SHIFTS)):
                self._bet(self._larger[j], +1, _SHIFTS[j], y, assigned, share)
            for j in range(self._high + 1):
                self._bet(self._smaller[j], -1, _SHIFTS[j], y, assigned, share)
            while self._low < len(_SHIFTS) - 1 and sum(self._larger[self._low]) >= threshold:
                self._low += 1
            while self._high > 0 and sum(self._smaller[self._high]) >= threshold:
                self._high -= 1
        self._mean += max(1.0 - DECAY, 1.0 / (self._n + 2)) * (y - self._mean)
        self._n += 1

    def _bet(self, wealth: list[float], sign: int, shift: float, y: float, assigned: bool, share: float) -> None:
        mean = self._mean - shift * share  # a forecast of y - xW; any that knows only earlier labels is fair
        if sign > 0:
            worst = max((mean + shift) * (1.0 - share), (1.0 - mean) * share, 1e-9)
        else:
            worst = max((1.0 - shift - mean) * (1.0 - share), mean * share, 1e-9)
        limit = SAFETY / worst
        gain = sign * (y - shift * assigned - mean) * (assigned - share)
        for k, size in enumerate(_SIZES):
            wealth[k] = min(wealth[k] * (1.0 + min(size, limit) * gain), CEILING)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values; refuted shifts need nothing."""
        return {
            "low": self._low,
            "high": self._high,
            "mean": self._mean,
            "n": self._n,
            "larger": [list(wealth) for wealth in self._larger[self._low :]],
            "smaller": [list(wealth) for wealth in self._smaller[: self._high + 1]],
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._low, self._high = int(state["low"]), int(state["high"])
        self._mean, self._n = float(state["mean"]), int(state["n"])
        self._larger[self._low :] = [[float(w) for w in wealth] for wealth in state["larger"]]
        self._smaller[: self._high + 1] = [[float(w) for w in wealth] for wealth in state["smaller"]]
        return self
