"""The models of the comparison, each as our artifact and as the joblib file that the peers load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Binarizer, OneHotEncoder, StandardScaler

from turnout.steps import exporting

__all__ = ["Model", "make"]

_TOWNS = ("Aarau", "Bern", "Chur", "Davos")


@dataclass(frozen=True)
class Model:
    """A folder with `model.onnx`, `model.json` and `model.joblib`; `rows` are what is asked, [n, features]."""

    name: str
    folder: Path
    features: tuple[str, ...]
    rows: np.ndarray[Any, Any]


def make(folder: Path) -> dict[str, Model]:
    """Train and write all of them: `rf`, `lr`, `hgb` on the digits, `frame` on a table with words."""
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    digits = {
        "rf": [("prepare", Binarizer(threshold=7.5)), ("model", RandomForestClassifier(100, random_state=0))],
        "lr": [("prepare", StandardScaler()), ("model", LogisticRegression(max_iter=1000))],
        "hgb": [("prepare", StandardScaler()), ("model", HistGradientBoostingClassifier(random_state=0))],
    }
    made = {}
    for name, steps in digits.items():
        columns = {f"p{index:02d}": x[:, index] for index in range(x.shape[1])}
        made[name] = _write(folder / name, name, Pipeline(steps).fit(x, y), columns, x)
    made["frame"] = _frame(folder / "frame")
    return made


def _frame(folder: Path) -> Model:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(2000, 4)).astype(np.float32)
    words = rng.choice(np.array(_TOWNS, dtype=object), size=(2000, 2))
    table = np.column_stack([numbers.astype(object), words])
    label = (numbers[:, 0] + (words[:, 0] == "Bern") + rng.normal(size=2000) > 0.5).astype(np.int64)
    scale = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
    prepare = ColumnTransformer(
        [
            ("numeric", scale, [0, 1, 2, 3]),
            ("categorical", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [4, 5]),
        ]
    )
    fitted = Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(table, label)
    columns = {f"n{i}": numbers[:, i] for i in range(4)} | {f"w{i}": words[:, i] for i in range(2)}
    return _write(folder, "frame", fitted, columns, table)


def _write(folder: Path, name: str, fitted: Pipeline, columns: dict[str, Any], rows: np.ndarray[Any, Any]) -> Model:
    exporting.export(fitted, checks=[columns], task="classification", folder=folder)
    joblib.dump(fitted, folder / "model.joblib")
    return Model(name=name, folder=folder, features=tuple(columns), rows=rows)
