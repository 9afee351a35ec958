"""The cross-validated search over a candidate's grid."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - that is how scikit-learn gives it out
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from turnout.errors import DataError, Failed
from turnout.spec import ModelSpec
from turnout.steps import train_curve, train_pipeline
from turnout.steps.parts import Array

__all__ = ["Point", "Scoring", "Search", "folds", "search"]

_TEXT = re.compile(r"^text\d+\.")

Scoring = str | Callable[[Any, Any, Any], float]
"""A metric of scikit-learn by name, or what scores an estimator on rows and their labels."""


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
    """Every point that was tried, and which one won.

    `nested` are the scores of the whole search on rows that it never saw, one for each outer fold. `curve` is what the
    winner scores on the first fold when it learns from so many rows.
    """

    points: tuple[Point, ...]
    best: int
    nested: tuple[float, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()

    @property
    def winner(self) -> Point:
        """The point that was fitted again on all rows."""
        return self.points[self.best]

    @property
    def worth(self) -> float:
        """What candidates are compared by: the nested mean where there is one, else the winner's."""
        return float(np.mean(self.nested)) if self.nested else self.winner.mean

    @property
    def failed(self) -> int:
        """How many points could not be fitted in every fold."""
        return sum(not np.isfinite(point.mean) for point in self.points)


def search(
    pipeline: Pipeline,
    table: Any,
    label: Array,
    *,
    spec: ModelSpec,
    candidate: str,
    scoring: Scoring,
    groups: Array | None = None,
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
    found = _made(pipeline, spec=spec, candidate=candidate, scoring=scoring)
    try:
        with joblib.parallel_config(backend="threading"), threadpool_limits(1), warnings.catch_warnings():
            # Once is enough, not once per fold and point.
            warnings.simplefilter("once", ConvergenceWarning)
            # What a point of the grid cannot do is written down as a score that is missing.
            warnings.simplefilter("ignore", FitFailedWarning)
            found.fit(table, label, groups=groups)
            nested = _nested(pipeline, table, label, spec=spec, candidate=candidate, scoring=scoring, groups=groups)
    except (ValueError, TypeError) as error:
        why = _first_line(_reason(pipeline, found, table, label) or error)
        raise Failed(f"candidate {candidate}: scikit-learn refuses to fit: {why}") from error
    outcome = replace(_search(found), nested=nested)
    if not np.isfinite(outcome.winner.mean):
        reason = _reason(pipeline, found, table, label)
        refused = f"scikit-learn refuses to fit: {_first_line(reason)}" if reason else ""
        why = refused or f"{spec.metric} is not defined on these folds"
        raise Failed(f"candidate {candidate}: {why}")
    curve = train_curve.curve(
        found.best_estimator_,
        table,
        label,
        folds=folds(spec),
        groups=groups,
        scoring=scoring,
        seed=spec.split.seed,
        whole=outcome.winner.folds[0],
    )
    return found.best_estimator_, replace(outcome, curve=curve)


def _made(pipeline: Pipeline, *, spec: ModelSpec, candidate: str, scoring: Scoring) -> Any:
    """The search that the spec asks for; what draws at random draws with the split's seed."""
    space = train_pipeline.space(spec.candidate(candidate), pipeline)
    settings = {"scoring": scoring, "cv": folds(spec), "n_jobs": joblib.cpu_count(), "error_score": np.nan}
    seed, size = spec.split.seed, _size(space)
    if spec.search.method == "random" and size > 1:
        points = min(spec.search.points, size)
        return RandomizedSearchCV(pipeline, space, n_iter=points, random_state=seed, **settings)
    if spec.search.method == "halving" and size > 1:
        return HalvingGridSearchCV(pipeline, space, random_state=seed, **settings)
    return GridSearchCV(pipeline, space, **settings)


def _size(space: Mapping[str, Any]) -> int:
    """How many points there are; a range has as many as anybody asks for."""
    sizes = [len(values) if isinstance(values, list) else sys.maxsize for values in space.values()]
    return min(math.prod(sizes), sys.maxsize)


def _nested(
    pipeline: Pipeline,
    table: Any,
    label: Array,
    *,
    spec: ModelSpec,
    candidate: str,
    scoring: Scoring,
    groups: Array | None,
) -> tuple[float, ...]:
    """The search once more within each outer fold, its winner scored on the rest (Varma and Simon 2006)."""
    if spec.search.outer is None:
        return ()
    scorer, scores = get_scorer(scoring), []
    outer = folds(spec, splits=spec.search.outer)
    for learned, asked in outer.split(table, label, groups):
        within = groups[learned] if groups is not None else None
        found = _made(clone(pipeline), spec=spec, candidate=candidate, scoring=scoring)
        found.fit(table.iloc[learned], label[learned], groups=within)
        scores.append(float(scorer(found.best_estimator_, table.iloc[asked], label[asked])))
    return tuple(scores)


def _reason(pipeline: Pipeline, found: Any, table: Any, label: Array) -> Exception | None:
    """Why nothing could be fitted, in the estimator's own words: the search only counts failures."""
    points = getattr(found, "cv_results_", {}).get("params") or [{}]
    try:
        clone(pipeline).set_params(**points[0]).fit(table, label)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return error
    return None


def folds(spec: ModelSpec, *, splits: int | None = None) -> Any:
    """How cross-validation divides the rows: as the split does."""
    splits = splits or spec.folds
    if spec.split.method == "time":
        return TimeSeriesSplit(n_splits=splits)
    if spec.split.method == "group":
        kind = StratifiedGroupKFold if spec.task == "classification" else GroupKFold
    else:
        kind = StratifiedKFold if spec.task == "classification" else KFold
    return kind(n_splits=splits, shuffle=True, random_state=spec.split.seed)


def _enough_of_each(label: Array, *, spec: ModelSpec, groups: Array | None) -> None:
    found = len(np.unique(groups)) if groups is not None else spec.folds
    if found < spec.folds:
        raise DataError(
            f"{spec.folds} folds need at least as many groups of '{spec.split.by}', the training part has {found}"
        )
    if spec.task != "classification":
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
            parameters={_short(name): _plain(value) for name, value in parameters.items()},
            mean=float(results["mean_test_score"][index]),
            sd=float(results["std_test_score"][index]),
            folds=tuple(float(results[f"split{fold}_test_score"][index]) for fold in range(found.n_splits_)),
            fit_s=float(results["mean_fit_time"][index]),
            score_s=float(results["mean_score_time"][index]),
        )
        for index, parameters in enumerate(results["params"])
    )
    return Search(points=points, best=int(found.best_index_))


def _plain(value: Any) -> Any:
    """Distributions draw numpy's numbers."""
    return value.item() if isinstance(value, np.generic) else value


def _short(name: str) -> str:
    """A parameter as the spec names it."""
    model = name.removeprefix("model__")
    return model if model != name else _TEXT.sub("text.", ".".join(name.split("__")[-2:]))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
