"""What can be answered without a model: the same every time, or what a column says, such as the value of last week.

A model that is no better costs its upkeep for nothing, so the spec may ask that it is shown to be better on the same
rows. The constant answer is made of the test part's own labels, which nobody could know before: beating it is the
least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import evaluate_statistics
from turnout.steps.evaluate_metrics import METRICS, Answers
from turnout.steps.evaluate_statistics import Paired
from turnout.steps.parts import Array, Part

__all__ = ["CONSTANT", "Baseline", "baselines"]

CONSTANT = "constant"


@dataclass(frozen=True)
class Baseline:
    """What answering without a model scores, and the model minus that on the same rows."""

    name: str
    score: float
    comparison: Paired

    @property
    def beaten(self) -> bool:
        """Whether the model is shown to be better: the whole interval of the difference is above 0."""
        return self.comparison.low > 0


def baselines(spec: ModelSpec, part: Part, answers: Answers, *, is_share: bool) -> tuple[Baseline, ...]:
    """Each answer of `gates.beats` beside the model's.

    Raises:
        DataError: there is no such column, its values are no labels, or the metric needs probabilities.
    """
    return tuple(_baseline(name, spec, part, answers, is_share=is_share) for name in spec.gates.beats)


def _baseline(name: str, spec: ModelSpec, part: Part, answers: Answers, *, is_share: bool) -> Baseline:
    naive, rows = _constant(answers) if name == CONSTANT else _column(name, part, answers)
    model = answers.at(rows)
    try:
        comparison = evaluate_statistics.compare(
            model, naive, metric=METRICS[spec.metric], is_share=is_share, margin=0.0, alpha=0.05, seed=spec.split.seed
        )
        return Baseline(name, METRICS[spec.metric](naive), comparison)
    except ValueError as error:
        raise DataError(f"gates.beats: column {name} cannot be measured by {spec.metric}: {error}") from error


def _constant(answers: Answers) -> tuple[Answers, Array]:
    """The mean, or the most frequent class with every class as probable as it is frequent."""
    rows = np.arange(answers.rows)
    if answers.truth.dtype.kind == "f":
        return Answers(answers.truth, np.full(answers.rows, answers.truth.mean())), rows
    classes, counts = np.unique(answers.truth, return_counts=True)
    shares = dict(zip(classes.tolist(), (counts / answers.rows).tolist(), strict=True))
    values = np.full(answers.rows, classes[counts.argmax()], dtype=answers.truth.dtype)
    probabilities = np.tile([shares.get(label, 0.0) for label in answers.labels], (answers.rows, 1))
    return Answers(answers.truth, values, answers.labels, probabilities), rows


def _column(name: str, part: Part, answers: Answers) -> tuple[Answers, Array]:
    """What the column says, on the rows where it says something."""
    if name not in part.features:
        raise DataError(f"gates.beats: there is no column {name}; there are {', '.join(part.features)}")
    values = part.features[name]
    if (values.dtype == object) != (answers.truth.dtype == object):
        holds = "words" if values.dtype == object else "numbers"
        raise DataError(f"gates.beats: column {name} holds {holds}, which the label does not")
    rows = np.flatnonzero(values != "" if values.dtype == object else np.isfinite(values))
    if not len(rows):
        raise DataError(f"gates.beats: column {name} is missing in all {answers.rows} rows of the test part")
    return Answers(answers.truth[rows], values[rows].astype(answers.truth.dtype), answers.labels), rows
