from __future__ import annotations

import random

import numpy as np
import pytest

from turnout.simulation.kernel import ScoreBets
from turnout.stats.betting import (
    ACCURACY_BETS,
    ERROR_BETS,
    LATE_REGRESSION,
    NO_RESTARTS,
    PROMOTION_BETS,
    Restarts,
    ScoreBet,
)

OFTEN = Restarts(first=0.8, every=300, horizon=3.0)
TESTS = [
    {"sign": -1, "bets": ACCURACY_BETS, "target": 20.0, "restarts": LATE_REGRESSION},
    {"sign": -1, "bets": ACCURACY_BETS, "target": 3.0, "restarts": OFTEN, "history": 0.9},
    {"sign": +1, "bets": ACCURACY_BETS, "target": 3.0, "restarts": OFTEN},
    {"sign": +1, "margin": 0.02, "bets": PROMOTION_BETS, "restarts": NO_RESTARTS},
    {"sign": -1, "margin": 0.01, "bets": ERROR_BETS, "target": 20.0},
]


def labels(seed: int, n: int, scores: bool):
    """A challenger that turns worse half-way, under shares that rise to 1, where no evidence comes from."""
    draw = random.Random(seed)
    for i in range(n):
        share = (0.05, 0.2, 0.5, 0.9, 1.0)[5 * i // n]
        assigned = draw.random() < share
        level = 0.9 - 0.15 * i / n - 0.1 * assigned * (i > n // 2)
        yield (draw.betavariate(9 * level, 9 - 9 * level) if scores else float(draw.random() < level)), assigned, share


@pytest.mark.parametrize("options", TESTS)
@pytest.mark.parametrize("scores", [False, True])
def test_the_array_kernel_gives_every_number_of_the_shipped_one(options, scores) -> None:
    streams = [list(labels(seed, 1500, scores)) for seed in range(3)]
    shipped = [ScoreBet(**options) for _ in streams]
    arrays = ScoreBets(len(streams), **options, binary=not scores)
    for rows in zip(*streams, strict=True):
        for test, (y, assigned, share) in zip(shipped, rows, strict=True):
            test.update(y=y, assigned=assigned, share=share)
        arrays.update(
            y=np.array([row[0] for row in rows]),
            assigned=np.array([float(row[1]) for row in rows]),
            share=np.array([row[2] for row in rows]),
        )
        assert arrays.evidence == pytest.approx([test.evidence for test in shipped], rel=1e-9)


def test_dropped_repetitions_leave_the_others_as_they_were() -> None:
    whole, part, draw = ScoreBets(5, sign=-1), ScoreBets(5, sign=-1), np.random.default_rng(1)
    which = np.array([True, False, True, True, False])
    for i in range(400):
        assigned, y = (draw.random(5) < 0.3).astype(float), (draw.random(5) < 0.8).astype(float)
        whole.update(y=y, assigned=assigned, share=0.3)
        if i == 200:
            part.keep(which)
        keep = which if i >= 200 else slice(None)
        part.update(y=y[keep], assigned=assigned[keep], share=0.3)
    assert part.evidence.tolist() == whole.evidence[which].tolist()
