"""Clusters: how well rows are divided where nobody knows how they should be.

Every candidate, and the champion, is measured on the same ground: the rows as points of all columns, prepared as by
default (numbers on one scale, words one-hot), whatever a candidate itself sees or makes of them. Else a candidate that
looks at one column only, or squeezes all of them into two, would win by looking away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from turnout.spec import Candidate, ModelSpec
from turnout.steps import parts
from turnout.steps.artifact import Predictions
from turnout.steps.evaluate_metrics import METRICS, Answers
from turnout.steps.parts import Array, Part

__all__ = ["Cluster", "agreement", "answers", "clusters", "plane", "scorer", "thin"]

# A silhouette compares every row with every other one.
_MOST_ROWS = 5000
_MOST_TRAITS, _TRAIT = 3, 0.5


@dataclass(frozen=True)
class Cluster:
    """One cluster of the rows that were looked at, and in which columns it differs most from all of them."""

    number: int
    rows: int
    silhouette: float
    traits: tuple[str, ...] = ()


def thin(part: Part, *, seed: int) -> Part:
    """The part, or 5,000 rows of it drawn at random, which are enough to see how it is divided."""
    if part.rows <= _MOST_ROWS:
        return part
    rows = _drawn(part.rows, seed=seed)
    return replace(part, features=parts.select(part.features, rows), label=part.label[rows], groups=None)


def scorer(spec: ModelSpec, features: Mapping[str, Array]) -> Callable[[Any, Any, Any], float]:
    """What scores a clusterer in the search, on tables with the columns of `features`."""
    ground = _ground(spec, features)

    def score(estimator: Any, table: Any, _label: Any) -> float:
        looked = table if len(table) <= _MOST_ROWS else table.iloc[_drawn(len(table), seed=spec.split.seed)]
        values = np.asarray(estimator.predict(looked))
        return float("nan") if _refusal(values) else METRICS[spec.metric](_measured(ground, looked, values))

    return score


def answers(spec: ModelSpec, part: Part, predictions: Predictions) -> Answers:
    """A model's clusters of these rows, with what they are measured by.

    Raises:
        ValueError: all rows are in one cluster, or each is one by itself.
    """
    from turnout.steps import exporting

    if refusal := _refusal(predictions.values):
        raise ValueError(refusal)
    return _measured(_ground(spec, part.features), exporting.frame(part.features), predictions.values)


def agreement(one: Answers, other: Answers) -> float:
    """How alike two models divide the same rows: 1 the same, 0 as by chance (Hubert and Arabie 1985); names are
    nothing."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(one.values, other.values))


def clusters(part: Part, found: Answers) -> tuple[Cluster, ...]:
    """Each cluster with its rows and its traits, the largest first."""
    assert found.silhouettes is not None
    numbers, counts = np.unique(found.values, return_counts=True)
    return tuple(
        Cluster(
            number=int(numbers[place]),
            rows=int(counts[place]),
            silhouette=float(found.silhouettes[found.values == numbers[place]].mean()),
            traits=_traits(part.features, found.values == numbers[place]),
        )
        for place in np.argsort(-counts, kind="stable")
    )


def plane(found: Answers) -> Array:
    """The points on the plane on which they are spread widest (their first two principal components)."""
    from sklearn.decomposition import TruncatedSVD

    points: Any = found.points
    if points.shape[1] < 2:
        return np.column_stack([np.asarray(points), np.zeros(found.rows)])
    centred = points - points.mean(axis=0) if isinstance(points, np.ndarray) else points
    return np.asarray(TruncatedSVD(2, random_state=0).fit_transform(centred))


def _drawn(rows: int, *, seed: int) -> Array:
    return np.sort(np.random.default_rng(seed).choice(rows, _MOST_ROWS, replace=False))


def _ground(spec: ModelSpec, features: Mapping[str, Array]) -> Any:
    """What makes points of a table's rows: the preparation that a clusterer has when its spec says nothing."""
    from turnout.steps import train_pipeline

    usual = Candidate(name="ground", estimator="sklearn.cluster.KMeans")
    found = train_pipeline.kinds(features, spec.features, usual)
    return train_pipeline.build(usual, found, columns=list(features), seed=spec.split.seed)[:-1]


def _measured(ground: Any, table: Any, values: Array) -> Answers:
    from sklearn.base import clone
    from sklearn.metrics import silhouette_samples

    points = clone(ground).fit_transform(table)
    silhouettes = silhouette_samples(points, values)
    return Answers(np.full(len(values), np.nan), values, points=points, silhouettes=silhouettes)


def _refusal(values: Array) -> str:
    """Why such clusters cannot be measured; empty when they can."""
    distinct, rows = len(np.unique(values)), len(values)
    if 2 <= distinct < rows:
        return ""
    how = "all in one cluster" if distinct == 1 else "each a cluster of its own"
    return f"the {rows} rows that were looked at are {how}; there is nothing to measure"


def _traits(features: Mapping[str, Array], inside: Array) -> tuple[str, ...]:
    """The columns in which these rows differ most from all, strongest first, in words."""
    found = [trait for name, values in features.items() if (trait := _trait(name, values, inside)) is not None]
    return tuple(words for _, words in sorted(found, key=lambda trait: -trait[0])[:_MOST_TRAITS])


def _trait(name: str, values: Array, inside: Array) -> tuple[float, str] | None:
    """How far a column's values are from those of all rows, in standard deviations, and that in words."""
    if values.dtype == object:
        words, counts = np.unique(values[inside].astype(str), return_counts=True)
        word = words[int(counts.argmax())]
        here, everywhere = float(counts.max() / inside.sum()), float(np.mean(values == word))
        far = (here - everywhere) / max(0.05, float(np.sqrt(everywhere * (1 - everywhere))))
        return (far, f"{name} {word or '(missing)'} ({here:.0%}; of all: {everywhere:.0%})") if far > _TRAIT else None
    numbers = values.astype(np.float64)
    spread = float(np.nanstd(numbers))
    if not spread > 0 or not np.isfinite(numbers[inside]).any():
        return None
    here, everywhere = float(np.nanmean(numbers[inside])), float(np.nanmean(numbers))
    far = abs(here - everywhere) / spread
    return (far, f"{name} {here:.3g} (of all: {everywhere:.3g})") if far > _TRAIT else None
