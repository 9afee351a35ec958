from __future__ import annotations

import json
import random

import pytest

from turnout.stats.betting import ACCURACY_BETS, PROMOTION_BETS, ScoreBet
from turnout.stats.comparison import Comparison, Levels

LEVELS = Levels(alpha=0.05, margin=0.02, error_rate=0.01, latency_ratio=1.5)


def stream(seed: int, *, n: int, champion: float, challenger: float, drift: float = 0.0, steps=(0.05, 0.2, 0.5)):
    """Labels of two versions whose common level drifts while the share moves through the steps."""
    draw = random.Random(seed)
    for i in range(n):
        share = steps[min(len(steps) - 1, len(steps) * i // n)]
        assigned = draw.random() < share
        level = (challenger if assigned else champion) - drift * i / n
        yield float(draw.random() < level), assigned, share


def crosses(test: ScoreBet, labels, threshold: float = 20.0) -> bool:
    for y, assigned, share in labels:
        test.update(y=y, assigned=assigned, share=share)
        if test.evidence >= threshold:
            return True
    return False


def test_a_clearly_worse_challenger_is_found_within_few_of_its_own_labels() -> None:
    used = []
    for seed in range(60):
        test, own = ScoreBet(sign=-1), 0
        for y, assigned, share in stream(seed, n=20_000, champion=0.9, challenger=0.8, steps=(0.05,)):
            test.update(y=y, assigned=assigned, share=share)
            own += assigned
            if test.evidence >= 20:
                used.append(own)
                break
    assert len(used) == 60
    assert sum(used) / len(used) <= 125  # bar 4 of the decision issue is 100 at many more runs


def test_shares_of_zero_and_one_carry_no_evidence() -> None:
    test = ScoreBet(sign=-1)
    for i in range(500):
        test.update(y=float(i % 2), assigned=i % 3 == 0, share=float(i % 3 == 0))
    assert test.evidence == pytest.approx(1.0)


def test_no_single_label_can_bankrupt_the_bets() -> None:
    for sign in (-1, +1):
        test = ScoreBet(sign=sign, margin=0.3, bets=ACCURACY_BETS)
        draw = random.Random(sign)
        for _ in range(2000):
            test.update(y=draw.choice([0.0, 1.0]), assigned=draw.random() < 0.5, share=draw.choice([0.001, 0.5, 0.999]))
            assert all(wealth > 0 for wealth in test.state()["wealth"])


def test_a_state_saved_mid_stream_goes_on_bit_identically() -> None:
    labels = list(stream(3, n=3000, champion=0.9, challenger=0.85))
    whole, first = Comparison(LEVELS), Comparison(LEVELS)
    for i, (y, assigned, share) in enumerate(labels):
        label = None if i % 7 == 0 else y
        whole.assign(y=label, assigned=assigned, share=share)
        whole.answer(error=i % 50 == 0, duration_us=1000 + i % 97, assigned=assigned, share=share)
        first.assign(y=label, assigned=assigned, share=share)
        first.answer(error=i % 50 == 0, duration_us=1000 + i % 97, assigned=assigned, share=share)
        if i == 1234:
            first = Comparison.restored(LEVELS, json.loads(json.dumps(first.state())))
    assert first.state() == whole.state()
    assert first.summary() == whole.summary()


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="9 bets were wanted, found 4"):
        ScoreBet(sign=-1).restore(ScoreBet(sign=+1, margin=0.02, bets=PROMOTION_BETS).state())
