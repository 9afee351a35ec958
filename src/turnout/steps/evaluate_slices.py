"""The metric on parts of the test rows, with care for small ones.

Among forty slices two look bad at 95 % by chance alone. A slice is marked as worse only if its interval, widened for
the number of slices looked at (Bonferroni), still lies below the score of all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from turnout.spec import ModelSpec
from turnout.steps.evaluate_metrics import Answers
from turnout.steps.evaluate_statistics import CONFIDENCE, Estimate
from turnout.steps.parts import Array, Part

__all__ = ["Slice", "slices"]

_MOST_VALUES, _FEWEST_ROWS = 12, 20


@dataclass(frozen=True)
class Slice:
    """The metric on the rows with one value, or one range of values, of a column."""

    column: str
    value: str
    rows: int
    score: Estimate
    is_worse: bool = False


def slices(
    spec: ModelSpec, part: Part, answers: Answers, *, overall: Estimate, estimate: Callable[[Answers], Estimate]
) -> tuple[Slice, ...]:
    """By value of each column of few words, and by quarter of the numbers that the spec names in `slices`.

    Slices of fewer than 20 rows say nothing and are left out.
    """
    found = [
        Slice(column, value, len(rows), estimate(answers.at(rows)))
        for column, value, rows in _groups(spec, part)
        if len(rows) >= _FEWEST_ROWS
    ]
    return tuple(_judged(one, overall, looked=len(found)) for one in found)


def _groups(spec: ModelSpec, part: Part) -> Iterator[tuple[str, str, Array]]:
    for column, values in part.features.items():
        if values.dtype == object:
            words, counts = np.unique(values.astype(str), return_counts=True)
            if len(words) >= 2 and (len(words) <= _MOST_VALUES or column in spec.slices):
                often = words[np.argsort(-counts, kind="stable")][:_MOST_VALUES]
                yield from ((column, word or "(missing)", np.flatnonzero(values == word)) for word in sorted(often))
        elif column in spec.slices:
            yield from _quarters(column, values)


def _quarters(column: str, values: Array) -> Iterator[tuple[str, str, Array]]:
    known = values[np.isfinite(values)]
    borders = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1])) if len(known) else known
    for low, high in pairwise(borders):
        inside = (values >= low) & ((values < high) | (values == borders[-1]) & (high == borders[-1]))
        yield column, f"{low:.4g} to {high:.4g}", np.flatnonzero(inside)
    if len(known) < len(values):
        yield column, "(missing)", np.flatnonzero(~np.isfinite(values))


def _judged(one: Slice, overall: Estimate, *, looked: int) -> Slice:
    normal = NormalDist()
    wider = normal.inv_cdf(1 - (1 - CONFIDENCE) / (2 * looked)) / normal.inv_cdf(0.5 + CONFIDENCE / 2)
    high = one.score.value + (one.score.high - one.score.value) * wider
    return Slice(one.column, one.value, one.rows, one.score, is_worse=high < overall.value)
