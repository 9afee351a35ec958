"""Estimators and transformers by import path, from a list of allowed modules.

A model.yaml may come from anybody, so a path may name a class of these modules and nothing else; nothing is imported
before the path has passed. What can be asked of scikit-learn (is there such a class, does it take such a parameter)
is asked only where scikit-learn is installed, and imported only then.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

from turnout.spec.rules import did_you_mean, items, mapping
from turnout.spec.text import Path, Problem

__all__ = ["ESTIMATOR_MODULES", "TRANSFORMER_MODULES", "check", "find"]

ESTIMATOR_MODULES = (
    "sklearn.cluster",
    "sklearn.discriminant_analysis",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.gaussian_process",
    "sklearn.kernel_ridge",
    "sklearn.linear_model",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.svm",
    "sklearn.tree",
)
TRANSFORMER_MODULES = (
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.feature_selection",
    "sklearn.impute",
    "sklearn.kernel_approximation",
    "sklearn.manifold",
    "sklearn.preprocessing",
    "sklearn.random_projection",
)

# It calls whatever function it is given.
_FORBIDDEN = frozenset({"sklearn.preprocessing.FunctionTransformer"})


def find(path: str) -> Any:
    """The class at an import path of the allowed modules.

    Raises:
        ValueError: the path is not allowed, or names no class with `fit`.
        ImportError: scikit-learn is not installed.
    """
    module_name, _, name = path.rpartition(".")
    if not _allowed(path, (*ESTIMATOR_MODULES, *TRANSFORMER_MODULES)):
        raise ValueError(f"'{path}' is not allowed")
    module = importlib.import_module(module_name)
    found = getattr(module, name, None)
    if not inspect.isclass(found) or not hasattr(found, "fit"):
        known = [other for other in dir(module) if hasattr(getattr(module, other), "fit")]
        raise ValueError(f"{module_name} has no estimator '{name}'{did_you_mean(name, known)}")
    return found


def check(data: dict[str, Any]) -> Iterator[Problem]:
    """Every mistake in the candidates' estimators, preprocessing steps, parameters and grids."""
    for index, item in enumerate(items(data.get("candidates"))):
        candidate, path = mapping(item), ("candidates", index)
        yield from _class(candidate, path, field="estimator", modules=ESTIMATOR_MODULES, task=data.get("task"))
        for step_index, step in enumerate(items(candidate.get("preprocess"))):
            step_path = (*path, "preprocess", step_index)
            yield from _class(mapping(step), step_path, field="use", modules=TRANSFORMER_MODULES, task=None)


def _allowed(path: str, modules: tuple[str, ...]) -> bool:
    module, _, name = path.rpartition(".")
    return module in modules and name.isidentifier() and not name.startswith("_") and path not in _FORBIDDEN


def _class(block: dict[str, Any], path: Path, *, field: str, modules: tuple[str, ...], task: Any) -> Iterator[Problem]:
    name = block.get(field)
    if not isinstance(name, str) or not name:
        return
    if not _allowed(name, modules):
        what = "estimators come" if field == "estimator" else "preprocessing steps come"
        yield Problem((*path, field), f"'{name}' is not allowed; {what} from {', '.join(modules)}")
        return
    if importlib.util.find_spec("sklearn") is None:
        return
    try:
        found = find(name)
    except ValueError as error:
        yield Problem((*path, field), str(error))
        return
    yield from _fits(found, (*path, field), task=task)
    yield from _parameters(found, block, path)


def _fits(found: Any, path: Path, *, task: Any) -> Iterator[Problem]:
    """Whether the class is of the kind that its place asks for."""
    if path[-1] == "use":
        if not hasattr(found, "transform"):
            yield Problem(path, f"{found.__name__} does not transform anything")
        return
    from sklearn.base import ClassifierMixin, ClusterMixin, RegressorMixin

    kinds = {"classification": ClassifierMixin, "regression": RegressorMixin, "clustering": ClusterMixin}
    wanted = kinds.get(str(task))
    if wanted and not issubclass(found, wanted):
        yield Problem(path, f"{found.__name__} does not do {task}")
    elif wanted and not hasattr(found, "predict"):
        yield Problem(
            path, f"{found.__name__} divides the rows that it learns from and no others; KMeans could be served"
        )


def _parameters(found: Any, block: dict[str, Any], path: Path) -> Iterator[Problem]:
    parameters, grid = mapping(block.get("parameters")), mapping(block.get("grid"))
    known = {name: p for name, p in inspect.signature(found).parameters.items() if p.kind is not p.VAR_KEYWORD}
    for field, given in (("parameters", parameters), ("grid", grid)):
        for name in given:
            if field == "grid" and "." in str(name):
                yield from _of_step(str(name), block, (*path, "grid", name))
            elif name not in known:
                near = did_you_mean(str(name), list(known))
                yield Problem((*path, field, name), f"{found.__name__} has no parameter '{name}'{near}")
    for name in known:
        if known[name].default is inspect.Parameter.empty and name not in parameters and name not in grid:
            yield Problem((*path, "parameters"), f"{found.__name__} needs the parameter '{name}'")
    for name in sorted(set(parameters) & set(grid)):
        yield Problem((*path, "grid", name), f"'{name}' is also in parameters; let the grid alone set it")
    for name, value in parameters.items():
        yield from _value(found, name, value, (*path, "parameters", name), known)
    for name, values in grid.items():
        for index, value in enumerate(items(values)):
            yield from _value(found, name, value, (*path, "grid", name, index), known)


def _of_step(name: str, block: dict[str, Any], path: Path) -> Iterator[Problem]:
    """Whether `step2.k` is a parameter of the second preprocessing step, `text.ngram_range` one of words as tf-idf."""
    step, _, parameter = name.partition(".")
    if step == "text":
        from sklearn.feature_extraction.text import TfidfVectorizer

        known = list(inspect.signature(TfidfVectorizer).parameters)
        if parameter not in known:
            yield Problem(
                path, f"the preparation of text has no parameter '{parameter}'{did_you_mean(parameter, known)}"
            )
        return
    steps = [mapping(item) for item in items(block.get("preprocess"))]
    names = [f"step{number}" for number in range(1, len(steps) + 1)]
    if step not in names:
        yield Problem(path, f"there is no preprocessing step '{step}'; there are {', '.join(names) or 'none'}")
        return
    use = steps[names.index(step)].get("use")
    if not isinstance(use, str) or not _allowed(use, TRANSFORMER_MODULES):
        return
    known = list(inspect.signature(find(use)).parameters)
    if parameter not in known:
        yield Problem(path, f"{use.rpartition('.')[2]} has no parameter '{parameter}'{did_you_mean(parameter, known)}")


def _value(found: Any, name: str, value: Any, path: Path, known: dict[str, Any]) -> Iterator[Problem]:
    """Whether scikit-learn takes this value: asked now, because it would say so only after the data was prepared."""
    constraints = getattr(found, "_parameter_constraints", {})
    if name not in known or not isinstance(constraints, dict) or name not in constraints:
        return
    # A private module, but the only place where the accepted values are written down; fit() checks with the same.
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    try:
        validate_parameter_constraints(
            {name: constraints[name]}, {name: tuple(value) if isinstance(value, list) else value}, found.__name__
        )
    except InvalidParameterError as error:
        yield Problem(path, str(error).rstrip("."))
