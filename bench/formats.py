"""`python -m bench.formats`: which of scikit-learn's estimators are served how, found by exporting every one of them.

Each is fitted on a small table and exported as `train` does it: ONNX in FP32, else ONNX in FP64, else skops; what is
exported answers every row as scikit-learn does, within 1e-5. Transformers stand before a linear model, once in a
Pipeline and once in a ColumnTransformer. The table goes into docs/models.md; `--check` only compares. Two minutes.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from bench.formats_special import BINARY, LEFT_OUT, PARAMETERS, WORDS
from turnout.errors import Failed
from turnout.steps import exporting, train_parity
from turnout.steps.exporting import Export
from turnout.steps.parts import Array

__all__ = ["DOCUMENT", "KINDS", "Case", "Result", "cases", "main", "result", "row", "section"]

DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"
KINDS = {"classifier": "classification", "regressor": "regression", "cluster": "clustering", "transformer": ""}
_BEGIN, _END = "<!-- begin: python -m bench.formats -->", "<!-- end: python -m bench.formats -->"
_ROWS = 150


@dataclass(frozen=True)
class Case:
    """One estimator of scikit-learn."""

    kind: str
    name: str
    cls: type


@dataclass(frozen=True)
class Result:
    """How it is served (`served` for every place it was put in), and why not by ONNX in FP32."""

    case: Case
    served: tuple[str, ...]
    why: str


def cases() -> list[Case]:
    """All of scikit-learn's classifiers, regressors, clusterers and transformers, each where it is listed first."""
    seen: dict[str, Case] = {}
    for kind in KINDS:
        for name, cls in all_estimators(type_filter=kind):
            if kind != "cluster" or hasattr(cls, "predict") or not hasattr(cls, "transform"):
                seen.setdefault(name, Case(kind, name, cls))
    return list(seen.values())


def result(case: Case) -> Result:
    """Fit it and export it."""
    if case.name in LEFT_OUT:
        return Result(case, (), LEFT_OUT[case.name])
    if case.kind == "cluster" and not hasattr(case.cls, "predict"):
        return Result(case, (), "does not predict new rows")
    features, label = _table(case)
    found = [_exported(pipeline, features, label, task=task) for pipeline, task in _pipelines(case, features)]
    return Result(case, tuple(served for served, _ in found), next((why for _, why in found if why), ""))


def row(found: Result) -> str:
    """One line of the table."""
    forms = list(dict.fromkeys(found.served))
    served = "; ".join(f"{place}: {form}" for place, form in _places(found)) if len(forms) > 1 else "".join(forms)
    return f"| `{found.case.name}` | {served or '-'} | {found.why} |"


def section(found: Sequence[Result]) -> str:
    """The tables, one for each kind."""
    titles = {"classifier": "Classifiers", "regressor": "Regressors", "cluster": "Clusterers"}
    lines: list[str] = []
    for kind in KINDS:
        title = titles.get(kind, "Transformers, before a linear model in a Pipeline and in a ColumnTransformer")
        lines += [f"### {title}", "", "| estimator | served by | why not by ONNX in FP32 |", "| --- | --- | --- |"]
        lines += [row(one) for one in found if one.case.kind == kind] + [""]
    return "\n".join(lines)


def _places(found: Result) -> Iterator[tuple[str, str]]:
    return zip(("in a Pipeline", "in a ColumnTransformer"), found.served, strict=True)


def _table(case: Case) -> tuple[dict[str, Array], Array]:
    """Numbers as a request carries them, and for those that encode words a column of words beside them."""
    is_regressor = case.kind == "regressor" or case.name in WORDS
    x, y = (load_diabetes if is_regressor else load_iris)(return_X_y=True)
    x, y = x[:_ROWS, :4].astype(np.float32), y[:_ROWS]
    if case.name == "IsotonicRegression":
        x = x[:, :1]
    features: dict[str, Array] = {f"c{index}": column for index, column in enumerate(x.T)}
    if case.name in WORDS:
        features["word"] = np.array(["red", "green", "blue"], dtype=object)[np.arange(len(y)) % 3]
    return features, (y > 0).astype(int) if case.name in BINARY else y


def _pipelines(case: Case, features: Mapping[str, Array]) -> Iterator[tuple[Pipeline, str]]:
    if case.kind != "transformer":
        yield Pipeline([("model", _made(case))]), KINDS[case.kind]
        return
    if case.name not in WORDS:
        yield Pipeline([("prepare", _made(case)), ("model", LogisticRegression(max_iter=1000))]), "classification"
    task = "regression" if case.name in WORDS else "classification"
    model = Ridge() if task == "regression" else LogisticRegression(max_iter=1000)
    chosen = [len(features) - 1] if case.name in WORDS else [0, 1]
    rest = [index for index in range(len(features)) if index not in chosen]
    columns = ColumnTransformer([("tried", _made(case), chosen), ("rest", StandardScaler(), rest)], sparse_threshold=0)
    yield Pipeline([("prepare", columns), ("model", model)]), task


def _made(case: Case) -> Any:
    """An instance that is small and repeatable."""
    regresses = case.kind == "regressor"
    linear: Any = Ridge() if regresses else LogisticRegression(max_iter=1000)
    tree: Any = DecisionTreeRegressor(random_state=0) if regresses else DecisionTreeClassifier(random_state=0)
    needed = {
        "estimator": linear,
        "estimators": [("linear", linear), ("tree", tree)],
        "transformers": [("scale", StandardScaler(), [0, 1])],
        "transformer_list": [("scale", StandardScaler())],
    }
    known = inspect.signature(case.cls).parameters
    given = {name: value for name, value in needed.items() if name in known and known[name].default is inspect._empty}
    made = case.cls(**{**given, **PARAMETERS.get(case.name, {})})
    small = {"random_state": 0, "n_estimators": 10}
    made.set_params(**{name: value for name, value in small.items() if name in made.get_params(deep=False)})
    return made


def _exported(pipeline: Pipeline, features: Mapping[str, Array], label: Array, *, task: str) -> tuple[str, str]:
    """What serves it, and why not ONNX in FP32."""
    with warnings.catch_warnings(), TemporaryDirectory(prefix="turnout-formats-") as folder:
        warnings.simplefilter("ignore")
        pipeline.fit(exporting.frame(features), label)
        try:
            found = exporting.export(pipeline, checks=[features], task=task, folder=Path(folder))
        except Failed as error:
            return "nothing: refused at training", _reason(str(error))
    if found.form == "skops":
        return "scikit-learn (skops)", _reasons(found)
    return f"ONNX {found.precision}", _reasons(found)


def _reasons(found: Export) -> str:
    if found.refusals and not train_parity.is_equal(found.parity):
        return "a few rows differ"
    return _reason(found.refusals[0]) if found.refusals else ""


def _reason(text: str) -> str:
    """Short, and without figures that differ from machine to machine."""
    if "there is no converter for " in text:
        return f"no converter for {text.partition('no converter for ')[2].split(')')[0].split(';')[0]}"
    if "answered otherwise" in text:
        return "answers otherwise, or by more than 1e-5, in FP32"
    return "its converter fails on this case"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 1 when the document says something else."""
    parser = argparse.ArgumentParser(prog="bench.formats", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the document, write nothing")
    check = parser.parse_args(argv).check
    found = []
    for case in cases():
        found.append(result(case))
        print(row(found[-1]), flush=True)
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    wanted = f"{before}{_BEGIN}\n{section(found)}\n{_END}{rest.partition(_END)[2]}"
    if check:
        return int(wanted != text)
    DOCUMENT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
