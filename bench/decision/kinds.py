"""Bars 11 to 13: sample-ratio alarm, latency, scores and errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from bench.decision import streams
from bench.decision.rows import Row, exact, mean, rate
from bench.decision.streams import ALPHA, STEPS
from bench.decision.twins import LatencyTests, SampleRatios
from turnout.simulation.kernel import ScoreBets, rollback_bets
from turnout.stats.alarms import ALARM_ALPHA
from turnout.stats.betting import ERROR_BETS
from turnout.stats.order import OrderAlarm

__all__ = ["bar11", "bar12", "bar13", "dealt"]


class _Test(Protocol):
    @property
    def evidence(self) -> np.ndarray: ...
    def keep(self, which: np.ndarray) -> None: ...


def _until(test: _Test, step: Callable[[int, int], np.ndarray], *, repetitions: int, threshold: float, most: int):
    """Run `step` (which feeds the test one request of each repetition and says who met the challenger).

    Returns (reached, requests of the challenger, requests) per repetition.
    """
    reached, own, total = np.zeros(repetitions, bool), np.zeros(repetitions), np.zeros(repetitions)
    live, running = np.arange(repetitions), np.zeros(repetitions)
    for n in range(1, most + 1):
        running += step(n, live.size)
        if (test.evidence >= threshold).any():
            new = test.evidence >= threshold
            reached[live[new]], own[live[new]], total[live[new]] = True, running[new], n
            test.keep(~new)
            live, running = live[~new], running[~new]
            if not live.size:
                break
    own[live], total[live] = running, most
    return reached, own, total


def _sample_ratio(asked: float, given: float, most: int, repetitions: int, seed: int):
    draw, test = np.random.default_rng(1100 + seed), SampleRatios(repetitions)

    def step(n: int, size: int) -> np.ndarray:
        assigned = (draw.random(size, dtype=np.float32) < given).astype(float)
        test.update(assigned=assigned, share=asked)
        return assigned

    return _until(test, step, repetitions=repetitions, threshold=1.0 / ALARM_ALPHA, most=most)


def dealt(weights: Sequence[int]) -> Iterator[bool]:
    """Whom a gateway without filters sends to the challenger: a smooth weighted round robin."""
    current, total = [0] * len(weights), sum(weights)
    while True:
        for i, weight in enumerate(weights):
            current[i] += weight
        best = max(range(len(weights)), key=lambda i: current[i])
        current[best] -= total
        yield best == 1


def _false_orders(rollouts: int, seed: int) -> list[bool]:
    """Rollouts of 1,500 random requests under 5/20/50: whether the order alarm was ever raised."""
    raised = []
    for each in range(rollouts):
        draw, alarm, highest = random.Random(seed * 1_000_003 + each), OrderAlarm(), 0.0
        for i in range(1500):
            share = STEPS[i // 500]
            alarm.update(assigned=draw.random() < share, share=share)
            highest = max(highest, alarm.evidence)
        raised.append(highest >= 1.0 / ALARM_ALPHA)
    return raised


def _caught(share: float) -> int:
    """Requests until the pattern of one proxy worker is seen."""
    alarm, percent = OrderAlarm(), round(100 * share)
    for n, assigned in enumerate(dealt([100 - percent, percent]), start=1):
        alarm.update(assigned=assigned, share=share)
        if alarm.evidence >= 1.0 / ALARM_ALPHA:
            return n
    raise AssertionError("a round robin never ends")


def bar11(scale: float = 1.0) -> list[Row]:
    """False alarms over 100,000 requests; requests to a true one."""
    runs = max(int(1500 * scale), 2)
    jobs = [(0.05, 0.05, 100_000, runs, s) for s in (0, 1)]
    jobs += [(asked, given, 1_000_000, runs, s) for asked, given in ((0.05, 0.04), (0.5, 0.48)) for s in (2, 3)]
    found = streams.in_parallel("bar11", _sample_ratio, jobs)
    false, five, fifty = (
        np.concatenate([found[i][column], found[i + 1][column]]) for i, column in ((0, 0), (2, 2), (4, 2))
    )
    orders = streams.in_parallel("bar11 order", _false_orders, [(max(int(500 * scale), 2), seed) for seed in range(6)])
    caught = max(_caught(share) for share in STEPS)
    return [
        rate("11", "false order alarms in rollouts of 1,500 random requests", np.concatenate(orders), ALARM_ALPHA),
        exact("11", "requests until a round robin is seen, one worker, worst of 5, 20, 50 %", caught, 500),
        rate("11", "false sample-ratio alarms over 100,000 requests", false, ALARM_ALPHA),
        mean("11", "requests until 5 % that are 4 % are seen", five, 7950),
        mean("11", "requests until 50 % that are 48 % are seen", fifty, 11_400),
    ]


def _latency(slower: float, drift: float, most: int, repetitions: int, seed: int):
    draw, test = np.random.default_rng(1200 + seed), LatencyTests(repetitions)

    def step(n: int, size: int) -> np.ndarray:
        assigned = (draw.random(size) < 0.05).astype(float)
        common = 1.0 + drift * n / most
        duration = 20_000.0 * common * np.exp(0.6 * draw.standard_normal(size)) * np.where(assigned > 0, slower, 1.0)
        test.update(duration=duration, assigned=assigned, share=0.05)
        return assigned

    return _until(test, step, repetitions=repetitions, threshold=1.0 / ALPHA, most=most)


def bar12(scale: float = 1.0) -> list[Row]:
    """A slow-down by a fifth, and none while both slow down together."""
    runs = max(int(1500 * scale), 2)
    jobs = [(1.2, 0.0, 200_000, runs, s) for s in (0, 1)] + [(1.0, 0.5, 40_000, runs, s) for s in (2, 3)]
    found = streams.in_parallel("bar12", _latency, jobs)
    return [
        mean("12", "canary requests until × 1.2 is seen, 5/95", np.concatenate([found[0][1], found[1][1]]), 165),
        rate("12", "wrong rollbacks, both 50 % slower over time", np.concatenate([found[2][0], found[3][0]]), ALPHA),
    ]


def _scores(share: float, drop: float, repetitions: int, seed: int):
    """Beta scores of standard deviation .1 around .9."""
    draw = np.random.default_rng(1300 + seed)
    test = rollback_bets(repetitions, alpha=ALPHA, binary=False)

    def step(n: int, size: int) -> np.ndarray:
        assigned = (draw.random(size) < share).astype(float)
        level = 0.9 - drop * assigned
        strength = level * (1.0 - level) / 0.01 - 1.0
        test.update(y=draw.beta(level * strength, (1.0 - level) * strength), assigned=assigned, share=share)
        return assigned

    return _until(test, step, repetitions=repetitions, threshold=1.0 / ALPHA, most=100_000)


def _errors(
    before: tuple[float, float], worse: float, shares: tuple[float, ...], most: int, repetitions: int, seed: int
):
    """Rates of errors; the guardrail's bets without a margin, the champion's rate known."""
    draw = np.random.default_rng(1350 + seed)
    test = ScoreBets(repetitions, sign=-1, bets=ERROR_BETS, target=1.0 / ALPHA, history=1.0 - before[0])

    def step(n: int, size: int) -> np.ndarray:
        share = shares[min(len(shares) - 1, len(shares) * n // most)]
        assigned = (draw.random(size) < share).astype(float)
        bad = before[0] + (before[1] - before[0]) * n / most + worse * assigned
        test.update(y=(draw.random(size) >= bad).astype(float), assigned=assigned, share=share)
        return assigned

    return _until(test, step, repetitions=repetitions, threshold=1.0 / ALPHA, most=most)


def bar13(scale: float = 1.0) -> list[Row]:
    """Scores with little spread; rare errors."""
    runs = max(int(3000 * scale), 2)
    scores, equal = streams.in_parallel("bar13 scores", _scores, [(0.2, 0.02, runs, 0), (0.2, 0.0, runs // 3, 1)])
    jobs = [
        ((0.005, 0.005), 0.01, (0.05,), 400_000, runs, 0),
        ((0.001, 0.001), 0.009, (0.05,), 400_000, runs, 1),
        ((0.005, 0.02), 0.0, STEPS, 40_000, runs, 2),
    ]
    half, tenth, drift = streams.in_parallel("bar13 errors", _errors, jobs)
    return [
        mean("13", "canary labels to see scores .02 lower, sd .1, 20/80", scores[1], 228),
        rate("13", "wrong rollbacks on scores, 100,000 labels", equal[0], ALPHA),
        mean("13", "canary requests to see errors of 1.5 % instead of .5 %, 5/95", half[1], 700),
        mean("13", "canary requests to see errors of 1 % instead of .1 %, 5/95", tenth[1], 415),
        rate("13", "wrong rollbacks on errors that rise from .5 to 2 % for both", drift[0], ALPHA),
    ]
