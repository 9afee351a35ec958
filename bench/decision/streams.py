"""Labels for many repetitions at once, and the first label at which a test of each reaches its threshold."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.simulation.kernel import ScoreBets, promotion_bets, rollback_bets

__all__ = [
    "ALPHA",
    "BASE_09",
    "DOWN",
    "MARGIN",
    "STEPS",
    "UP",
    "Crossings",
    "Options",
    "World",
    "crossings",
    "in_parallel",
    "many",
]

ALPHA = 0.05
MARGIN = 0.02
STEPS = (0.05, 0.2, 0.5)
BASE_09 = (0.9, 0.9)
DOWN = (0.95, 0.80)
UP = (0.80, 0.95)
_CHUNK = 5000  # repetitions whose wealth stays in the processor's cache
_BLOCK = 64  # labels between two looks at who has ended


@dataclass(frozen=True)
class World:
    """What the labels are like. Shares divide the horizon evenly; the base moves in a line, or wobbles.

    `effect` is the challenger's mean minus the champion's; `label_ratio` how much more often than the champion's its
    labels arrive, unknown to the test; `late` moves the effect to the labels from there on.
    """

    base: tuple[float, float] = BASE_09
    shares: tuple[float, ...] = (0.05,)
    effect: float = 0.0
    horizon: int = 40_000
    wobble: float = 0.0
    label_ratio: float = 1.0
    late: int = 0

    def level(self, n: int) -> float:
        """The champion's mean at label n."""
        at = n / self.horizon
        return self.base[0] + (self.base[1] - self.base[0]) * at + self.wobble * math.sin(10.0 * math.pi * at)

    def share(self, n: int) -> float:
        """The share that the test is told."""
        return self.shares[min(len(self.shares) - 1, len(self.shares) * n // self.horizon)]


@dataclass(frozen=True)
class Crossings:
    """Per repetition: whether each test reached its threshold, and after how many labels (the challenger's, all)."""

    rollback: np.ndarray
    promote: np.ndarray
    own: np.ndarray
    labels: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Crossings]) -> Crossings:
        return cls(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("rollback", "promote", "own", "labels")))


@dataclass(frozen=True)
class Options:
    """Which tests run, at which thresholds; `history` seeds the forecast, as the controller does when it can."""

    rollback: bool = True
    promote: bool = True
    history: float | None = None
    threshold: float = 1.0 / ALPHA
    restarts: bool = True


def crossings(world: World, options: Options, *, repetitions: int, seed: int) -> Crossings:
    """Run until every repetition has a verdict (rollback first), or for the horizon."""
    draw = np.random.default_rng(seed)
    tests: dict[str, ScoreBets] = {}
    if options.rollback:
        if options.restarts:
            tests["rollback"] = rollback_bets(repetitions, alpha=1.0 / options.threshold, history=options.history)
        else:
            tests["rollback"] = ScoreBets(repetitions, sign=-1, target=options.threshold, history=options.history)
    if options.promote:
        tests["promote"] = promotion_bets(repetitions, margin=MARGIN, history=options.history)
    found = {name: np.zeros(repetitions, bool) for name in ("rollback", "promote")}
    own, labels = np.zeros(repetitions), np.zeros(repetitions)
    live, running = np.arange(repetitions), np.zeros(repetitions)
    ended = np.zeros(repetitions, bool)
    n = 0
    while live.size and n < world.horizon:
        block = min(_BLOCK, world.horizon - n)
        to_b, good = draw.random((block, live.size), dtype=np.float32), draw.random((block, live.size), np.float32)
        for row in range(block):
            share = world.share(n)
            odds = share / (1.0 - share) * world.label_ratio
            assigned = (to_b[row] < odds / (1.0 + odds)).astype(float)
            effect = world.effect if n >= world.late else 0.0
            y = (good[row] < world.level(n) + effect * assigned).astype(float)
            running += assigned if n >= world.late else 0.0
            n += 1
            for name, test in tests.items():
                test.update(y=y, assigned=assigned, share=share)
                if test.evidence.max() >= options.threshold:
                    new = (test.evidence >= options.threshold) & ~ended
                    found[name][live[new]] = True
                    own[live[new]], labels[live[new]] = running[new], n
                    ended |= new
        if ended.any():
            for test in tests.values():
                test.keep(~ended)
            live, running, ended = live[~ended], running[~ended], ended[~ended]
    own[live], labels[live] = running, n
    return Crossings(found["rollback"], found["promote"], own, labels)


def _sizes(repetitions: int) -> list[int]:
    chunks = math.ceil(repetitions / _CHUNK)
    return [repetitions // chunks + (i < repetitions % chunks) for i in range(chunks)]


def _chunk(world: World, options: Options, repetitions: int, seed: int) -> Crossings:
    return crossings(world, options, repetitions=repetitions, seed=seed)


def many(what: str, cells: Sequence[tuple[World, Options, int]], *, seed: int) -> list[Crossings]:
    """`crossings` of several worlds with their repetitions, cut into chunks for all cores."""
    jobs, owners = [], []
    for cell, (world, options, repetitions) in enumerate(cells):
        for chunk, size in enumerate(_sizes(repetitions)):
            jobs.append((world, options, size, seed * 1_000_003 + cell * 1009 + chunk))
            owners.append(cell)
    results = in_parallel(what, _chunk, jobs)
    return [
        Crossings.joined([r for r, owner in zip(results, owners, strict=True) if owner == cell])
        for cell in range(len(cells))
    ]


def in_parallel(what: str, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """`function(*job)` for every job on all cores, in the order of the jobs; progress goes to stderr."""
    started, results = time.monotonic(), [None] * len(jobs)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting = {pool.submit(function, *job): i for i, job in enumerate(jobs)}
        for done, future in enumerate(as_completed(waiting), start=1):
            results[waiting[future]] = future.result()
            seconds = time.monotonic() - started
            print(f"{what}: part {done} of {len(jobs)} done after {seconds:.0f} s", file=sys.stderr, flush=True)
    return results
