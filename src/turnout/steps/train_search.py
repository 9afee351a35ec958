"""The cross-validated search over a candidate's grid."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from turnout.errors import DataError, Failed
from turnout.spec import ModelSpec
from turnout.steps import train_pipeline
from turnout.steps.parts import Array

__all__ = ["Point", "Search", "folds", "search"]


@dataclass(frozen=True)
class Point:
    """One point of the grid: its score per fold, and how long fitting and scoring took on average."""

    parameters: Mapping[str, Any]
    mean: float
    sd: float
    folds: tuple[float, ...]
    fit_s: float
    score_s: float


@dataclass(frozen=True)
class Search:
    """Every point that was tried, and which one won."""

    points: tuple[Point, ...]
    best: int

    @property
    def winner(self) -> Point:
        """The point that was fitted again on all rows."""
        return self.points[self.best]


def search(
    pipeline: Pipeline, table: Any, label: Array, *, spec: ModelSpec, candidate: str, groups: Array | None = None
) -> tuple[Any, Search]:
    """The pipeline fitted at the best point of the grid, and the whole search.

    Folds divide rows as the spec's split does: rows of one group stay together, and a fold of a split by time is asked
    about what comes after all that it learned from (rows are in the order of time).

    Folds run in threads, one per core: most fits are native code that releases the interpreter, and starting worker
    processes would cost more than many a search. Linear algebra is held to one thread, because the order of its sums
    depends on their number, and with it the last digit of a model.

    Raises:
        DataError: a class has fewer rows than there are folds.
        Failed: scikit-learn refused, or no point has a score.
    """
    _enough_of_each(label, spec=spec, groups=groups)
    found = GridSearchCV(
        pipeline,
        train_pipeline.grid(spec.candidate(candidate)),
        scoring=spec.metric,
        cv=folds(spec),
        n_jobs=joblib.cpu_count(),
        error_score="raise",
    )
    try:
        with joblib.parallel_config(backend="threading"), threadpool_limits(1), warnings.catch_warnings():
            # Once is enough, not once per fold and point.
            warnings.simplefilter("once", ConvergenceWarning)
            found.fit(table, label, groups=groups)
    except (ValueError, TypeError) as error:
        raise Failed(f"candidate {candidate}: scikit-learn refuses to fit: {_first_line(error)}") from error
    outcome = _search(found)
    if not np.isfinite(outcome.winner.mean):
        raise Failed(f"candidate {candidate}: {spec.metric} is not defined on these folds")
    return found.best_estimator_, outcome


def folds(spec: ModelSpec) -> Any:
    """How cross-validation divides the rows: as the split does."""
    if spec.split.method == "time":
        return TimeSeriesSplit(n_splits=spec.folds)
    if spec.split.method == "group":
        kind = GroupKFold if spec.task == "regression" else StratifiedGroupKFold
    else:
        kind = KFold if spec.task == "regression" else StratifiedKFold
    return kind(n_splits=spec.folds, shuffle=True, random_state=spec.split.seed)


def _enough_of_each(label: Array, *, spec: ModelSpec, groups: Array | None) -> None:
    found = len(np.unique(groups)) if groups is not None else spec.folds
    if found < spec.folds:
        raise DataError(
            f"{spec.folds} folds need at least as many groups of '{spec.split.by}', the training part has {found}"
        )
    if spec.task == "regression":
        if len(label) < spec.folds:
            raise DataError(f"{spec.folds} folds need at least as many training rows, found {len(label)}")
        return
    classes, counts = np.unique(label, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"label column '{spec.label}' has one class only ({classes[0]}): nothing to tell apart")
    if counts.min() < spec.folds:
        rare = classes[counts.argmin()]
        raise DataError(
            f"class {rare!r} of '{spec.label}' has {counts.min()} training rows, fewer than the {spec.folds} folds; "
            "lower `folds` or gather more"
        )


def _search(found: GridSearchCV) -> Search:
    results = found.cv_results_
    points = tuple(
        Point(
            parameters={name.removeprefix("model__"): value for name, value in parameters.items()},
            mean=float(results["mean_test_score"][index]),
            sd=float(results["std_test_score"][index]),
            folds=tuple(float(results[f"split{fold}_test_score"][index]) for fold in range(found.n_splits_)),
            fit_s=float(results["mean_fit_time"][index]),
            score_s=float(results["mean_score_time"][index]),
        )
        for index, parameters in enumerate(results["params"])
    )
    return Search(points=points, best=int(found.best_index_))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
