"""Thousands of rollouts of one scenario: the shipped tests on arrays, every decision by the controller's own rules.

It looks at every label, as a controller does that reconciles more often than labels come. Errors and latency are taken
to be those of the champion: their part of the level is spent and brings nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.controller.decision import decide
from turnout.controller.records import Decision, Observed
from turnout.controller.rollout import Rollout
from turnout.kube.turnouts import Policy
from turnout.simulation.kernel import Floats, promotion_bets, rollback_bets
from turnout.simulation.scenarios import Scenario
from turnout.simulation.units import FreshUnits, StickyUnits, Units
from turnout.stats.comparison import GUARDRAIL_WEIGHTS, Comparison, Levels

__all__ = ["Outcomes", "simulate"]

_CHAMPION, _CHALLENGER = "champion", "challenger"
_BEGIN_US = 1
_MOST_LABELS = 300_000
_WEIGHT = GUARDRAIL_WEIGHTS["outcome"]
_NO_NUMBERS = Comparison(Levels(alpha=0.05, margin=0.0, error_rate=0.0, latency_ratio=1.0)).summary()


@dataclass(frozen=True)
class Outcomes:
    """One entry per simulated rollout. `verdict` is promote, rollback or hold (none within maxAge or the labels tried).

    `hours` to the verdict; `labels` that it took, of which `own` were the challenger's; `exposed` counts requests that
    the challenger answered until then.
    """

    verdict: NDArray[np.str_]
    hours: Floats
    labels: Floats
    own: Floats
    exposed: Floats

    def share(self, verdict: str) -> float:
        """How often it ended so."""
        return float(np.mean(self.verdict == verdict))


@dataclass(frozen=True)
class _View:
    """What the rules ask of a comparison, for one repetition."""

    is_worse: bool
    is_not_worse: bool
    leans_to_rollback: bool
    reason: str = "outcome"
    newest_us: int = 0  # evidence comes all the time: it is never too old

    @property
    def alarms(self) -> list[str]:
        return []

    def summary(self) -> dict[str, Any]:
        return _NO_NUMBERS


def _decided(rollout: Rollout, view: _View, policy: Policy, now_us: int) -> tuple[Rollout, list[Decision]]:
    """Decisions until none follows, as the controller makes them."""
    made: list[Decision] = []
    observed = Observed(
        challengers=(_CHALLENGER,), ready=frozenset((_CHAMPION, _CHALLENGER)), policy=policy, now_us=now_us
    )
    while True:
        decision = decide(rollout, observed, {_CHALLENGER: view}, new_rev=lambda: str(now_us))
        if decision is None:
            return rollout, made
        made.append(decision)
        rollout = decision.rollout
        if decision.action in ("promote", "rollback", "hold", "expire", "await"):
            return rollout, made


class _Run:
    """All repetitions of one scenario, in lock step by labels; those with a verdict leave."""

    def __init__(self, scenario: Scenario, repetitions: int, seed: int) -> None:
        policy, self.scenario = scenario.policy, scenario
        # Nobody is asked for approval and nothing is frozen: what is shown is how long the evidence takes.
        self.policy = policy.model_copy(update={"approval": "none", "freeze": ()})
        self.draw = np.random.default_rng(seed)
        self.live = np.arange(repetitions)
        self.worse = rollback_bets(repetitions, alpha=policy.alpha * _WEIGHT)
        self.not_worse = promotion_bets(repetitions, margin=policy.margin)
        self.units: Units = (
            StickyUnits(self.draw, repetitions, users=scenario.users, labelled=scenario.labelled)
            if scenario.users
            else FreshUnits(self.draw, labelled=scenario.labelled)
        )
        rollout, _ = _decided(Rollout(champion=_CHAMPION), _View(False, False, False), self.policy, _BEGIN_US)
        self.rollouts = [rollout] * repetitions
        # Per repetition and step: the request from which on it holds, and the share.
        self.begins = np.full((repetitions, len(policy.steps)), np.inf)
        self.begins[:, 0] = 0.0
        self.shares = np.array(policy.steps) / 100.0
        self.at, self.own, self.step_labels = np.zeros(repetitions), np.zeros(repetitions), np.zeros(repetitions)
        self.step = np.zeros(repetitions, np.int64)  # the last one decided, which begins a window later
        self.step_us = np.full(repetitions, float(_BEGIN_US))
        self.earned = np.zeros(repetitions, bool)
        verdict = np.full(repetitions, "hold", dtype="<U8")
        self.outcomes = Outcomes(verdict, *(np.zeros(repetitions) for _ in range(4)))
        self.labels = 0

    def advance(self) -> None:
        """One label of every repetition, and what follows from it."""
        acting = (self.begins <= self.at[:, None]).sum(axis=1) - 1
        unit = self.units.next(self.at, acting, self.shares[acting])
        self.labels += 1
        self.at = unit.at
        level = self.scenario.base + self.scenario.effect * unit.assigned
        y = (self.draw.random(len(self.live)) < level).astype(float)
        self.worse.update(y=y, assigned=unit.assigned, share=unit.share)
        self.not_worse.update(y=y, assigned=unit.assigned, share=unit.share)
        counts = unit.assigned * unit.there
        self.own += counts
        self.step_labels += counts * (self.at >= np.take_along_axis(self.begins, self.step[:, None], 1)[:, 0])
        # A step that has asked all of its users only waits: for its time, or for somebody to give up.
        now_us = self.at / self.scenario.per_us + self.policy.label_window
        now_us = np.where(unit.there, now_us, np.maximum(now_us, self.step_us + self.policy.step_time))
        self._judge(now_us, exhausted=~unit.there)

    def _judge(self, now_us: Floats, *, exhausted: NDArray[np.bool_]) -> None:
        alpha = self.policy.alpha
        against = _WEIGHT * self.worse.evidence
        worse, proven = against >= 1.0 / alpha, self.not_worse.evidence >= 1.0 / alpha
        leans = against >= 0.5 / alpha
        waited = now_us - self.step_us >= self.policy.step_time
        further = self.step + 1 < len(self.shares)
        ready = (self.step_labels >= self.policy.min_labels) & ~leans & further
        expired = now_us - _BEGIN_US > self.policy.max_age
        # Only where a rule could speak are the rules asked: they are Python, the rest is arrays.
        asked = worse | (proven & ~self.earned) | (waited & (ready | self.earned)) | expired | exhausted
        ended = np.zeros(len(self.live), bool)
        for r in np.flatnonzero(asked):
            view = _View(bool(worse[r]), bool(proven[r] | self.earned[r]), bool(leans[r]))
            ended[r] = self._ask(int(r), view, float(now_us[r]), exhausted=bool(exhausted[r]))
        if ended.any():
            self._leave(ended)

    def _ask(self, r: int, view: _View, now_us: float, *, exhausted: bool) -> bool:
        """Ask the rules about one repetition; whether it is over."""
        rollout = self.rollouts[r]
        challenge = replace(rollout.challenges[0], step_labels=int(self.step_labels[r]))
        rollout, made = _decided(rollout.with_challenge(challenge), view, self.policy, int(now_us))
        self.rollouts[r] = rollout
        for decision in made:
            if decision.action == "step":
                self.step[r] += 1
                # Requests see the new share now; their labels are known a window later.
                self.begins[r, self.step[r]] = max(now_us * self.scenario.per_us, self.at[r])
                self.step_us[r], self.step_labels[r] = now_us, 0.0
            elif decision.action == "verdict":
                self.earned[r] = True
            elif decision.action in ("promote", "rollback", "hold", "expire"):
                self._end(r, "rollback" if decision.action == "expire" else decision.action, now_us)
                return True
        if exhausted and not made:
            self._end(r, "hold", now_us)  # every user was asked, nothing new will come
            return True
        return False

    def _end(self, r: int, verdict: str, now_us: float) -> None:
        to, i, end = self.outcomes, self.live[r], now_us * self.scenario.per_us
        to.verdict[i], to.hours[i] = verdict, now_us / 3.6e9
        to.labels[i], to.own[i] = self.labels, self.own[r]
        begins = np.minimum(np.append(self.begins[r], end), end)
        to.exposed[i] = float(np.sum(np.diff(begins) * self.shares))

    def _leave(self, ended: NDArray[np.bool_]) -> None:
        stay = ~ended
        for part in (self.worse, self.not_worse, self.units):
            part.keep(stay)
        self.rollouts = [rollout for rollout, stays in zip(self.rollouts, stay, strict=True) if stays]
        for name in ("live", "begins", "at", "own", "step_labels", "step", "step_us", "earned"):
            setattr(self, name, getattr(self, name)[stay])


def simulate(scenario: Scenario, *, repetitions: int, seed: int = 0) -> Outcomes:
    """Run the scenario so often; the same seed gives the same outcomes."""
    run = _Run(scenario, repetitions, seed)
    while run.live.size and run.labels < _MOST_LABELS:
        run.advance()
    for r in range(len(run.live)):
        run._end(r, "hold", float(run.at[r] / scenario.per_us + scenario.policy.label_window))
    return run.outcomes
