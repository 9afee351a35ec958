"""The metrics of the spec on answers that are already there: label or value, probabilities, truth.

The search scores estimators with scikit-learn; evaluation scores what the exported file answered, many times over in
a bootstrap, in a step that need not import scikit-learn for it. Names, signs and values are scikit-learn's (a test
holds each of them to its scorer), so greater is always better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turnout.steps.artifact import Predictions
from turnout.steps.parts import Array

__all__ = ["METRICS", "Answers", "confusion", "of", "ranks_of"]


@dataclass(frozen=True)
class Answers:
    """What was true and what was answered, row by row. `labels` name the columns of `probabilities`.

    Of clusters nobody knows what is true (NaN): there are the rows as points instead, and the silhouette of each.
    """

    truth: Array
    values: Array
    labels: tuple[int | str, ...] = ()
    probabilities: Array | None = None
    points: Array | None = None
    silhouettes: Array | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.truth)

    def at(self, rows: Array) -> Answers:
        """The same, only these rows (a row may come twice)."""
        return Answers(
            self.truth[rows],
            self.values[rows],
            self.labels,
            None if self.probabilities is None else self.probabilities[rows],
            None if self.points is None else self.points[rows],
            None if self.silhouettes is None else self.silhouettes[rows],
        )


def of(truth: Array, predictions: Predictions, labels: Sequence[int | str]) -> Answers:
    """Answers of a model beside the truth."""
    return Answers(truth, predictions.values, tuple(labels), predictions.probabilities)


def confusion(answers: Answers, classes: Sequence[int | str]) -> Array:
    """Rows by true class, columns by answered class."""
    place = {label: index for index, label in enumerate(classes)}
    truth = np.array([place[label] for label in answers.truth.tolist()], dtype=np.int64)
    answered = np.array([place[label] for label in answers.values.tolist()], dtype=np.int64)
    size = len(classes)
    return np.bincount(truth * size + answered, minlength=size * size).reshape(size, size)


def _accuracy(answers: Answers) -> float:
    return float(np.mean(answers.truth == answers.values))


def _balanced_accuracy(answers: Answers) -> float:
    right = answers.truth == answers.values
    _, of_class, counts = np.unique(answers.truth, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(of_class, weights=right) / counts))


def _f1_by_class(answers: Answers) -> tuple[Array, Array]:
    """F1 and number of true rows, for every class that occurs."""
    both, place = np.unique(np.concatenate([answers.truth, answers.values]), return_inverse=True)
    truth, answered = place[: answers.rows], place[answers.rows :]
    support = np.bincount(truth, minlength=len(both))
    hits = np.bincount(truth[truth == answered], minlength=len(both))
    return 2 * hits / (support + np.bincount(answered, minlength=len(both))), support


def _f1_macro(answers: Answers) -> float:
    return float(np.mean(_f1_by_class(answers)[0]))


def _f1_weighted(answers: Answers) -> float:
    score, support = _f1_by_class(answers)
    return float(np.average(score, weights=support))


def _neg_log_loss(answers: Answers) -> float:
    probabilities, column = _probabilities(answers), _columns(answers)
    smallest = np.finfo(probabilities.dtype).eps
    sums = probabilities.sum(axis=1)
    given = np.clip(probabilities[np.arange(answers.rows), column] / sums, smallest, 1 - smallest)
    return float(np.mean(np.log(np.where(column < 0, smallest, given))))


def _roc_auc(answers: Answers) -> float:
    """Of the greater of two classes."""
    return _area(_columns(answers) == 1, _probabilities(answers)[:, 1])


def _roc_auc_ovr(answers: Answers) -> float:
    """The plain mean over the classes that occur, each against the rest."""
    probabilities, column = _probabilities(answers), _columns(answers)
    areas = [_area(column == index, probabilities[:, index]) for index in range(len(answers.labels))]
    return float(np.nanmean(areas)) if not np.all(np.isnan(areas)) else float("nan")


def _area(positive: Array, score: Array) -> float:
    """Area under the ROC curve as a rank statistic; ties count half."""
    count = int(positive.sum())
    rest = len(positive) - count
    if not count or not rest:
        return float("nan")
    return float((ranks_of(score)[positive].sum() - count * (count + 1) / 2) / (count * rest))


def ranks_of(values: Array) -> Array:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _probabilities(answers: Answers) -> Array:
    if answers.probabilities is None:
        raise ValueError("this metric needs probabilities, and the estimator gives none")
    return np.asarray(answers.probabilities, dtype=np.float64)


def _columns(answers: Answers) -> Array:
    """The column of each row's true class; -1 for a class that training never saw."""
    place = {label: index for index, label in enumerate(answers.labels)}
    return np.array([place.get(label, -1) for label in answers.truth.tolist()], dtype=np.int64)


def _errors(answers: Answers) -> Array:
    return np.asarray(answers.truth - answers.values.astype(np.float64))


def _r2(answers: Answers) -> float:
    total = float(np.sum((answers.truth - answers.truth.mean()) ** 2))
    return 1.0 - float(np.sum(_errors(answers) ** 2)) / total if total else float("nan")


def _neg_percentage(answers: Answers) -> float:
    smallest = np.finfo(np.float64).eps
    return -float(np.mean(np.abs(_errors(answers)) / np.maximum(np.abs(answers.truth), smallest)))


def _silhouette(answers: Answers) -> float:
    if answers.silhouettes is None:
        raise ValueError("there are no clusters to measure")
    return float(np.mean(answers.silhouettes))


def _dispersion(name: str, answers: Answers) -> float:
    """A score of scikit-learn on points and their clusters; not defined for fewer than two."""
    from sklearn import metrics

    if answers.points is None or not 2 <= len(np.unique(answers.values)) < answers.rows:
        return float("nan")
    return float(getattr(metrics, name)(answers.points, answers.values))


METRICS: dict[str, Callable[[Answers], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "f1_weighted": _f1_weighted,
    "neg_log_loss": _neg_log_loss,
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc_ovr,
    "r2": _r2,
    "neg_mean_absolute_error": lambda answers: -float(np.mean(np.abs(_errors(answers)))),
    "neg_mean_absolute_percentage_error": _neg_percentage,
    "neg_mean_squared_error": lambda answers: -float(np.mean(_errors(answers) ** 2)),
    "neg_median_absolute_error": lambda answers: -float(np.median(np.abs(_errors(answers)))),
    "neg_root_mean_squared_error": lambda answers: -float(np.sqrt(np.mean(_errors(answers) ** 2))),
    "silhouette": _silhouette,
    "calinski_harabasz": lambda answers: _dispersion("calinski_harabasz_score", answers),
    "neg_davies_bouldin": lambda answers: -_dispersion("davies_bouldin_score", answers),
}
"""Every metric that a spec may name. `ValueError` when it needs probabilities and there are none."""
