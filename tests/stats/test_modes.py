"""Sticky units, pairs of a shadow, several challengers, batches of counts."""

from __future__ import annotations

import random

import pytest

from turnout.stats.betting import LATE_REGRESSION, PROMOTION_BETS, ScoreBet
from turnout.stats.comparison import Comparison, Levels
from turnout.stats.families import pair_share, promoted_together
from turnout.stats.paired import PairedComparison
from turnout.stats.sticky import Seen, smallest_population, unit_share


def test_a_users_probability_is_the_one_given_all_earlier_units() -> None:
    # Against the definition: users with a place in [0, 1), of those with the same past the share that is assigned.
    draw, shares = random.Random(1), (0.05, 0.2, 0.1, 0.5)
    counts: dict[tuple[bool, ...], list[int]] = {}
    for _ in range(40_000):
        place = draw.random()
        past = tuple(place < share for share in shares)
        for n in range(len(shares)):
            count = counts.setdefault(past[:n], [0, 0])
            count[0] += 1
            count[1] += past[n]
    for past, (users, assigned) in counts.items():
        if len(past) == len(shares) or users < 400:
            continue
        seen = Seen()
        for share, met in zip(shares, past, strict=False):
            seen = seen.after(share=share, assigned=met)
        expected = unit_share(shares[len(past)], seen)
        assert assigned / users == pytest.approx(expected, abs=4 * (0.25 / users) ** 0.5)


def test_a_contradictory_past_brings_no_evidence() -> None:
    moved = Seen().after(share=0.2, assigned=True).after(share=0.3, assigned=False)
    assert unit_share(0.5, moved) == 0.0


def test_fewer_users_are_needed_for_a_wider_margin() -> None:
    steps = (0.05, 0.2, 0.5)
    narrow = smallest_population(alpha=0.05, margin=0.02, base=0.9, steps=steps)
    assert smallest_population(alpha=0.05, margin=0.04, base=0.9, steps=steps) == pytest.approx(narrow / 4, abs=1)


def pairs(seed: int, n: int, drop: float):
    """Outcomes of two versions on the same requests; they disagree on about a tenth."""
    draw = random.Random(seed)
    for _ in range(n):
        which = draw.random()
        yield (1.0, 0.0) if which < 0.05 + drop / 2 else (0.0, 1.0) if which < 0.1 else (1.0, 1.0)


def test_a_shadow_is_judged_from_pairs_with_few_labels() -> None:
    used = []
    for seed in range(40):
        shadow = PairedComparison(alpha=0.05, margin=0.02)
        for n, (champion, challenger) in enumerate(pairs(seed, 3000, drop=0.1), start=1):
            shadow.pair(champion=champion, challenger=challenger)
            if shadow.is_worse:
                used.append(n)
                break
    assert len(used) == 40
    assert sum(used) / len(used) < 400  # two samples would take 1,300 at 50/50


def test_an_equal_shadow_is_called_worse_at_most_at_the_stated_rate() -> None:
    wrong = 0
    for seed in range(200):
        shadow = PairedComparison(alpha=0.05, margin=0.02)
        for champion, challenger in pairs(seed, 500, drop=0.0):
            shadow.pair(champion=champion, challenger=challenger)
        wrong += shadow.is_worse
    assert wrong / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_an_equal_shadow_is_shown_to_be_not_worse_and_its_state_goes_on() -> None:
    shadow, whole = (PairedComparison(alpha=0.05, margin=0.02) for _ in range(2))
    for n, (champion, challenger) in enumerate(pairs(7, 6000, drop=0.0)):
        if n == 3000:
            shadow = PairedComparison(alpha=0.05, margin=0.02).restore(shadow.state())
        for each in (shadow, whole):
            each.answer(agree=champion == challenger)
            each.pair(champion=champion, challenger=challenger)
    assert shadow.state() == whole.state()
    assert shadow.is_not_worse
    assert 0.05 < shadow.summary()["disagreement"] < 0.15


def test_of_several_challengers_each_is_compared_with_the_champion_alone() -> None:
    assert pair_share(champion=0.85, challenger=0.05) == pytest.approx(0.05 / 0.9)
    assert pair_share(champion=0.0, challenger=0.0) == 0.0
    assert promoted_together({"a": 59.0, "b": 45.0, "c": 30.0}, alpha=0.05) == []
    assert promoted_together({"a": 61.0, "b": 45.0, "c": 30.0}, alpha=0.05) == ["a", "b", "c"]


def test_a_promotion_of_one_of_three_needs_three_times_the_evidence() -> None:
    one, three = (Comparison(Levels(0.05, 0.02, 0.01, 1.5, challengers=k)) for k in (1, 3))
    draw, first = random.Random(2), []
    for n in range(20_000):
        assigned = draw.random() < 0.5
        y = float(draw.random() < 0.9)
        for each in (one, three):
            each.assign(y=y, assigned=assigned, share=0.5)
        if one.is_not_worse and not first:
            first.append(n)
            assert not three.is_not_worse
        if three.is_not_worse:
            break
    assert first
    assert three.is_not_worse


def test_a_batch_of_counts_brings_nearly_the_evidence_of_its_labels() -> None:
    for options in ({"sign": -1, "restarts": LATE_REGRESSION}, {"sign": 1, "margin": 0.02, "bets": PROMOTION_BETS}):
        single, batch, draw = ScoreBet(**options), ScoreBet(**options), random.Random(3)
        for _ in range(60):
            counts = {False: [0, 0], True: [0, 0]}
            for _ in range(100):
                assigned, good = draw.random() < 0.2, draw.random() < 0.9
                counts[assigned][good] += 1
                single.update(y=float(good), assigned=assigned, share=0.2)
            batch.update_counts(champion=tuple(counts[False]), challenger=tuple(counts[True]), share=0.2)
        assert batch.n == single.n == 6000
        assert 0.2 < batch.evidence / single.evidence < 5.0


def test_an_empty_batch_and_certain_shares_change_no_evidence() -> None:
    test = ScoreBet(sign=-1)
    test.update_counts(champion=(0, 0), challenger=(0, 0), share=0.5)
    assert test.n == 0
    test.update_counts(champion=(10, 90), challenger=(0, 0), share=0.0)
    assert test.evidence == 1.0


def test_nothing_is_paid_beyond_the_target() -> None:
    highest = 0.0
    for seed in range(40):
        draw, test = random.Random(seed), ScoreBet(sign=-1, target=20.0)
        for _ in range(3000):
            assigned = draw.random() < 0.05
            test.update(y=float(draw.random() < (0.6 if assigned else 0.9)), assigned=assigned, share=0.05)
            if test.evidence >= 20.0:
                highest = max(highest, test.evidence)
                break
    # A champion's label may still add a little; a challenger's pays 20 at most instead of up to 27.
    assert 20.0 <= highest < 20.5
