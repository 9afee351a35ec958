"""An always-valid interval for the effect, by inverting the tests: for display, never for the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from turnout.stats.betting import Bets, ScoreBet

__all__ = ["EffectInterval"]

_GRID = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
_SHIFTS = tuple(sorted({-x for x in _GRID} | set(_GRID)))
_BETS = Bets((0.15, 0.5, 1.5), (1 / 3, 1 / 3, 1 / 3))


class EffectInterval:
    """Interval for μ_challenger - μ_champion that covers at every look with probability 1 - α.

    For every shift on a grid there is one bet that the effect is larger and one that it is smaller; the interval holds
    the shifts that neither has refuted at α/2. Between refuted shifts it is as wide as the grid is coarse.
    """

    def __init__(self, *, alpha: float) -> None:
        self._alpha = alpha
        # "larger than x": H0 is effect <= x, which is the promotion test at margin -x; likewise the other side.
        self._larger = [ScoreBet(sign=+1, margin=-x, bets=_BETS) for x in _SHIFTS]
        self._smaller = [ScoreBet(sign=-1, margin=-x, bets=_BETS) for x in _SHIFTS]
        self._low = 0
        self._high = len(_SHIFTS) - 1

    @property
    def bounds(self) -> tuple[float, float]:
        """(lower, upper), within [-1, 1]."""
        low = _SHIFTS[self._low - 1] if self._low > 0 else -1.0
        high = _SHIFTS[self._high + 1] if self._high < len(_SHIFTS) - 1 else 1.0
        return (low, high)

    def update(self, *, y: float, assigned: bool, share: float) -> None:
        """One label; arguments as for `ScoreBet.update`."""
        # Only shifts that still stand need a bet: what was refuted once stays refuted.
        for test in self._larger[self._low :]:
            test.update(y=y, assigned=assigned, share=share)
        for test in self._smaller[: self._high + 1]:
            test.update(y=y, assigned=assigned, share=share)
        threshold = 2.0 / self._alpha
        while self._low < len(_SHIFTS) - 1 and self._larger[self._low].evidence >= threshold:
            self._low += 1
        while self._high > 0 and self._smaller[self._high].evidence >= threshold:
            self._high -= 1

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {
            "low": self._low,
            "high": self._high,
            "larger": [test.state() for test in self._larger],
            "smaller": [test.state() for test in self._smaller],
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._low, self._high = int(state["low"]), int(state["high"])
        for tests, states in ((self._larger, state["larger"]), (self._smaller, state["smaller"])):
            for test, saved in zip(tests, states, strict=True):
                test.restore(saved)
        return self
