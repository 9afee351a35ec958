"""The learning curve: what the winner would score if there were fewer rows, and so whether more of them would help."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import TimeSeriesSplit
from threadpoolctl import threadpool_limits

from turnout.steps.parts import Array

__all__ = ["curve"]

_SHARES = (0.125, 0.25, 0.5)
_FEWEST_ROWS = 20


def curve(
    best: Any, table: Any, label: Array, *, folds: Any, groups: Array | None, scoring: Any, seed: int, whole: float
) -> tuple[tuple[int, float], ...]:
    """Rows and score on the first fold's rows, for parts of what that fold learns from, and for all of it (`whole`).

    Where folds follow time the latest rows are taken, else some at random. A part with which nothing can be learned,
    because it lacks a class for instance, is left out.
    """
    learned, asked = next(iter(folds.split(table, label, groups)))
    is_by_time = isinstance(folds, TimeSeriesSplit)
    ordered = learned if is_by_time else np.random.default_rng(seed).permutation(learned)
    found = []
    for share in _SHARES:
        rows = np.sort(ordered[-max(1, round(share * len(learned))) :])
        score = _score(best, table, label, rows, asked, scoring) if len(rows) >= _FEWEST_ROWS else None
        if score is not None:
            found.append((len(rows), score))
    return (*found, (len(learned), whole))


def _score(best: Any, table: Any, label: Array, rows: Array, asked: Array, scoring: Any) -> float | None:
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = clone(best).fit(table.iloc[rows], label[rows])
            score = float(get_scorer(scoring)(fitted, table.iloc[asked], label[asked]))
    except (ValueError, TypeError):
        return None
    return score if np.isfinite(score) else None
