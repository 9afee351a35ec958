"""Whether a model's confidence can be believed: of the answers it gave with 80 %, are 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.steps import evaluate_statistics
from turnout.steps.evaluate_metrics import Answers
from turnout.steps.parts import Array

__all__ = ["Bin", "Calibration", "calibration"]

_BINS, _FEWEST_ROWS = 10, 20


@dataclass(frozen=True)
class Bin:
    """Answers of like confidence: how confident on average, how many of them are right, and its 95 % interval."""

    rows: int
    confidence: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """All answers by confidence; `error` is the mean distance between confidence and share of right answers."""

    bins: tuple[Bin, ...]
    error: float


def calibration(answers: Answers) -> Calibration | None:
    """Bins of equally many rows (Naeini et al. 2015), or None without probabilities or with too few rows for two."""
    if answers.probabilities is None or answers.rows < 2 * _FEWEST_ROWS:
        return None
    confidence = np.asarray(answers.probabilities, dtype=np.float64).max(axis=1)
    right = answers.truth == answers.values
    order = np.argsort(confidence, kind="stable")
    count = min(_BINS, answers.rows // _FEWEST_ROWS)
    bins = tuple(_bin(confidence[rows], right[rows]) for rows in np.array_split(order, count))
    error = sum(one.rows * abs(one.confidence - one.right) for one in bins) / answers.rows
    return Calibration(bins, float(error))


def _bin(confidence: Array, right: Array) -> Bin:
    rows, hits = len(right), int(right.sum())
    low, high = evaluate_statistics.wilson(hits, rows)
    return Bin(rows, float(confidence.mean()), hits / rows, low, high)
