"""A candidate of the spec as an unfitted scikit-learn Pipeline.

Two steps: `prepare` brings columns into shape, `model` learns. Preparation is part of the model, so it travels inside
the exported file and sees only what a fold may see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from turnout.spec import Candidate
from turnout.spec.estimators import find

__all__ = ["build", "grid"]

# Splitting at thresholds is the same at every scale, and a value at a threshold may fall to the other side when FP32
# rounds the scaling: for these, scaling gains nothing and costs parity.
_SCALE_FREE = ("sklearn.dummy", "sklearn.ensemble", "sklearn.naive_bayes", "sklearn.tree")


def build(candidate: Candidate, *, numeric: Sequence[int], categorical: Sequence[int], seed: int) -> Pipeline:
    """The pipeline of one candidate for a table with numbers and words at these positions.

    A table of numbers only is one block, any other is taken apart by position.
    """
    block = _numeric(candidate, seed=seed)
    prepare: Any = block
    if categorical:
        numbers = [("numeric", block, list(numeric))] if numeric else []
        prepare = ColumnTransformer([*numbers, ("categorical", _categorical(), list(categorical))])
    model = _made(candidate.estimator, candidate.parameters, seed=seed)
    return Pipeline([("model", model)] if prepare == "passthrough" else [("prepare", prepare), ("model", model)])


def grid(candidate: Candidate) -> dict[str, list[Any]]:
    """The candidate's grid in the pipeline's parameter names."""
    return {f"model__{name}": [_value(value) for value in values] for name, values in candidate.grid.items()}


def _numeric(candidate: Candidate, *, seed: int) -> Any:
    if candidate.preprocess is None:
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        scale_free = candidate.estimator.startswith(_SCALE_FREE)
        return Pipeline([("impute", impute)] if scale_free else [("impute", impute), ("scale", StandardScaler())])
    if not candidate.preprocess:
        return "passthrough"
    steps = enumerate(candidate.preprocess, start=1)
    return Pipeline([(f"step{number}", _made(step.use, step.parameters, seed=seed)) for number, step in steps])


def _categorical() -> Pipeline:
    """A missing word is the most frequent one; a word never seen in training is none of the known ones."""
    impute = SimpleImputer(missing_values="", strategy="most_frequent", keep_empty_features=True)
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
