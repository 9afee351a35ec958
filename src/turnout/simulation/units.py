"""The labelled units of many rollouts at once: who is asked next, whom they meet, with which probability."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from turnout.simulation.kernel import Floats

__all__ = ["FreshUnits", "StickyUnits", "Unit", "Units"]

Bools = NDArray[np.bool_]


class Unit:
    """The next labelled unit of every rollout: `at` which request since the start, and whether there is one at all."""

    def __init__(self, at: Floats, share: Floats, assigned: Floats, there: Bools) -> None:
        self.at = at
        self.share = share
        self.assigned = assigned
        self.there = there


class Units(Protocol):
    """Where units come from."""

    def next(self, at: Floats, step: NDArray[np.int64], share: Floats) -> Unit: ...
    def keep(self, which: Bools) -> None: ...


class FreshUnits:
    """Every request is drawn afresh; a share of them gets a label in time."""

    def __init__(self, draw: np.random.Generator, *, labelled: float) -> None:
        self._draw = draw
        self._labelled = labelled

    def next(self, at: Floats, step: NDArray[np.int64], share: Floats) -> Unit:
        """The next labelled request."""
        after = at + self._draw.geometric(self._labelled, len(at))
        assigned = (self._draw.random(len(at)) < share).astype(float)
        return Unit(after, share, assigned, np.ones(len(at), bool))

    def keep(self, which: Bools) -> None:
        """Nothing is remembered."""


class StickyUnits:
    """A closed population whose members each have a place in [0, 1) for the whole rollout; a unit is (user, step)."""

    def __init__(self, draw: np.random.Generator, repetitions: int, *, users: int, labelled: float) -> None:
        self._draw = draw
        self._users = users
        self._labelled = labelled
        self._place = draw.random((repetitions, users), dtype=np.float32)
        self._last = np.zeros((repetitions, users), np.float32)  # the share under which the user was seen last
        self._turn = np.zeros((repetitions, users), np.int32)  # in which order users come in this step
        self._seen = np.zeros(repetitions, np.int64)  # how many of them have come
        self._step = np.full(repetitions, -1)

    def next(self, at: Floats, step: NDArray[np.int64], share: Floats) -> Unit:
        """The first request of the next user of the step who gets a label; a user's later requests are no units."""
        size = len(at)
        for changed in np.flatnonzero(step != self._step):
            self._turn[changed], self._seen[changed] = self._draw.permutation(self._users), 0
        self._step = step.copy()
        skipped = self._draw.geometric(self._labelled, size) - 1
        there = self._seen + skipped < self._users
        left = self._users - self._seen + 0.5
        # Users come at random: the one after k others of n comes after n / (n - k) requests on average.
        gone = np.minimum(skipped + 1, self._users - self._seen)
        after = at + self._users * np.log(left / (left - gone))
        rows = np.arange(size)
        user = self._turn[rows, np.minimum(self._seen + gone, self._users) - 1]
        last, place = self._last[rows, user].astype(float), self._place[rows, user]
        conditional = np.where(place < last, 1.0, (share - last) / (1.0 - last))
        for r in np.flatnonzero(gone > 1):  # those without a label in time were seen as well
            self._last[r, self._turn[r, self._seen[r] : self._seen[r] + gone[r]]] = share[r]
        self._last[rows, user] = share
        self._seen += gone
        return Unit(after, np.where(there, conditional, 0.0), (place < share) * there.astype(float), there)

    def keep(self, which: Bools) -> None:
        """Go on with these repetitions only."""
        self._place, self._last, self._turn = self._place[which], self._last[which], self._turn[which]
        self._seen, self._step = self._seen[which], self._step[which]
