"""Bars 15 and 16: speed, size of the state, and that nothing but the labels themselves moves the evidence."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

from bench.decision.rows import Row, exact
from turnout.stats.betting import ACCURACY_BETS, LATE_REGRESSION, PROMOTION_BETS, ScoreBet
from turnout.stats.comparison import Comparison, Levels

__all__ = ["bar15", "bar16"]

_LEVELS = Levels(alpha=0.05, margin=0.02, error_rate=0.01, latency_ratio=1.5)
Label = tuple[float, bool, float]


def _labels(n: int, seed: int = 15) -> list[Label]:
    draw = random.Random(seed)
    made = []
    for i in range(n):
        share = (0.05, 0.2, 0.5)[3 * i // n]
        assigned = draw.random() < share
        made.append((float(draw.random() < 0.9 - 0.01 * assigned), assigned, share))
    return made


def _pair() -> tuple[ScoreBet, ScoreBet]:
    rollback = ScoreBet(sign=-1, bets=ACCURACY_BETS, target=20.0, restarts=LATE_REGRESSION)
    return rollback, ScoreBet(sign=+1, margin=0.02, bets=PROMOTION_BETS)


def _feed(comparison: Comparison, labels: list[Label]) -> Comparison:
    for i, (y, assigned, share) in enumerate(labels):
        comparison.assign(y=None if i % 7 == 0 else y, assigned=assigned, share=share, delay_us=float(i % 1000))
        comparison.answer(error=i % 50 == 0, duration_us=1000 + i % 97, assigned=assigned, share=share)
    return comparison


def _size(state: object) -> int:
    return len(json.dumps(state, separators=(",", ":")))


def bar15(scale: float = 1.0) -> list[Row]:
    """Labels per second, a batch of counts, bytes of state, and saving in mid-stream."""
    labels = _labels(max(int(200_000 * scale), 5000))
    rollback, promotion = _pair()
    started = time.process_time()
    for y, assigned, share in labels:
        rollback.update(y=y, assigned=assigned, share=share)
        promotion.update(y=y, assigned=assigned, share=share)
    per_second = len(labels) / (time.process_time() - started)
    rounds = 2000
    started = time.process_time()
    for _ in range(rounds):
        rollback.update_counts(champion=(50_000, 450_000), challenger=(12_000, 108_000), share=0.2)
        promotion.update_counts(champion=(50_000, 450_000), challenger=(12_000, 108_000), share=0.2)
    batch_us = 1e6 * (time.process_time() - started) / (2 * rounds)
    used = _feed(Comparison(_LEVELS), labels[:20_000])
    whole, half = used.state(), _feed(Comparison(_LEVELS), labels[:10_000])
    again = Comparison.restored(_LEVELS, json.loads(json.dumps(half.state())))
    for i, (y, assigned, share) in list(enumerate(labels[:20_000]))[10_000:]:
        again.assign(y=None if i % 7 == 0 else y, assigned=assigned, share=share, delay_us=float(i % 1000))
        again.answer(error=i % 50 == 0, duration_us=1000 + i % 97, assigned=assigned, share=share)
    pair = _pair()
    for y, assigned, share in labels[:20_000]:
        for test in pair:
            test.update(y=y, assigned=assigned, share=share)
    shown = _size({name: part for name, part in whole.items() if name != "interval"})
    return [
        exact("15", "labels per second, both tests, plain Python, one core", per_second, 100_000, ">="),
        exact("15", "µs per batch of counts of any size, one test", batch_us, 25),
        exact("15", "bytes of JSON, state of both tests", _size([test.state() for test in pair]), 1024),
        exact(
            "15",
            "bytes of JSON, all tests, guardrails and alarms of a pair",
            shown,
            1024,
            counted=False,
            note="without the interval for display",
        ),
        exact("15", "states that differ after saving and restoring in mid-stream", float(again.state() != whole), 0),
    ]


def _split(labels: list[Label], seed: int) -> Iterator[list[Label]]:
    draw, at = random.Random(seed), 0
    while at < len(labels):
        size = draw.choice([0, 1, 2, 17, 500])
        yield labels[at : at + size]
        at += size


def bar16(scale: float = 1.0) -> list[Row]:
    """Splits of calls, arrival orders, repeats: the same evidence. No labels, no share: none."""
    from bench.decision.replayed import arrivals

    labels = _labels(max(int(10_000 * scale), 1000), seed=16)
    whole = Comparison(_LEVELS)
    for y, assigned, share in labels:
        whole.assign(y=y, assigned=assigned, share=share)
    worst = 0.0
    for seed in range(5):
        parts = Comparison(_LEVELS)
        for page in _split(labels, seed):
            parts = Comparison.restored(_LEVELS, json.loads(json.dumps(parts.state())))
            for y, assigned, share in page:
                parts.assign(y=y, assigned=assigned, share=share)
        worst = max(worst, abs(parts.rollback_evidence / whole.rollback_evidence - 1.0))
    still = Comparison(_LEVELS)
    for _ in range(100):
        still.assign(y=None, assigned=True, share=0.5)
    certain = ScoreBet(sign=-1)
    for i in range(1000):
        certain.update(y=float(i % 2), assigned=i % 3 == 0, share=float(i % 3 == 0))
    return [
        exact("16", "relative difference of the evidence over splits into calls", worst, 1e-9),
        *arrivals(scale),
        exact("16", "verdicts without a label", float(still.is_worse or still.is_not_worse), 0),
        exact("16", "log evidence of 1,000 labels under shares of 0 and 1", abs(certain.evidence - 1.0), 0),
    ]
