"""An estimator behind the predictor answers what it answers by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.steps.learning import mixed, spec_of, trained
from turnout.errors import InputError, ModelError
from turnout.sklearn_predictor.model import SklearnModel, load
from turnout.steps import artifact

X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names


def served(estimator: Any, folder: Path) -> SklearnModel:
    (folder / "model.skops").write_bytes(skops.io.dumps(estimator))
    return load(folder, digest="", allow_joblib=False)


def signatures(model: SklearnModel, key: str) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.name, one.datatype, one.shape) for one in getattr(model.manifest, key)]


def test_a_bare_estimator_is_asked_by_one_block_and_says_its_classes(tmp_path: Path) -> None:
    estimator = GaussianNB().fit(X, NAMES[Y])
    model = served(estimator, tmp_path)

    assert signatures(model, "inputs") == [("input-0", "FP64", (-1, 4))]
    assert signatures(model, "outputs") == [("output-0", "BYTES", (-1,)), ("probabilities", "FP64", (-1, 3))]
    assert (model.manifest.task, model.manifest.platform) == ("classification", "sklearn")
    assert model.manifest.labels == ("setosa", "versicolor", "virginica")
    labels, probabilities = model.run({"X": X}, ["output-0", "probabilities"])
    assert list(labels) == list(estimator.predict(X))
    assert np.array_equal(probabilities, estimator.predict_proba(X))


@pytest.mark.parametrize(
    ("estimator", "label", "task", "outputs"),
    [
        (LinearRegression(), X[:, 0], "regression", [("output-0", "FP64", (-1,))]),
        (LinearRegression(), X[:, :2], "regression", [("output-0", "FP64", (-1, 2))]),
        (KMeans(3, random_state=0), Y, "clustering", [("output-0", "INT64", (-1,))]),
        (RidgeClassifier(), Y, "classification", [("output-0", "INT64", (-1,))]),
        (
            RandomForestClassifier(3, random_state=0, n_jobs=-1),
            Y > 0,
            "classification",
            [("output-0", "BOOL", (-1,)), ("probabilities", "FP64", (-1, 2))],
        ),
    ],
)
def test_outputs_are_what_the_estimator_gives(
    tmp_path: Path, estimator: Any, label: Any, task: str, outputs: list[Any]
) -> None:
    estimator.fit(X, label)
    model = served(estimator, tmp_path)

    assert model.manifest.task == task
    assert signatures(model, "outputs") == outputs
    (answers,) = model.run({"X": X}, ["output-0"])
    assert np.array_equal(answers, estimator.predict(X))


def test_a_data_frame_model_is_asked_by_column_and_its_words_are_words(tmp_path: Path) -> None:
    table = pd.DataFrame({"area": [30.0, 55.0, 44.0, 80.0], "city": ["Bonn", "Köln", "Bonn", "Köln"]})
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="error"))
    columns = make_column_transformer((StandardScaler(), ["area"]), (words, ["city"]))
    estimator = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1])
    model = served(estimator, tmp_path)

    assert signatures(model, "inputs") == [("area", "FP64", (-1, 1)), ("city", "BYTES", (-1, 1))]
    feeds = {"x0": table[["area"]].to_numpy(), "x1": table[["city"]].to_numpy()}
    (answers,) = model.run(feeds, ["output-0"])
    assert list(answers) == list(estimator.predict(table))
    with pytest.raises(InputError, match="the model cannot take these values: Found unknown categories"):
        model.run({**feeds, "x1": np.array([["Paris"]] * 4, dtype=object)}, ["output-0"])


def test_a_registered_version_answers_as_in_evaluation(tmp_path: Path) -> None:
    nearest = {"name": "nearest", "estimator": "sklearn.neighbors.NearestCentroid"}
    found = trained(spec_of(nearest, drop=["price"]), tmp_path, mixed(), candidate="nearest")
    model = load(tmp_path / "nearest", digest=found.digest, allow_joblib=False)
    asked = artifact.load(tmp_path / "nearest")
    features = {"label": [0.1, -2.0], "rooms of it": [3, 8], "garden": [1, 0]}
    arrays = {name: np.array(values, dtype=np.float32) for name, values in features.items()}
    arrays["city"] = np.array(["Bonn", ""], dtype=object)
    feeds = {one.onnx: arrays[one.name].reshape(-1, 1) for one in model.manifest.inputs}

    assert model.manifest.features == asked.manifest.features
    assert list(model.run(feeds, ["output-0"])[0]) == list(asked.predict(arrays).values)
    with pytest.raises(ModelError, match=r"model\.json: wanted digest sha256:00"):
        load(tmp_path / "nearest", digest="sha256:00", allow_joblib=False)


def test_threads_of_an_estimator_are_not_started_for_single_rows(tmp_path: Path) -> None:
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(2, random_state=0, n_jobs=-1)).fit(X, Y)
    model = served(forest, tmp_path)

    assert model._estimator.estimator.get_params()["randomforestclassifier__n_jobs"] == 1


def test_what_does_not_predict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="wanted a fitted estimator that predicts, found StandardScaler"):
        served(StandardScaler().fit(X), tmp_path)
    with pytest.raises(ModelError, match="wanted a fitted estimator that predicts, found LinearRegression"):
        served(LinearRegression(), tmp_path)


def test_values_that_the_estimator_refuses_are_the_callers_mistake(tmp_path: Path) -> None:
    model = served(LinearRegression().fit(X, Y), tmp_path)

    with pytest.raises(InputError, match="the model cannot take these values: Input X contains NaN"):
        model.run({"X": np.full((1, 4), np.nan)}, ["output-0"])
