"""Bars 9 and 10: labels that come later for one version, and users that come back."""

from __future__ import annotations

import numpy as np

from bench.decision import packed, streams
from bench.decision.rows import Row, rate
from bench.decision.streams import ALPHA, DOWN, MARGIN, STEPS, UP
from turnout.simulation.kernel import promotion_bets, rollback_bets
from turnout.stats.sticky import Seen, unit_share

__all__ = ["bar9", "bar10"]

_REQUESTS, _WINDOW, _MEAN_DELAY, _LATER = 40_000, 6000, 500, 3000


def _delayed(base: tuple[float, float], kind: str, windowed: bool, repetitions: int, seed: int) -> np.ndarray:
    """Half of the requests labelled, those of the challenger 3,000 requests later; which runs reach the threshold."""
    draw = np.random.default_rng(900 + seed)
    shape = (repetitions, _REQUESTS)
    at = np.arange(_REQUESTS)
    share = np.array(STEPS)[np.minimum(len(STEPS) * at // _REQUESTS, len(STEPS) - 1)]
    assigned = draw.random(shape, dtype=np.float32) < share
    effect = 0.0 if kind == "rollback" else -MARGIN
    level = np.linspace(*base, _REQUESTS)
    good = draw.random(shape, dtype=np.float32) < level + effect * assigned
    delay = draw.exponential(_MEAN_DELAY, shape) + _LATER * assigned
    labelled = draw.random(shape, dtype=np.float32) < 0.5
    if windowed:
        labels = packed.pack(labelled & (delay <= _WINDOW), y=good, assigned=assigned, share=share)
    else:
        labels = packed.pack(labelled, y=good, assigned=assigned, share=share, order=at + delay)
    tests = (
        rollback_bets(repetitions, alpha=ALPHA) if kind == "rollback" else promotion_bets(repetitions, margin=MARGIN)
    )
    return packed.reached(tests, labels, threshold=1.0 / ALPHA)


def bar9(scale: float = 1.0) -> list[Row]:
    """In assignment order behind a window the delay moves nothing; on arrival it decides."""
    chunk = max(int(250 * scale), 2)
    cells = [
        (name, base, kind, windowed)
        for windowed in (True, False)
        for name, base in (("drift up", UP), ("drift down", DOWN))
        for kind in ("rollback", "promote")
        if windowed or (name == "drift up") == (kind == "rollback")
    ]
    jobs = [(base, kind, windowed, chunk, seed) for _, base, kind, windowed in cells for seed in range(6)]
    found = streams.in_parallel("bar9", _delayed, jobs)
    rows = []
    for i, (name, _, kind, windowed) in enumerate(cells):
        hits = np.concatenate(found[6 * i : 6 * i + 6])
        if windowed:
            rows.append(rate("9", f"wrong {kind}, challenger's labels 3,000 requests later, {name}", hits, ALPHA))
        else:
            what = f"the same processed on arrival must fail: wrong {kind}, {name}"
            rows.append(rate("9", what, hits, 0.2, ">=", note="not shipped: no window"))
    return rows


def _visits(draw: np.random.Generator, repetitions: int, requests: int, active: int, visits: float) -> np.ndarray:
    """User numbers per request: so many active at a time, each replaced after a geometric number of visits."""
    slot = draw.integers(0, active, (repetitions, requests))
    leaves = draw.random((repetitions, requests), dtype=np.float32) < 1.0 / visits
    user = np.empty_like(slot)
    for r in range(repetitions):
        order = np.argsort(slot[r], kind="stable")
        before = np.concatenate(([0], np.cumsum(leaves[r][order])[:-1]))
        user[r][order] = slot[r][order] + active * before  # unique per slot and tenant
    return user


def _users(how: str, repetitions: int, seed: int) -> np.ndarray:
    """Equal versions, users whose outcomes are alike (intraclass correlation .3); which runs are rolled back."""
    draw = np.random.default_rng(1000 + seed)
    requests, share = 30_000, 0.2
    users = _visits(draw, repetitions, requests, 300, 20.0)
    y, assigned, chosen = (np.zeros((repetitions, requests), bool) for _ in range(3))
    for r in range(repetitions):
        _, first, who = np.unique(users[r], return_index=True, return_inverse=True)
        skill = draw.beta(0.9 * 7 / 3, 0.1 * 7 / 3, len(first))
        y[r] = draw.random(requests) < skill[who]
        if how == "fresh":
            assigned[r], chosen[r] = draw.random(requests) < share, True
        else:
            assigned[r] = (draw.random(len(first)) < share)[who]
            chosen[r] = True
            if how == "units":
                chosen[r] = False
                chosen[r, first] = True
    labels = packed.pack(chosen, y=y, assigned=assigned, share=share)
    return packed.reached(rollback_bets(repetitions, alpha=ALPHA), labels, threshold=1.0 / ALPHA)


def _closed(effect: float, shares: str, repetitions: int, seed: int) -> np.ndarray:
    """A closed population of 600 users (equal) or 3,000 (worse) under 5/20/50: units with stamped or conditional share.

    Returns which runs are rolled back, as (within the first step, ever).
    """
    draw = np.random.default_rng(1050 + seed)
    population = 600 if effect == 0.0 else 3000
    point = draw.random((repetitions, population))
    skill = draw.beta((0.9) * 7 / 3, 0.1 * 7 / 3, (repetitions, population))
    tests = rollback_bets(repetitions, alpha=ALPHA)
    found = np.zeros((2, repetitions), bool)
    for number, step in enumerate(STEPS):
        assigned = point < step
        for user in draw.permutation(population):
            now = np.full(repetitions, step)
            if shares == "conditional" and number:
                seen_at_b = unit_share(step, Seen().after(share=STEPS[number - 1], assigned=True))
                seen_at_a = unit_share(step, Seen().after(share=STEPS[number - 1], assigned=False))
                now = np.where(point[:, user] < STEPS[number - 1], seen_at_b, seen_at_a)
            to_b = assigned[:, user]
            y = (draw.random(repetitions) < np.clip(skill[:, user] + effect * to_b, 0.0, 1.0)).astype(float)
            tests.update(y=y, assigned=to_b.astype(float), share=now)
            over = tests.evidence >= 1.0 / ALPHA
            found[1] |= over
            if number == 0:
                found[0] |= over
    return found


def bar10(scale: float = 1.0) -> list[Row]:
    """Per-request randomisation and units per user both hold; a sticky key with requests as units does not."""
    chunk = max(int(250 * scale), 2)
    jobs = [(how, chunk, seed) for how in ("fresh", "units", "naive") for seed in range(6)]
    found = streams.in_parallel("bar10", _users, jobs)
    fresh, units, naive = (np.concatenate(found[i : i + 6]) for i in (0, 6, 12))
    cells = [(0.0, "conditional"), (0.0, "stamped"), (-0.05, "conditional")]
    parts = streams.in_parallel(
        "bar10 closed",
        _closed,
        [(effect, kind, max(int(1000 * scale), 2), s) for effect, kind in cells for s in (0, 1)],
    )
    closed, stamped, worse = (np.concatenate(parts[i : i + 2], axis=1) for i in (0, 2, 4))
    return [
        rate("10", "wrong rollbacks, 300 active users, ICC .3, drawn per request", fresh, ALPHA),
        rate("10", "wrong rollbacks, sticky, one unit per user", units, ALPHA),
        rate("10", "sticky with requests as units must fail", naive, 0.2, ">=", note="not shipped: refused"),
        rate("10", "wrong rollbacks, closed population of 600, 5/20/50, conditional share", closed[1], ALPHA),
        rate("10", "the same with the stamped share", stamped[1], ALPHA, note="not shipped", counted=False),
        rate(
            "10", "5 pt worse, closed population of 3,000: found in later steps only", worse[1] & ~worse[0], 0.2, ">="
        ),
        rate("10", "5 pt worse, closed population of 3,000: found in any step", worse[1], 0.8, ">=", counted=False),
    ]
