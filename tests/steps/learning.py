"""Small tables, specs and trained candidates for the tests of train, evaluate, register and deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from turnout import spec as specs
from turnout.spec import ModelSpec
from turnout.steps.train import Trained, train

FOREST = {
    "name": "forest",
    "estimator": "sklearn.ensemble.RandomForestClassifier",
    "parameters": {"n_estimators": 5},
    "grid": {"max_depth": [2, 4]},
}
BAYES = {"name": "bayes", "estimator": "sklearn.naive_bayes.GaussianNB"}
LOGISTIC = {"name": "logistic", "estimator": "sklearn.linear_model.LogisticRegression"}
RIDGE = {"name": "ridge", "estimator": "sklearn.linear_model.Ridge", "grid": {"alpha": [0.1, 1.0]}}


def spec_of(*candidates: dict[str, Any], label: str = "kind", task: str = "classification", **more: Any) -> ModelSpec:
    """A spec with these candidates over a table that is there already."""
    return ModelSpec.model_validate(
        {
            "name": "digits",
            "sources": [{"name": "table", "path": "/table.csv"}],
            "keys": ["id"],
            "label": label,
            "task": task,
            "folds": 3,
            "candidates": list(candidates),
            **more,
        }
    )


def text_of(spec: ModelSpec) -> str:
    """The spec as a component gets it."""
    text = spec.dump()
    assert specs.loads(text, deep=False) == spec
    return text


def numbers(rows: int = 240, *, seed: int = 0) -> pd.DataFrame:
    """Numbers only; three classes that a model can learn."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"id": range(rows), **{name: random.normal(size=rows) for name in ("a", "b", "c")}})
    table["kind"] = np.digitize(table["a"] + table["b"] + 0.2 * random.normal(size=rows), [-0.7, 0.7])
    return table


def mixed(rows: int = 240, *, seed: int = 0) -> pd.DataFrame:
    """Numbers, flags and words, some of them missing; a class in words and a value to predict."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "id": range(rows),
            "label": random.normal(size=rows),
            "rooms of it": random.integers(1, 9, size=rows),
            "garden": random.random(rows) < 0.5,
            "city": random.choice(["Aachen", "Bonn", "Köln", None], size=rows),
        }
    )
    table.loc[3, "label"] = None
    value = table["label"].fillna(0) + 0.5 * table["rooms of it"] + 2.0 * (table["city"] == "Bonn")
    table["price"] = value + 0.1 * random.normal(size=rows)
    table["kind"] = np.where(value > value.median(), "dear", "cheap")
    return table


def parts(folder: Path, table: pd.DataFrame, *, test: int = 80) -> tuple[Path, Path]:
    """The table as a training and a test part, as featurize leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    train_part, test_part = folder / "train.parquet", folder / "test.parquet"
    table[:-test].to_parquet(train_part)
    table[-test:].to_parquet(test_part)
    return train_part, test_part


def trained(spec: ModelSpec, folder: Path, table: pd.DataFrame, *, candidate: str, out: str = "") -> Trained:
    """One candidate trained into `folder/<candidate>`."""
    train_part, test_part = parts(folder, table)
    return train(spec, candidate=candidate, train=train_part, test=test_part, out=folder / (out or candidate))
