"""The kernel of every verdict: a bet on the random assignment.

Each request was sent to the challenger (W = 1) or the champion (W = 0) by a draw with a recorded probability s. If the
challenger is as good as the champion, its outcomes cannot be told from the champion's by W, and nobody can win by
betting on `(y - m)(W - s)`, whatever the common level m does. Wealth that grows all the same is evidence.

Sources: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests" (arXiv 2106.02693);
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024);
Ville's inequality gives the bound at every look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["ACCURACY_BETS", "ERROR_BETS", "PROMOTION_BETS", "Bets", "ScoreBet"]

_DECAY = 0.999  # half-life of the tracked mean: about 700 labels
_WARM_UP = 20  # labels that only teach the mean
_SAFETY = 0.9  # a bet never risks more than this share of its wealth on one label
_CEILING = 1e250  # an e-value cut off from above is still an e-value


@dataclass(frozen=True)
class Bets:
    """A mixture of bets. With `relative`, a bet is a multiple of margin / variance, else it stands for itself."""

    sizes: tuple[float, ...]
    weights: tuple[float, ...]
    relative: bool = False


def _uniform(sizes: Sequence[float]) -> Bets:
    return Bets(tuple(sizes), tuple(1 / len(sizes) for _ in sizes))


ACCURACY_BETS = _uniform([0.1 * 2 ** (j / 2) for j in range(9)])
ERROR_BETS = _uniform([0.25 * 32 ** (j / 8) for j in range(9)])
PROMOTION_BETS = Bets((0.5, 1.0, 2.0, 4.0), (0.15, 0.45, 0.25, 0.15), relative=True)


class ScoreBet:
    """Evidence that the challenger's mean outcome is lower (`sign` -1) or higher (`sign` +1) than a shifted champion's.

    With μ the mean outcomes in [0, 1], higher being better, and δ the `margin`:

    * sign -1: H0 is μ_challenger + δ >= μ_champion at every label; evidence speaks for "worse by more than δ".
    * sign +1: H0 is μ_challenger + δ <= μ_champion at every label; evidence speaks for "not worse by δ".

    Guarantee: P(evidence ever reaches 1/α) <= α under H0, at any stopping time, for any path of the common level, any
    schedule of shares, any batch size. It needs s to be the true probability of the assignment given the past.

    Examples:
        >>> test = ScoreBet(sign=-1)
        >>> for i in range(400):
        ...     challenger = i % 2 == 0
        ...     test.update(y=float(i % 10 != 0) if challenger else 1.0, assigned=challenger, share=0.5)
        >>> test.evidence > 20
        True
    """

    __slots__ = ("_bets", "_margin", "_mean", "_n", "_sign", "_variance_mean", "_wealth")

    def __init__(self, *, sign: int, margin: float = 0.0, bets: Bets = ACCURACY_BETS) -> None:
        self._sign = sign
        self._margin = margin
        self._bets = bets
        self._wealth = [1.0] * len(bets.sizes)
        self._mean = 0.5
        self._variance_mean = 0.5
        self._n = 0

    @property
    def evidence(self) -> float:
        """The e-value: how much the mixture of bets has multiplied its stake."""
        return sum(w * wealth for w, wealth in zip(self._bets.weights, self._wealth, strict=True))

    @property
    def n(self) -> int:
        """Labels seen."""
        return self._n

    def update(self, *, y: float, assigned: bool, share: float) -> None:
        """One label, in assignment order.

        Args:
            y: the outcome in [0, 1], higher is better.
            assigned: whether the request went to the challenger.
            share: the probability of that, recorded when it was drawn; 0 and 1 carry no evidence.
        """
        shifted = y + self._margin if assigned else y
        if self._n >= _WARM_UP and 0.0 < share < 1.0:
            self._bet(shifted - self._mean, (1.0 if assigned else 0.0) - share, share)
        # Both means are learned only after the bet: a forecast must not know what it forecasts.
        weight = max(1.0 - _DECAY, 1.0 / (self._n + 2))
        self._mean += weight * (shifted - self._mean)
        self._variance_mean += weight * (y - self._variance_mean)
        self._n += 1

    def _bet(self, residual: float, draw: float, share: float) -> None:
        limit = _SAFETY / self._worst(share)
        gain = self._sign * residual * draw
        unit = self._unit()
        wealth = self._wealth
        for k, size in enumerate(self._bets.sizes):
            grown = wealth[k] * (1.0 + min(size * unit, limit) * gain)
            wealth[k] = grown if grown < _CEILING else _CEILING

    def _worst(self, share: float) -> float:
        """The largest possible loss of a bet of size one, over all outcomes and both assignments."""
        mean, margin = self._mean, self._margin
        if self._sign < 0:
            worst = max((1.0 + margin - mean) * (1.0 - share), mean * share)
        else:
            worst = max((mean - margin) * (1.0 - share), (1.0 - mean) * share)
        return max(worst, 1e-9)

    def _unit(self) -> float:
        if not self._bets.relative:
            return 1.0
        mean = min(max(self._variance_mean, 0.01), 0.99)
        return self._margin / (mean * (1.0 - mean))

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth), "mean": self._mean, "variance_mean": self._variance_mean, "n": self._n}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        if len(state["wealth"]) != len(self._wealth):
            raise ValueError(f"{len(self._wealth)} bets were wanted, found {len(state['wealth'])} in the state")
        self._wealth = [float(w) for w in state["wealth"]]
        self._mean = float(state["mean"])
        self._variance_mean = float(state["variance_mean"])
        self._n = int(state["n"])
        return self
