"""A candidate of the spec as an unfitted scikit-learn Pipeline.

Two steps: `prepare` brings columns into shape, `model` learns. Preparation is part of the model, so it travels inside
the exported file and sees only what a fold may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from turnout.dates import DateParts
from turnout.errors import DataError
from turnout.spec import Candidate, FeatureKind, Features, Range
from turnout.spec.estimators import find
from turnout.steps.parts import Array

__all__ = ["Prepared", "build", "kinds", "space"]

# Splitting at thresholds is the same at every scale, and a value at a threshold may fall to the other side when FP32
# rounds the scaling: for these, scaling gains nothing and costs parity.
_SCALE_FREE = ("sklearn.dummy", "sklearn.ensemble", "sklearn.naive_bayes", "sklearn.tree")
# They take no sparse tables.
_DENSE = (
    "sklearn.discriminant_analysis",
    "sklearn.ensemble.HistGradientBoosting",
    "sklearn.gaussian_process",
    "sklearn.naive_bayes.GaussianNB",
)
_MOST_WORDS = 20_000
Prepared = Literal["numeric", "datetime", "categorical", "code", "text"]
"""How a column is prepared; a code is a number that is a name."""
_DTYPES: Mapping[Any, Prepared] = {np.dtype(np.float32): "numeric", np.dtype(np.float64): "datetime"}


def kinds(features: Mapping[str, Array], said: Features, candidate: Candidate) -> dict[str, Prepared]:
    """How each column that the candidate sees is prepared: as the spec says, else as its values suggest.

    Raises:
        DataError: the candidate sees no column, or a column is to be what it cannot be.
    """
    seen = {name: values for name, values in features.items() if candidate.sees(name)}
    if not seen:
        named = ", ".join(candidate.features or ())
        raise DataError(
            f"candidate {candidate.name}: no column is one of its features ({named}): {', '.join(features)}"
        )
    return {name: _kind(name, values, said.kind(name)) for name, values in seen.items()}


def _kind(name: str, values: Array, said: FeatureKind | None) -> Prepared:
    found: Prepared = _DTYPES.get(values.dtype) or ("text" if _is_text(values) else "categorical")
    if said is None or said == found:
        return found
    if said == "categorical" and found == "numeric":
        return "code"
    if said in {"categorical", "text"} and values.dtype == object:
        return said
    holds = {"numeric": "numbers", "datetime": "times"}.get(found, "words")
    raise DataError(f"column {name} cannot be prepared as {said}: it holds {holds}")


def _is_text(values: Array) -> bool:
    """Whether words are sentences: most of them different, and of several words."""
    present = [word for word in values.tolist() if word]
    words = sum(len(word.split()) for word in present)
    return bool(present) and len(set(present)) > len(present) / 2 and words >= 3 * len(present)


def build(candidate: Candidate, found: Mapping[str, Prepared], *, columns: list[str], seed: int) -> Pipeline:
    """The pipeline of one candidate for a table with these columns, of which it sees those whose kind was found.

    A table of numbers only, all of which it sees, is one block; any other is taken apart by position.
    """
    at = {kind: [columns.index(name) for name in found if found[name] == kind] for kind in set(found.values())}
    numbers = _numeric(candidate, seed=seed)
    model = _made(candidate.estimator, candidate.parameters, seed=seed)
    if at.keys() == {"numeric"} and len(found) == len(columns):
        steps = [] if numbers == "passthrough" else [("prepare", numbers)]
        return Pipeline([*steps, ("model", model)])
    made: list[tuple[str, Any, Any]] = []
    if "numeric" in at:
        made.append(("numeric", numbers, at["numeric"]))
    if "datetime" in at:
        made.append(("datetime", Pipeline([("parts", DateParts()), *_filled(candidate)]), at["datetime"]))
    if "categorical" in at:
        made.append(("categorical", _one_hot(missing=""), at["categorical"]))
    if "code" in at:
        made.append(("code", _one_hot(missing=np.nan), at["code"]))
    made += [(f"text{place}", TfidfVectorizer(max_features=_MOST_WORDS), place) for place in at.get("text", ())]
    threshold = 0.0 if candidate.estimator.startswith(_DENSE) else 0.3
    return Pipeline([("prepare", ColumnTransformer(made, sparse_threshold=threshold)), ("model", model)])


def space(candidate: Candidate, pipeline: Pipeline) -> dict[str, Any]:
    """The candidate's grid in the pipeline's parameter names: lists, and distributions for ranges.

    Raises:
        DataError: the grid is about text, and not exactly one column is.
    """
    return {_path(name, pipeline): _values(values) for name, values in candidate.grid.items()}


def _path(name: str, pipeline: Pipeline) -> str:
    """`C` is the model's, `step1.k` a preprocessing step's wherever the pipeline has it, `text.x` that of tf-idf."""
    step, dot, parameter = name.partition(".")
    if not dot:
        return f"model__{name}"
    if step == "text":
        parts = getattr(pipeline.named_steps.get("prepare"), "transformers", ())
        found = [part for part, made, _ in parts if isinstance(made, TfidfVectorizer)]
        if len(found) != 1:
            raise DataError(f"grid: {name} is about one column of text, and {len(found)} columns are prepared as text")
        return f"prepare__{found[0]}__{parameter}"
    inside = "prepare__numeric" if isinstance(pipeline.named_steps.get("prepare"), ColumnTransformer) else "prepare"
    return f"{inside}__{step}__{parameter}"


def _values(values: tuple[Any, ...] | Range) -> Any:
    from scipy import stats

    if not isinstance(values, Range):
        return [_value(value) for value in values]
    if values.whole:
        return stats.randint(int(values.low), int(values.high) + 1)
    if values.log:
        return stats.loguniform(values.low, values.high)
    return stats.uniform(values.low, values.high - values.low)


def _numeric(candidate: Candidate, *, seed: int) -> Any:
    if candidate.preprocess is None:
        return Pipeline(_filled(candidate))
    if not candidate.preprocess:
        return "passthrough"
    steps = enumerate(candidate.preprocess, start=1)
    return Pipeline([(f"step{number}", _made(step.use, step.parameters, seed=seed)) for number, step in steps])


def _filled(candidate: Candidate) -> list[tuple[str, Any]]:
    """Numbers without gaps, on one scale where the estimator minds."""
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    scale_free = candidate.estimator.startswith(_SCALE_FREE)
    return [("impute", impute)] if scale_free else [("impute", impute), ("scale", StandardScaler())]


def _one_hot(*, missing: Any) -> Pipeline:
    """A missing name is the most frequent one; one never seen in training is none of the known ones."""
    impute = SimpleImputer(missing_values=missing, strategy="most_frequent", keep_empty_features=True)
    return Pipeline([("impute", impute), ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False))])


def _made(path: str, parameters: Mapping[str, Any], *, seed: int) -> Any:
    """An instance; one that draws random numbers gets the spec's seed unless the spec says another."""
    made = find(path)(**{name: _value(value) for name, value in parameters.items()})
    if "random_state" in made.get_params(deep=False) and "random_state" not in parameters:
        made.set_params(random_state=seed)
    return made


def _value(value: Any) -> Any:
    """scikit-learn checks for tuples where YAML can only write lists."""
    return tuple(value) if isinstance(value, list) else value
