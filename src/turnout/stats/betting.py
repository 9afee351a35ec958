"""The kernel of every verdict: a bet on the random assignment.

Each request was sent to the challenger (W = 1) or the champion (W = 0) by a draw with a recorded probability s. If the
challenger is as good as the champion, its outcomes cannot be told from the champion's by W, and nobody can win by
betting on `(y - m)(W - s)`, whatever the common level m does. Wealth that grows all the same is evidence.

Sources: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests" (arXiv 2106.02693);
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024);
Ville's inequality gives the bound at every look. Three refinements, each again a fair bet:

* weights: log-normal over the sizes of the bets (a universal portfolio with a prior), for drops that matter;
* no overshoot: wealth above the target decides nothing, so it is taken from the label that would bring it and given to
  the other arm (Fischer and Ramdas, arXiv 2410.16076);
* restarts: a little of the stake waits as cash and is bet afresh from time to time, so that a version that turns bad
  after 20,000 good labels is found as well (as e-detectors do: Shin, Ramdas and Rinaldo, arXiv 2203.03532).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = [
    "ACCURACY_BETS",
    "CEILING",
    "DECAY",
    "ERROR_BETS",
    "LATE_REGRESSION",
    "NO_RESTARTS",
    "PAID",
    "PROMOTION_BETS",
    "SAFETY",
    "SMALLEST_VARIANCE",
    "WARM_START_LABELS",
    "WARM_UP",
    "Bets",
    "Restarts",
    "ScoreBet",
    "log_normal_bets",
    "uniform_bets",
]

DECAY = 0.999  # half-life of the tracked mean: about 700 labels
WARM_UP = 20  # labels that only teach the mean, unless the champion's history has taught it
WARM_START_LABELS = 200  # what the champion's history weighs
SAFETY = 0.9  # a bet never risks more than this share of its wealth on one label
SMALLEST_VARIANCE = 0.0025
PAID = 1.0 + 1e-9  # of the target, so that rounding never leaves a decided test just below it
CEILING = 1e250  # an e-value cut off from above is still an e-value


@dataclass(frozen=True)
class Bets:
    """A mixture of bets, sizes rising.

    With `relative`, a bet is a multiple of margin / variance. Else it stands for itself on outcomes of 0 and 1, and
    grows on scores as their standard deviation falls below that of 0 and 1.
    """

    sizes: tuple[float, ...]
    weights: tuple[float, ...]
    relative: bool = False


def uniform_bets(sizes: Sequence[float]) -> Bets:
    """Every size with the same weight: for alternatives that nobody can guess."""
    return Bets(tuple(sizes), tuple(1 / len(sizes) for _ in sizes))


def log_normal_bets(sizes: Sequence[float], *, centre: float, sd: float) -> Bets:
    """Weights that fall off with the distance of log(size) from log(centre), in units of `sd`."""
    raw = [math.exp(-0.5 * (math.log(size / centre) / sd) ** 2) for size in sizes]
    return Bets(tuple(sizes), tuple(weight / sum(raw) for weight in raw))


# A bet of size d / (m (1 - m)) is the best one against a drop of d: 0.5 is 4.5 points at m = 0.9.
ACCURACY_BETS = log_normal_bets([0.1 * 2 ** (j / 2) for j in range(9)], centre=0.5, sd=0.95)
ERROR_BETS = uniform_bets([0.25 * 32 ** (j / 8) for j in range(9)])
PROMOTION_BETS = Bets((0.5, 1.0, 2.0, 4.0), (0.15, 0.45, 0.25, 0.15), relative=True)


@dataclass(frozen=True)
class Restarts:
    """How the stake is spread over starting times: `first` at once, the rest as fresh bets every `every` labels.

    After j restarts `(1 - first) * horizon / (horizon + j)` of the stake still waits as cash; the stakes sum to one
    over an unlimited horizon. Bets of one size share their wealth whenever they started (the mixture is linear), so any
    number of restarts costs one number of state.
    """

    first: float
    every: int
    horizon: float

    def cash(self, restarts: int) -> float:
        """Share of the stake that has not been bet after so many restarts."""
        return (1.0 - self.first) * self.horizon / (self.horizon + restarts)


LATE_REGRESSION = Restarts(first=0.88, every=2000, horizon=10.0)
NO_RESTARTS = Restarts(first=1.0, every=2**62, horizon=1.0)


class ScoreBet:
    """Evidence that the challenger's mean outcome is lower (`sign` -1) or higher (`sign` +1) than a shifted champion's.

    With μ the mean outcomes in [0, 1], higher being better, and δ the `margin`:

    * sign -1: H0 is μ_challenger + δ >= μ_champion at every label; evidence speaks for "worse by more than δ".
    * sign +1: H0 is μ_challenger + δ <= μ_champion at every label; evidence speaks for "not worse by δ".

    Guarantee: P(evidence ever reaches 1/α) <= α under H0, at any stopping time, for any path of the common level, any
    schedule of shares, any batch size. It needs s to be the true probability of the assignment given the past, and
    labels in assignment order (or delays that do not depend on the version).

    Args:
        sign: -1 or +1, see above.
        margin: δ.
        bets: sizes and weights of the mixture.
        target: the evidence that decides; nothing is paid beyond it (only with margin 0, where the refund is fair).
        restarts: how the stake is spread over starting times.
        history: the champion's mean outcome before the test; None when it is not known. It saves the warm-up and moves
            power only, never the error rate.

    Examples:
        >>> test = ScoreBet(sign=-1)
        >>> for i in range(400):
        ...     challenger = i % 2 == 0
        ...     test.update(y=float(i % 10 != 0) if challenger else 1.0, assigned=challenger, share=0.5)
        >>> test.evidence > 20
        True
    """

    __slots__ = (
        "_bets",
        "_cash",
        "_level",
        "_margin",
        "_mean",
        "_n",
        "_restarted",
        "_restarts",
        "_seen",
        "_sign",
        "_square",
        "_target",
        "_total",
        "_wealth",
    )

    def __init__(
        self,
        *,
        sign: int,
        margin: float = 0.0,
        bets: Bets = ACCURACY_BETS,
        target: float | None = None,
        restarts: Restarts = NO_RESTARTS,
        history: float | None = None,
    ) -> None:
        self._sign = sign
        self._margin = margin
        self._bets = bets
        # With a margin the two arms differ under H0 by an unknown split of it: no refund would be fair for all of them.
        self._target = target if target is not None and margin == 0.0 else math.inf
        self._restarts = restarts
        self._restarted = 0
        self._cash = restarts.cash(0)
        self._wealth = [restarts.first * weight for weight in bets.weights]
        self._total = 1.0
        self._mean = self._level = self._square = 0.5 if history is None else history
        self._n = 0
        self._seen = 0 if history is None else WARM_START_LABELS

    @property
    def evidence(self) -> float:
        """The e-value: what the stake of one has become."""
        return self._total

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
        seen = self._seen
        if seen >= WARM_UP and 0.0 < share < 1.0:
            self._bet(y, shifted - self._mean, (1.0 if assigned else 0.0) - share, share)
        # All means are learned only after the bet: a forecast must not know what it forecasts.
        weight = 1.0 / (seen + 2) if seen < 998 else 1.0 - DECAY
        self._mean += weight * (shifted - self._mean)
        self._level += weight * (y - self._level)
        self._square += weight * (y * y - self._square)
        self._n += 1
        self._seen = seen + 1
        if self._n >= (self._restarted + 1) * self._restarts.every:
            self._restart()

    def update_counts(self, *, champion: tuple[int, int], challenger: tuple[int, int], share: float) -> None:
        """Many labels of 0 or 1 under one share at the cost of one: (bad, good) counts of each version.

        The bets of the whole batch are fixed before it, so order within it does not matter and the guarantee is the
        same; single updates learn the mean on the way and differ by that. Nothing is refunded above the target.
        """
        labels = sum(champion) + sum(challenger)
        if not labels:
            return
        if self._seen >= WARM_UP and 0.0 < share < 1.0:
            limit, unit, mean, sign = SAFETY / self._worst(share), self._unit(), self._mean, self._sign
            gains = (
                *((-sign * (y - mean) * share, champion[y]) for y in (0, 1)),
                *((sign * (y + self._margin - mean) * (1.0 - share), challenger[y]) for y in (0, 1)),
            )
            for k, size in enumerate(self._bets.sizes):
                bet = min(size * unit, limit)
                log_factor = sum(count * math.log1p(bet * gain) for gain, count in gains if count)
                log_wealth = math.log(self._wealth[k]) + log_factor if self._wealth[k] > 0.0 else -math.inf
                self._wealth[k] = math.exp(min(log_wealth, math.log(CEILING)))
            self._total = self._cash + sum(self._wealth)
        keep = DECAY**labels if self._seen >= 998 else (self._seen + 2) / (self._seen + 2 + labels)
        good = champion[1] + challenger[1]
        self._mean += (1.0 - keep) * ((good + self._margin * sum(challenger)) / labels - self._mean)
        self._level += (1.0 - keep) * (good / labels - self._level)
        self._square += (1.0 - keep) * (good / labels - self._square)
        self._n += labels
        self._seen += labels
        if self._n >= (self._restarted + 1) * self._restarts.every:
            self._restart()

    def _bet(self, y: float, residual: float, draw: float, share: float) -> None:
        limit = SAFETY / self._worst(share)
        gain = self._sign * residual * draw
        sizes = self._bets.sizes
        unit = self._unit()
        if unit != 1.0:
            sizes = tuple([size * unit for size in sizes])
        if limit < sizes[-1]:
            sizes = tuple([size if size < limit else limit for size in sizes])
        before, wealth = self._total, self._wealth
        excess = 0.0
        if before < self._target:
            # The best label of all for these bets: the challenger's, as bad (or, for sign +1, as good) as can be.
            most = (self._mean if self._sign < 0 else 1.0 - self._mean) * (1.0 - share)
            if before * (1.0 + sizes[-1] * most) > self._target:
                stakes = sum([size * w for size, w in zip(sizes, wealth, strict=True)])
                excess = max(before + most * stakes - self._target * PAID, 0.0)
        grown = [w + w * size * gain for size, w in zip(sizes, wealth, strict=True)]
        total = self._cash + sum(grown)
        if excess:
            total = self._without_overshoot(grown, total, excess * (1.0 - y if self._sign < 0 else y), draw, share)
        if total > CEILING:
            grown = [min(w, CEILING) for w in grown]
            total = self._cash + sum(grown)
        self._wealth = grown
        self._total = total

    def _without_overshoot(self, grown: list[float], total: float, excess: float, draw: float, share: float) -> float:
        """Take the excess from a challenger's label and give it, at fair odds, to a champion's.

        Linear in y on each arm, so that the mean of the payment depends on the two mean outcomes alone: equal means
        make it one, and a better challenger makes it less.
        """
        wanted = total - excess if draw > 0.0 else total + excess * share / (1.0 - share)
        scale = wanted / total
        for k, wealth in enumerate(grown):
            grown[k] = wealth * scale
        self._cash *= scale
        return self._cash + sum(grown)

    def _restart(self) -> None:
        due = self._n // self._restarts.every
        kept = self._restarts.cash(due) / self._restarts.cash(self._restarted)
        self._restarted = due
        stake = self._cash * (1.0 - kept)
        self._cash *= kept
        self._wealth = [w + stake * weight for w, weight in zip(self._wealth, self._bets.weights, strict=True)]
        self._total = self._cash + sum(self._wealth)

    def _worst(self, share: float) -> float:
        """The largest possible loss of a bet of size one, over all outcomes and both assignments."""
        mean, margin = self._mean, self._margin
        if self._sign < 0:
            worst = max((1.0 + margin - mean) * (1.0 - share), mean * share)
        else:
            worst = max((mean - margin) * (1.0 - share), (1.0 - mean) * share)
        return max(worst, 1e-9)

    def _unit(self) -> float:
        level = self._level
        variance = self._square - level * level
        if self._bets.relative:
            return self._margin / max(variance, SMALLEST_VARIANCE)
        if abs(self._square - level) < 1e-9:  # only 0 and 1 so far
            return 1.0
        return math.sqrt(level * (1.0 - level) / max(variance, SMALLEST_VARIANCE))

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {
            "wealth": list(self._wealth),
            "cash": self._cash,
            "restarted": self._restarted,
            "mean": self._mean,
            "level": self._level,
            "square": self._square,
            "n": self._n,
            "seen": self._seen,
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off.

        Raises:
            ValueError: the state is that of a test with other bets.
        """
        if len(state["wealth"]) != len(self._wealth):
            raise ValueError(f"{len(self._wealth)} bets were wanted, found {len(state['wealth'])} in the state")
        self._wealth = [float(w) for w in state["wealth"]]
        self._cash = float(state["cash"])
        self._restarted = int(state["restarted"])
        self._total = self._cash + sum(self._wealth)
        self._mean = float(state["mean"])
        self._level, self._square = float(state["level"]), float(state["square"])
        self._n = int(state["n"])
        self._seen = int(state["seen"])
        return self
