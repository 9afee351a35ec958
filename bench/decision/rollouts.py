"""Bars 8 and 14: both tests together over a whole rollout, late regressions, three challengers at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.decision import packed, streams
from bench.decision.rows import Row, exact, mean, median, rate
from bench.decision.streams import ALPHA, BASE_09, DOWN, MARGIN, STEPS, Options, World
from turnout.simulation.kernel import promotion_bets
from turnout.stats.families import pair_share

__all__ = ["bar8", "bar14"]

_NEVER = 10_000_000
_BASES = {"base .9": BASE_09, "base .95 to .80": DOWN}
_EFFECTS = {0.02: 2000, 0.0: 3000, -0.01: 1000, -0.02: 3000, -0.05: 1000, -0.10: 1000}


def bar8(scale: float = 1.0) -> list[Row]:
    """What becomes of challengers that are better, equal, a little worse and much worse."""
    cells, names = [], []
    for base_name, base in _BASES.items():
        for effect, runs in _EFFECTS.items():
            world = World(base=base, shares=STEPS, effect=effect, horizon=60_000)
            cells.append((world, Options(), max(int(runs * scale), 2)))
            names.append((base_name, effect))
    rows = []
    for (base_name, effect), found in zip(names, streams.many("bar8", cells, seed=8), strict=True):
        what = f"effect {effect * 100:+.0f} pt, {base_name}"
        if effect == 0.02:
            rows.append(rate("8", f"promoted, {what}", found.promote, 0.999, ">="))
        elif effect == 0.0:
            rows.append(rate("8", f"promoted, {what}", found.promote, 0.95, ">="))
        elif effect == -0.02:
            rows.append(rate("8", f"promoted, {what}", found.promote, 0.05))
            rows.append(rate("8", f"rolled back, {what}", found.rollback, 0.95, ">="))
        elif effect == -0.05:
            rows.append(rate("8", f"rolled back, {what}", found.rollback, 0.99, ">="))
            most = 5000 if base_name == "base .9" else 3400
            rows.append(median("8", f"median labels to the verdict, {what}", found.labels, most))
        else:
            wanted = 1.0 if effect < -0.05 else 0.0
            rows.append(rate("8", f"rolled back, {what}", found.rollback, wanted, ">=", counted=effect < -0.05))
    return rows


def bar14(scale: float = 1.0) -> list[Row]:
    """A challenger that turns bad late; what watching for that costs; three challengers at once."""
    bad = World(shares=(0.2,), effect=-0.05, horizon=_NEVER)
    options, runs = Options(promote=False), max(int(4000 * scale), 2)
    cells = [
        (replace(bad, late=20_000), options, runs),
        (bad, options, runs * 5),
        (bad, replace(options, restarts=False), runs * 5),
        (
            World(shares=(pair_share(champion=0.85, challenger=0.05),), horizon=_NEVER),
            Options(rollback=False, threshold=3 / ALPHA),
            runs,
        ),
    ]
    late, restarts, plain, promoted = streams.many("bar14", cells, seed=14)
    after = late.own[late.labels > 20_000]
    cost = float(restarts.own.mean() / plain.own.mean() - 1.0)
    wrong = np.concatenate(
        streams.in_parallel("bar14 family", _any_wrong, [(max(int(500 * scale), 2), seed) for seed in range(8)])
    )
    return [
        mean("14", "canary labels after the change, 5 pt worse from label 20,000, s = .2", after, 920),
        exact("14", "cost of restarts when the challenger is bad from the start", cost, 0.13),
        mean("14", "canary labels per promotion, three equal challengers, pair share .056", promoted.own, 2700),
        rate("14", "any wrong promotion of three, all worse by the margin", wrong, ALPHA),
    ]


def _any_wrong(repetitions: int, seed: int, labels: int = 40_000) -> np.ndarray:
    """Three challengers at 5 % each, all worse by exactly the margin, judged on the same champion's labels."""
    draw = np.random.default_rng(1400 + seed)
    version = np.searchsorted([0.85, 0.90, 0.95], draw.random((repetitions, labels), dtype=np.float32)).astype(np.int8)
    good = draw.random(version.shape, dtype=np.float32) < 0.9 - MARGIN * (version > 0)
    wrong = np.zeros(repetitions, bool)
    share = pair_share(champion=0.85, challenger=0.05)
    for challenger in (1, 2, 3):
        chosen = (version == 0) | (version == challenger)
        pair = packed.pack(chosen, y=good, assigned=version == challenger)
        tests = promotion_bets(repetitions, margin=MARGIN)
        wrong |= packed.reached(tests, pair, share=share, threshold=3 / ALPHA)
    return wrong
