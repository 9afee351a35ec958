"""Families of estimators that people name in a spec: each is exported, and answers in ONNX as it was fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.steps.learning import mixed, numbers, spec_of, trained

_CLASSIFIERS: dict[str, dict[str, Any]] = {
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": {},
    "sklearn.ensemble.AdaBoostClassifier": {"n_estimators": 5},
    "sklearn.ensemble.ExtraTreesClassifier": {"n_estimators": 5},
    "sklearn.ensemble.GradientBoostingClassifier": {"n_estimators": 5},
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 5},
    "sklearn.linear_model.RidgeClassifier": {},
    "sklearn.linear_model.SGDClassifier": {"loss": "log_loss"},
    "sklearn.naive_bayes.BernoulliNB": {},
    "sklearn.neighbors.KNeighborsClassifier": {},
    "sklearn.neural_network.MLPClassifier": {"hidden_layer_sizes": [5], "solver": "lbfgs"},
    "sklearn.svm.SVC": {},
    "sklearn.tree.DecisionTreeClassifier": {},
}
_REGRESSORS: dict[str, dict[str, Any]] = {
    "sklearn.ensemble.HistGradientBoostingRegressor": {"max_iter": 5},
    "sklearn.ensemble.RandomForestRegressor": {"n_estimators": 5},
    "sklearn.linear_model.ElasticNet": {"alpha": 0.01},
    "sklearn.linear_model.LinearRegression": {},
    "sklearn.neighbors.KNeighborsRegressor": {},
    "sklearn.svm.SVR": {},
}


def _name(path: str) -> str:
    return path.rpartition(".")[2]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", _CLASSIFIERS, ids=_name)
def test_a_classifier_of_numbers_is_exported(tmp_path: Path, estimator: str) -> None:
    candidate = {"name": "one", "estimator": estimator, "parameters": _CLASSIFIERS[estimator]}
    found = trained(spec_of(candidate), tmp_path, numbers(), candidate="one")
    assert found.export.parity.rows == 240
    assert found.score > 0.4


@pytest.mark.parametrize("estimator", _REGRESSORS, ids=_name)
def test_a_regressor_over_a_mixed_table_is_exported(tmp_path: Path, estimator: str) -> None:
    candidate = {"name": "one", "estimator": estimator, "parameters": _REGRESSORS[estimator]}
    spec = spec_of(candidate, label="price", task="regression", drop=["kind"])
    assert trained(spec, tmp_path, mixed(), candidate="one").score > 0.3
