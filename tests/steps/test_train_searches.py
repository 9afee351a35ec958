"""Grid, random and halving search, nested scores, candidates that fail, and searches that are kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tests.steps.learning import BAYES, FOREST, LOGISTIC, numbers, parts, spec_of, trained
from turnout.errors import Failed, ModelError
from turnout.spec import ModelSpec
from turnout.steps import artifact, evaluate, exporting, train_pipeline, train_search
from turnout.steps import parts as reading
from turnout.steps.train import Untrained, attempt, load
from turnout.steps.train_search import Search

MANY = {**LOGISTIC, "grid": {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]}}


def searched(spec: ModelSpec) -> Search:
    """The search of the first candidate alone, without the export of its winner."""
    table, candidate = numbers(), spec.candidates[0]
    features = {name: table[name].to_numpy(np.float32) for name in ("a", "b", "c")}
    found = train_pipeline.kinds(features, spec.features, candidate)
    pipeline = train_pipeline.build(candidate, found, columns=list(features), seed=spec.split.seed)
    rows, label = exporting.frame(features), table["kind"].to_numpy()
    return train_search.search(pipeline, rows, label, spec=spec, candidate=candidate.name, scoring=spec.metric)[1]


def test_a_random_search_draws_with_the_seed_of_the_split() -> None:
    drawn = {**LOGISTIC, "grid": {"C": {"low": 0.001, "high": 100.0, "log": True}}}
    values = []
    for seed in (1, 1, 2):
        spec = spec_of(drawn, search={"method": "random", "points": 4}, split={"seed": seed})
        values.append([point.parameters["C"] for point in searched(spec).points])
    assert values[0] == values[1] != values[2]
    assert len(values[0]) == 4
    assert all(0.001 <= value <= 100 for value in values[0])


def test_a_random_search_tries_no_point_of_a_small_grid_twice() -> None:
    found = searched(spec_of(MANY, search={"method": "random", "points": 50}))
    assert sorted(point.parameters["C"] for point in found.points) == [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]


@pytest.mark.parametrize(("whole", "kind"), [(True, int), (False, float)])
def test_ranges_give_numbers_of_their_kind(whole: bool, kind: type) -> None:
    name = "max_depth" if whole else "min_impurity_decrease"
    forest = {**FOREST, "grid": {name: {"low": 1 if whole else 0.0, "high": 3 if whole else 0.1, "whole": whole}}}
    found = searched(spec_of(forest, search={"method": "random", "points": 3}))
    assert {type(point.parameters[name]) for point in found.points} == {kind}


def test_halving_spends_most_rows_on_the_best_points() -> None:
    found = searched(spec_of(MANY, search={"method": "halving"}))
    assert len(found.points) > 6
    assert found.winner.mean > 0.7


def test_the_steps_before_the_model_are_searched_too() -> None:
    candidate = {
        **LOGISTIC,
        "preprocess": [{"use": "sklearn.decomposition.PCA"}],
        "grid": {"step1.n_components": [1, 3], "C": [0.1, 1.0]},
    }
    found = searched(spec_of(candidate))
    assert found.points[0].parameters.keys() == {"step1.n_components", "C"}
    assert found.winner.parameters["step1.n_components"] == 3


def test_a_nested_score_is_of_rows_that_the_search_never_saw(tmp_path: Path) -> None:
    spec = spec_of(MANY, BAYES, search={"outer": 4})
    found = trained(spec, tmp_path, numbers(), candidate="logistic")
    assert len(found.search.nested) == 4
    assert found.search.worth == pytest.approx(np.mean(found.search.nested))
    facts = orjson.loads((tmp_path / "logistic" / artifact.SEARCH).read_bytes())
    assert evaluate.worth(facts) == found.search.worth != facts["score"]


def test_noise_wins_nothing_by_trying_more_often(tmp_path: Path) -> None:
    """Labels without any relation: the best of many points looks better than chance, its nested score does not."""
    table = numbers(120)
    table["kind"] = np.random.default_rng(5).integers(0, 2, len(table))
    grid = {"max_depth": [1, 2, 3, None], "min_samples_leaf": [1, 5, 10]}
    tree = {"name": "tree", "estimator": "sklearn.tree.DecisionTreeClassifier", "grid": grid}
    found = trained(spec_of(tree, search={"outer": 3}), tmp_path, table, candidate="tree")
    assert found.search.winner.mean > found.search.worth


def test_a_point_that_cannot_be_fitted_leaves_the_others(tmp_path: Path) -> None:
    neighbours = {
        "name": "knn",
        "estimator": "sklearn.neighbors.KNeighborsClassifier",
        "grid": {"n_neighbors": [3, 100_000]},
    }
    found = trained(spec_of(neighbours), tmp_path, numbers(), candidate="knn")
    assert (found.search.failed, found.search.winner.parameters) == (1, {"n_neighbors": 3})


def fails(folder: Path, candidate: dict[str, Any]) -> Untrained:
    train_part, test_part = parts(folder, numbers())
    spec = spec_of(candidate, LOGISTIC)
    out = folder / candidate["name"]
    made = attempt(spec, candidate=candidate["name"], train=train_part, test=test_part, out=out)
    assert isinstance(made, Untrained)
    return made


TOO_MANY = {
    "name": "pca",
    "estimator": "sklearn.naive_bayes.GaussianNB",
    "preprocess": [{"use": "sklearn.decomposition.PCA", "parameters": {"n_components": 99}}],
}


def test_a_candidate_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    assert "candidate pca: scikit-learn refuses to fit: n_components=99" in fails(tmp_path, TOO_MANY).error
    spec = spec_of(TOO_MANY, LOGISTIC)
    trained(spec, tmp_path, numbers(), candidate="logistic")
    models = [tmp_path / "pca", tmp_path / "logistic"]
    found = evaluate.evaluate(spec, models=models, test=tmp_path / "test.parquet", champion=None)
    assert found.best.name == "logistic"
    assert [(one.name, "n_components=99" in one.error) for one in found.failed] == [("pca", True)]


def test_nothing_is_evaluated_where_every_candidate_failed(tmp_path: Path) -> None:
    fails(tmp_path, TOO_MANY)
    with pytest.raises(Failed, match=r"(?s)no candidate could be trained.*pca: candidate pca: scikit-learn refuses"):
        evaluate.evaluate(spec_of(TOO_MANY), models=[tmp_path / "pca"], test=tmp_path / "test.parquet", champion=None)


def test_the_triple_of_families_says_what_each_cost(tmp_path: Path) -> None:
    neighbours = {"name": "knn", "estimator": "sklearn.neighbors.KNeighborsClassifier", "grid": {"n_neighbors": [3, 9]}}
    vectors = {"name": "svc", "estimator": "sklearn.svm.SVC", "grid": {"C": [1.0, 10.0]}}
    spec = spec_of(BAYES, vectors, neighbours)
    for name in ("bayes", "svc", "knn"):
        trained(spec, tmp_path, numbers(), candidate=name)
    found = evaluate.evaluate(
        spec,
        models=[tmp_path / name for name in ("bayes", "svc", "knn")],
        test=tmp_path / "test.parquet",
        champion=None,
    )
    assert {tried.name for tried in found.tried} == {"bayes", "svc", "knn"}
    assert all(tried.facts["seconds"] > 0 and tried.facts["memory_mb"] > 10 for tried in found.tried)
    assert found.best.worth == max(tried.worth for tried in found.tried)


def test_a_search_goes_on_in_another_process(tmp_path: Path) -> None:
    """Fitted and unfitted pipeline, space and results; the answers are the same to the last bit."""
    spec = spec_of(MANY)
    trained(spec, tmp_path, numbers(), candidate="logistic")
    part = reading.read(tmp_path / "test.parquet", spec=spec)
    np.savez(tmp_path / "features.npz", **part.features)
    script = """
import sys
from pathlib import Path
import numpy as np
from turnout.steps import train
folder = Path(sys.argv[1])
saved = train.load(folder / "logistic")
features = dict(np.load(folder / "features.npz"))
np.save(folder / "again.npy", saved.fitted.probabilities(features))
assert not hasattr(saved.unfitted.named_steps["model"], "coef_")
assert saved.search["grid"] == {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]}
assert len(saved.search["points"]) == 6
saved.unfitted.set_params(model__C=1.0).fit(np.random.default_rng(0).normal(size=(20, 3)), [0, 1] * 10)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=120)
    here = load(tmp_path / "logistic").fitted.probabilities(part.features)
    assert (np.load(tmp_path / "again.npy") == here).all()


def test_an_altered_search_is_not_loaded(tmp_path: Path) -> None:
    trained(spec_of(LOGISTIC), tmp_path, numbers(), candidate="logistic")
    with (tmp_path / "logistic" / artifact.SKOPS).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelError, match="was altered"):
        load(tmp_path / "logistic")
