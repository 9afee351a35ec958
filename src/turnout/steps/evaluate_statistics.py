"""Intervals and the paired test of the offline gate: numbers in, numbers out, everything drawn from a given seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from turnout.steps.evaluate_metrics import Answers
from turnout.steps.parts import Array

__all__ = ["CONFIDENCE", "Estimate", "Paired", "compare", "estimate", "is_worse_p", "wilson"]

CONFIDENCE = 0.95
_POWER = 0.8
# A thousand replicates give a percentile to about a fifth of its tail; on large parts fewer, because each costs a pass.
_MOST_REPLICATES, _FEWEST_REPLICATES, _WORK = 1_000, 200, 10_000_000

Metric = Callable[[Answers], float]


@dataclass(frozen=True)
class Estimate:
    """A metric on the test part with its 95 % interval, and how that was found."""

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Paired:
    """Two models on the same rows.

    `worse_p` is the chance of a difference so bad or worse if the candidate were just `margin` below the champion;
    `only_candidate` and `only_champion` count the rows that only one of them got right (None for a regression);
    `smallest_effect` is the loss beyond the margin that this comparison would have found four times in five.
    """

    rows: int
    difference: float
    low: float
    high: float
    worse_p: float
    method: str
    smallest_effect: float
    only_candidate: int | None = None
    only_champion: int | None = None


def wilson(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of a share (Wilson 1927); unlike the textbook one it is right near 0 and 1 and for few trials.

    >>> [round(x, 3) for x in wilson(9, 10)]
    [0.596, 0.982]
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, scale = successes / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def is_worse_p(only_candidate: int, only_champion: int) -> float:
    """McNemar's test, one-sided, with the mid-p value: is the candidate right less often than the champion?

    Of the rows on which just one of them is right, half should be the candidate's if both are equally good. The mid-p
    value counts half of the chance of exactly this outcome; the exact test counts all of it and is timid for that:
    at 1,600 rows, a tenth of them discordant, and alpha 0.05, a loss of two points is found with probability 0.81
    (exact: 0.79), and of equal models 0.0496 are found worse (exact: 0.042). Fagerland et al. 2013, BMC Med. Res.
    Methodol. 13:91.

    >>> round(is_worse_p(0, 5), 4), is_worse_p(0, 0), round(is_worse_p(5, 0), 4)
    (0.0156, 1.0, 0.9844)
    """
    discordant = only_candidate + only_champion
    if not discordant:
        return 1.0
    below = sum(_coin(k, discordant) for k in range(only_candidate))
    return below + _coin(only_candidate, discordant) / 2


def _coin(heads: int, tosses: int) -> float:
    log = math.lgamma(tosses + 1) - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1)
    return math.exp(log - tosses * math.log(2))


def estimate(answers: Answers, *, metric: Metric, is_share: bool, seed: int) -> Estimate:
    """The metric with its interval: Wilson's where it is a share of rows, else percentiles of a bootstrap."""
    value = metric(answers)
    if is_share:
        low, high = wilson(round(value * answers.rows), answers.rows)
        return Estimate(value, low, high, "Wilson")
    scores = np.array([metric(answers.at(rows)) for rows in _draws(answers.rows, seed=seed)])
    low, high = _percentiles(scores)
    return Estimate(value, low, high, f"bootstrap, {len(scores)} replicates")


def compare(
    candidate: Answers, champion: Answers, *, metric: Metric, is_share: bool, margin: float, alpha: float, seed: int
) -> Paired:
    """The candidate minus the champion on the same rows.

    A share of rows without margin is tested by McNemar; anything else by the share of bootstrap replicates (whole
    rows, both models at once) in which the candidate is not below the champion by more than the margin.
    """
    differences = _differences(candidate, champion, metric=metric, is_share=is_share, seed=seed)
    low, high = _percentiles(differences)
    wins, losses = _discordant(candidate, champion)
    if is_share and not margin and wins is not None and losses is not None:
        worse_p, method = is_worse_p(wins, losses), "McNemar, mid-p"
    else:
        worse_p = float((1 + np.count_nonzero(~(differences < -margin))) / (1 + len(differences)))
        method = f"paired bootstrap, {len(differences)} replicates"
    normal = NormalDist()
    return Paired(
        rows=candidate.rows,
        difference=metric(candidate) - metric(champion),
        low=low,
        high=high,
        worse_p=worse_p,
        method=method,
        smallest_effect=(normal.inv_cdf(1 - alpha) + normal.inv_cdf(_POWER)) * float(np.nanstd(differences)),
        only_candidate=wins,
        only_champion=losses,
    )


def _differences(candidate: Answers, champion: Answers, *, metric: Metric, is_share: bool, seed: int) -> Array:
    """The difference in every bootstrap replicate; a share of rows is a mean, and means are quick."""
    draws = _draws(candidate.rows, seed=seed)
    if is_share:
        right, champion_right = candidate.truth == candidate.values, champion.truth == champion.values
        difference = right.astype(np.float64) - champion_right
        return np.array([difference[rows].mean() for rows in draws])
    return np.array([metric(candidate.at(rows)) - metric(champion.at(rows)) for rows in draws])


def _discordant(candidate: Answers, champion: Answers) -> tuple[int | None, int | None]:
    if candidate.truth.dtype.kind == "f":
        return None, None
    right, champion_right = candidate.truth == candidate.values, champion.truth == champion.values
    return int(np.count_nonzero(right & ~champion_right)), int(np.count_nonzero(~right & champion_right))


def _draws(rows: int, *, seed: int) -> list[Array]:
    """Bootstrap samples as row numbers; the same seed gives the same samples."""
    random = np.random.default_rng(seed)
    count = min(_MOST_REPLICATES, max(_FEWEST_REPLICATES, _WORK // rows))
    return [random.integers(0, rows, size=rows) for _ in range(count)]


def _percentiles(values: Array) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
