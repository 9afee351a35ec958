"""Alarms: they stop a verdict, they never give or bend one.

Each is itself an e-process for "the tests' assumption holds", raised at 1/α with α = 0.001, so that a whole rollout,
looked at after every request, has a false alarm of one kind with probability 0.001 at most (Ville's inequality).
An assumption may break late: every alarm keeps part of its stake as cash for later restarts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from turnout.stats.betting import CEILING, Restarts, ScoreBet, uniform_bets

__all__ = [
    "ALARM_ALPHA",
    "ODDS",
    "ODDS_WEIGHTS",
    "RESTARTS",
    "DelayAlarm",
    "LabelRatioAlarm",
    "SampleRatioAlarm",
    "SubjectAlarm",
    "UnrecordedAlarm",
    "too_old",
]

ALARM_ALPHA = 0.001
RESTARTS = Restarts(first=0.9, every=10_000, horizon=10.0)
# Small mismatches take longest to be seen: they get the larger part of the stake.
ODDS = tuple(math.exp(sign * x) for x in (0.8, 0.4, 0.2, 0.1) for sign in (-1, 1))
ODDS_WEIGHTS = (0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2)
_BETS = uniform_bets([0.1 * 2**j for j in range(6)])


class SampleRatioAlarm:
    """Evidence that assignments do not come with the probability that was asked for (sample-ratio mismatch).

    A mixture over odds ratios θ of the likelihood ratio `θ^W / (sθ + 1 - s)`: Lindon and Malek, "Anytime-valid
    inference for multinomial count data" (NeurIPS 2022, arXiv 2011.03567).
    H0: every assignment is drawn with its recorded share, given the past.
    """

    def __init__(self) -> None:
        self._wealth = [RESTARTS.first * weight for weight in ODDS_WEIGHTS]
        self._restarted = 0
        self._n = 0

    @property
    def evidence(self) -> float:
        """The e-value."""
        return RESTARTS.cash(self._restarted) + sum(self._wealth)

    def update(self, *, assigned: bool, share: float) -> None:
        """One assignment, labelled or not."""
        other = 1.0 - share
        self._wealth = [
            min(w * ((odds if assigned else 1.0) / (share * odds + other)), CEILING)
            for odds, w in zip(ODDS, self._wealth, strict=True)
        ]
        self._n += 1
        if self._n >= (self._restarted + 1) * RESTARTS.every:
            self._restarted += 1
            stake = RESTARTS.cash(self._restarted - 1) - RESTARTS.cash(self._restarted)
            self._wealth = [w + stake * weight for weight, w in zip(ODDS_WEIGHTS, self._wealth, strict=True)]

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth), "restarted": self._restarted, "n": self._n}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._wealth = [float(w) for w in state["wealth"]]
        self._restarted, self._n = int(state["restarted"]), int(state["n"])
        return self


class _TwoSided:
    """The kernel of the verdicts, bet both ways on an indicator that should not depend on the version."""

    def __init__(self) -> None:
        self._tests = [ScoreBet(sign=sign, bets=_BETS, restarts=RESTARTS) for sign in (-1, +1)]

    @property
    def evidence(self) -> float:
        """The e-value: a mean of two, which is one under any dependence (Vovk and Wang 2021)."""
        return sum(test.evidence for test in self._tests) / 2

    def _update(self, *, indicator: bool, assigned: bool, share: float) -> None:
        for test in self._tests:
            test.update(y=float(indicator), assigned=assigned, share=share)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"tests": [test.state() for test in self._tests]}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        for test, saved in zip(self._tests, state["tests"], strict=True):
            test.restore(saved)
        return self


class LabelRatioAlarm(_TwoSided):
    """Evidence that labels arrive for one version more often than for the other (labels missing not at random).

    H0: whether a label arrives within the window does not depend on the version.
    """

    def update(self, *, labelled: bool, assigned: bool, share: float) -> None:
        """One frozen unit."""
        self._update(indicator=labelled, assigned=assigned, share=share)


class DelayAlarm(_TwoSided):
    """Evidence that labels of one version come later than those of the other.

    The indicator is "later than the running median", learned from earlier labels only. H0: the delay of a label does
    not depend on the version. Behind the label window such a difference moves nothing by itself; it warns of labels
    that were made with knowledge of the version.
    """

    def __init__(self) -> None:
        super().__init__()
        self._median_us = 0.0

    def update(self, *, delay_us: float, assigned: bool, share: float) -> None:
        """One labelled unit, in assignment order."""
        if self._median_us <= 0.0:
            self._median_us = max(delay_us, 1.0)
            return
        late = delay_us > self._median_us
        self._update(indicator=late, assigned=assigned, share=share)
        self._median_us = max(self._median_us * (1.02 if late else 1.0 / 1.02), 1.0)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {**super().state(), "median_us": self._median_us}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._median_us = float(state["median_us"])
        return super().restore(state)


class SubjectAlarm:
    """Evidence that a subject's assignments hang together although every request was to be drawn afresh.

    H0: W is a fresh draw with its recorded share, given the past; then `(W - s)` times the subject's previous
    `(W' - s')` has mean zero whatever the outcomes do, and bets on it win nothing. Only dependence of the assignment
    breaks the verdicts: subjects whose outcomes are alike are harmless while each request is drawn afresh
    (0.043 wrong rollbacks at an intraclass correlation of 0.3; 0.34 when the same users stick to a version).
    """

    _FRACTIONS = (0.05, 0.2, 0.6)

    def __init__(self) -> None:
        self._wealth = [1.0 / len(self._FRACTIONS)] * len(self._FRACTIONS)

    @property
    def evidence(self) -> float:
        """The e-value."""
        return sum(self._wealth)

    def update(self, *, assigned: bool, share: float, last_assigned: bool, last_share: float) -> None:
        """One request of a subject that was seen before, with its previous assignment."""
        previous = (1.0 if last_assigned else 0.0) - last_share
        worst = share * previous if previous > 0.0 else (share - 1.0) * previous
        if not 0.0 < share < 1.0 or worst <= 0.0:
            return
        payoff = ((1.0 if assigned else 0.0) - share) * previous / worst
        self._wealth = [
            min(w * (1.0 + f * payoff), CEILING) for f, w in zip(self._FRACTIONS, self._wealth, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth)}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._wealth = [float(w) for w in state["wealth"]]
        return self


class UnrecordedAlarm:
    """Evidence that more than one record in a hundred comes without the probability of its assignment.

    Such records are no evidence for a verdict; many of them mean that the gateway's filters are missing.
    H0: P(a record has no known probability | past) <= 0.01.
    """

    _TOLERATED = 0.01
    _BETS = (0.5, 2.0, 8.0)

    def __init__(self) -> None:
        self._wealth = [1.0 / len(self._BETS)] * len(self._BETS)

    @property
    def evidence(self) -> float:
        """The e-value."""
        return sum(self._wealth)

    def update(self, *, recorded: int, unrecorded: int) -> None:
        """So many records more with a known probability, and without one."""
        for k, bet in enumerate(self._BETS):
            growth = unrecorded * math.log1p(bet * (1.0 - self._TOLERATED)) + recorded * math.log1p(
                -bet * self._TOLERATED
            )
            if self._wealth[k] > 0.0:
                self._wealth[k] = math.exp(min(math.log(self._wealth[k]) + growth, math.log(CEILING)))

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth)}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._wealth = [float(w) for w in state["wealth"]]
        return self


def too_old(*, newest_us: int, now_us: int, limit_us: int) -> bool:
    """Whether the newest unit of evidence is too old to promote on: traffic or labels ended, the world went on."""
    return newest_us > 0 and now_us - newest_us > limit_us
