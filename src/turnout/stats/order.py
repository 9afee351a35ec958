"""The order alarm: is the assignment that arrives the random one that was asked for?

A gateway without filters deals requests out in a pattern (11112 11112 ...): shares are right, yet a client with a
rhythm meets the same version with the same items for ever. Two e-processes watch for that, averaged into one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from turnout.stats.betting import CEILING, Restarts

__all__ = ["OrderAlarm"]

_CONTEXTS = 32
_PER_CYCLE = 16  # contexts within the mean distance of two assignments to the rarer version
_PRIOR = 1.0  # what the recorded share weighs against what a context has shown
_BLOCK = 64
_POWERS = (4.0, 16.0, 64.0)
_RESTARTS = Restarts(first=0.5, every=2048, horizon=10.0)


class OrderAlarm:
    """Evidence that assignments can be foretold from the ones before, or come too evenly.

    * Foretold: the e-process `Π q(W | gap) / s(W)`, where q is learned per gap (requests since the last one to the
      rarer version) from earlier requests: a prequential likelihood ratio (Dawid 1984). It catches one proxy worker.
    * Too evenly: several workers with a pattern each look random one by one, but their counts in blocks of 64 spread
      less than binomial ones. Each block pays `b(x)^τ / Σ b^τ` over the binomial b(x), mixed over τ > 1.

    H0: W is a fresh draw with its recorded share, given the past. P(evidence ever reaches 1/α) <= α, as for every
    e-process. The stake is spread over segments of 2048 requests, so that a pattern that begins late is found as well.

    Examples:
        >>> alarm = OrderAlarm()
        >>> for i in range(200):
        ...     alarm.update(assigned=i % 5 == 4, share=0.2)
        >>> alarm.evidence > 1000
        True
    """

    def __init__(self) -> None:
        self._segment = 0
        self._banked = 0.0
        self._n = 0
        self._gap = 0
        self._begin()

    def _begin(self) -> None:
        """A new segment forgets what it learned, and bets the next stake."""
        cash = _RESTARTS.cash
        self._stake = _RESTARTS.first if not self._segment else cash(self._segment - 1) - cash(self._segment)
        self._foretold = 1.0
        self._even = [1.0] * len(_POWERS)
        self._seen = [0] * _CONTEXTS
        self._hits = [0] * _CONTEXTS
        self._block = [0, 0]
        self._block_share = 0.0

    @property
    def evidence(self) -> float:
        """The e-value."""
        return self._banked + self._stake * self._current() + _RESTARTS.cash(self._segment)

    def _current(self) -> float:
        return 0.5 * (self._foretold + sum(self._even) / len(self._even))

    def update(self, *, assigned: bool, share: float) -> None:
        """One assignment, in the order of arrival at the gateway. Shares of 0 and 1 tell nothing."""
        if not 0.0 < share < 1.0:
            return
        # Told from the rarer version: there the distance from one to the next says most.
        rare, chance = (assigned, share) if share <= 0.5 else (not assigned, 1.0 - share)
        self._foretell(rare, chance)
        self._count(rare, chance)
        self._n += 1
        if self._n % _RESTARTS.every == 0:
            self._banked += self._stake * self._current()
            self._segment += 1
            self._begin()

    def _foretell(self, rare: bool, chance: float) -> None:
        context = min(int(self._gap * chance * _PER_CYCLE), _CONTEXTS - 1)
        seen, hits = self._seen[context], self._hits[context]
        forecast = (_PRIOR * chance + hits) / (_PRIOR + seen)
        ratio = forecast / chance if rare else (1.0 - forecast) / (1.0 - chance)
        self._foretold = min(self._foretold * ratio, CEILING)
        self._seen[context] = seen + 1
        self._hits[context] = hits + rare
        self._gap = 0 if rare else self._gap + 1

    def _count(self, rare: bool, chance: float) -> None:
        if chance != self._block_share:  # a block has one share; half a block is thrown away, which is no bet
            self._block, self._block_share = [0, 0], chance
        self._block[0] += 1
        self._block[1] += rare
        if self._block[0] == _BLOCK:
            for j, power in enumerate(_POWERS):
                ratio = _evenness(chance, power)[self._block[1]]
                self._even[j] = min(self._even[j] * ratio, CEILING)
            self._block = [0, 0]

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {
            "segment": self._segment,
            "banked": self._banked,
            "n": self._n,
            "gap": self._gap,
            "foretold": self._foretold,
            "even": list(self._even),
            "seen": list(self._seen),
            "hits": list(self._hits),
            "block": [*self._block, self._block_share],
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._segment, self._n, self._gap = int(state["segment"]), int(state["n"]), int(state["gap"])
        self._banked = float(state["banked"])
        self._begin()
        self._foretold, self._even = float(state["foretold"]), [float(e) for e in state["even"]]
        self._seen, self._hits = list(state["seen"]), list(state["hits"])
        size, count, self._block_share = state["block"]
        self._block = [int(size), int(count)]
        return self


@lru_cache(maxsize=256)
def _evenness(share: float, power: float) -> tuple[float, ...]:
    """For every count of a block: the tempered binomial probability over the binomial one."""
    logs = [
        math.lgamma(_BLOCK + 1)
        - math.lgamma(x + 1)
        - math.lgamma(_BLOCK - x + 1)
        + x * math.log(share)
        + (_BLOCK - x) * math.log1p(-share)
        for x in range(_BLOCK + 1)
    ]
    top = max(logs)
    norm = top * power + math.log(sum(math.exp((value - top) * power) for value in logs))
    return tuple(math.exp(power * value - norm - value) for value in logs)
