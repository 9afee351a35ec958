"""Clusters: from a spec without a label to a measured, gated model that is served like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from tests.steps.learning import parts, spec_of, trained
from turnout import spec as specs
from turnout.errors import Failed, SpecError
from turnout.spec import ModelSpec
from turnout.steps import artifact, evaluate_clusters, evaluate_report, featurize, snapshots
from turnout.steps.evaluate import Evaluation, evaluate, take
from turnout.steps.evaluate_champion import Champion
from turnout.steps.evaluate_metrics import METRICS, Answers
from turnout.steps.parts import Part

MEANS = {"name": "means", "estimator": "sklearn.cluster.KMeans", "grid": {"n_clusters": [2, 3, 5]}}


def heaps(rows: int = 240, *, seed: int = 0) -> pd.DataFrame:
    """Three heaps of points, each in a shop of its own."""
    random = np.random.default_rng(seed)
    heap = random.integers(0, 3, size=rows)
    return pd.DataFrame(
        {
            "id": range(rows),
            "price": np.array([0.0, 10.0, 20.0])[heap] + random.normal(size=rows),
            "weight": np.array([0.0, 9.0, 0.0])[heap] + random.normal(size=rows),
            "shop": np.array(["corner", "market", "mall"], dtype=object)[heap],
        }
    )


def clustering(*candidates: dict[str, Any], **more: Any) -> ModelSpec:
    return spec_of(*candidates, label=None, task="clustering", **more)  # type: ignore[arg-type]


def evaluated(
    spec: ModelSpec, folder: Path, *, champion: Champion | None = None, table: pd.DataFrame | None = None
) -> Evaluation:
    name = spec.candidates[0].name
    trained(spec, folder, heaps() if table is None else table, candidate=name)
    return evaluate(spec, models=[folder / name], test=folder / "test.parquet", champion=champion)


def test_the_number_of_clusters_is_searched_and_the_model_is_served_by_onnx(tmp_path: Path) -> None:
    found = trained(clustering(MEANS), tmp_path, heaps(), candidate="means")
    assert found.search.winner.parameters == {"n_clusters": 3}
    assert (found.export.form, found.export.parity.different) == ("onnx", 0)
    manifest = artifact.read(tmp_path / "means")
    assert (manifest.task, manifest.labels, len(manifest.outputs)) == ("clustering", (), 1)


def test_clusters_are_measured_and_described(tmp_path: Path) -> None:
    found = evaluated(clustering(MEANS, gates={"minimum": 0.5}), tmp_path)
    assert found.metric == "silhouette"
    assert set(found.metrics) == {"silhouette", "calinski_harabasz", "neg_davies_bouldin"}
    assert 0.7 < found.score.low < found.score.value < found.score.high
    assert found.decision.passed
    assert sum(item.rows for item in found.clusters) == found.rows == 80
    traits = "; ".join(trait for item in found.clusters for trait in item.traits)
    assert "shop market (100%; of all: " in traits
    assert "price " in traits


def test_the_report_shows_clusters_instead_of_classes(tmp_path: Path) -> None:
    spec = clustering(MEANS)
    page = evaluate_report.render(evaluated(spec, tmp_path), spec=spec)
    assert "<h2>The clusters</h2>" in page
    assert "clustering, measured on 80 rows" in page
    assert "confusion" not in page


def test_a_champion_is_compared_on_the_same_rows_whatever_it_calls_its_clusters(tmp_path: Path) -> None:
    spec = clustering({**MEANS, "grid": {}, "parameters": {"n_clusters": 3}})
    trained(spec, tmp_path / "old", heaps(), candidate="means")
    before = Champion("digits-v1", artifact.load(tmp_path / "old" / "means"))
    found = evaluated(
        clustering({**MEANS, "grid": {}, "parameters": {"n_clusters": 3, "random_state": 7}}), tmp_path, champion=before
    )
    assert found.agreement == 1.0
    assert "just as good as champion digits-v1" in found.decision.reason
    take(found, to=tmp_path / "best")
    worse = clustering({**MEANS, "grid": {}, "parameters": {"n_clusters": 12}})
    stopped = evaluated(worse, tmp_path / "worse", champion=before)
    assert not stopped.decision.passed
    assert stopped.agreement is not None
    assert stopped.agreement < 0.7


def test_a_champion_that_answers_another_question_is_not_compared(tmp_path: Path) -> None:
    table = heaps()
    other = spec_of({"name": "b", "estimator": "sklearn.naive_bayes.GaussianNB"}, label="shop")
    trained(other, tmp_path / "old", table, candidate="b")
    before = Champion("digits-v1", artifact.load(tmp_path / "old" / "b"))
    found = evaluated(clustering(MEANS), tmp_path, champion=before, table=table)
    assert found.incomparable == "it is a classification"


def test_a_champion_that_sees_one_cluster_only_is_not_compared(tmp_path: Path) -> None:
    far = heaps().assign(price=lambda table: table["price"] + 1000)
    spec = clustering({**MEANS, "features": ["price"], "grid": {}, "parameters": {"n_clusters": 2}})
    trained(spec, tmp_path / "old", pd.concat([far.tail(80), heaps(160)], ignore_index=True), candidate="means")
    before = Champion("digits-v1", artifact.load(tmp_path / "old" / "means"))
    found = evaluated(clustering(MEANS), tmp_path, champion=before)
    assert found.incomparable.startswith("its answers cannot be measured (silhouette: the 80 rows")
    assert found.decision.passed


def test_who_looks_at_one_column_only_is_measured_on_all(tmp_path: Path) -> None:
    one = {**MEANS, "name": "one", "features": ["price"], "preprocess": [], "grid": {}, "parameters": {"n_clusters": 2}}
    spec = clustering(MEANS, one)
    for name in ("means", "one"):
        trained(spec, tmp_path, heaps(), candidate=name)
    found = evaluate(spec, models=[tmp_path / "means", tmp_path / "one"], test=tmp_path / "test.parquet", champion=None)
    assert found.best.name == "means"


def test_one_cluster_for_all_rows_cannot_be_measured(tmp_path: Path) -> None:
    spec = clustering({**MEANS, "grid": {}, "parameters": {"n_clusters": 1}})
    with pytest.raises(Failed, match="silhouette is not defined on these folds"):
        trained(spec, tmp_path, heaps(), candidate="means")
    trained(clustering(MEANS), tmp_path, heaps(), candidate="means")
    _, test = parts(tmp_path / "same", pd.concat([heaps(160), heaps(1).loc[[0] * 80]]))
    with pytest.raises(Failed, match="the 80 rows that were looked at are all in one cluster"):
        evaluate(clustering(MEANS), models=[tmp_path / "means"], test=test, champion=None)


def test_of_many_rows_some_are_looked_at() -> None:
    part = Part({"a": np.arange(9000, dtype=np.float32)}, np.full(9000, np.nan))
    assert evaluate_clusters.thin(part, seed=0).rows == 5000
    again = evaluate_clusters.thin(part, seed=0)
    assert np.array_equal(again.features["a"], evaluate_clusters.thin(part, seed=0).features["a"])


@pytest.mark.parametrize(
    ("name", "score"),
    [("calinski_harabasz", "calinski_harabasz_score"), ("neg_davies_bouldin", "davies_bouldin_score")],
)
def test_metrics_of_clusters_are_those_of_scikit_learn(name: str, score: str) -> None:
    random = np.random.default_rng(0)
    points, values = random.normal(size=(90, 3)), random.integers(0, 3, size=90)
    found = METRICS[name](Answers(np.full(90, np.nan), values, points=points))
    assert abs(found) == pytest.approx(getattr(reference, score)(points, values))
    assert np.isnan(METRICS[name](Answers(np.full(90, np.nan), np.zeros(90), points=points)))


def test_a_table_without_a_label_is_divided_and_profiled(tmp_path: Path) -> None:
    import pyarrow as pa

    spec = clustering(MEANS)
    snapshots.write(
        tmp_path / "snapshot", pa.Table.from_pandas(heaps()), keys=("id",), label=None, sources=(), quarantined=0
    )
    found = featurize.featurize(
        spec,
        snapshot=tmp_path / "snapshot",
        train=tmp_path / "train.parquet",
        test=tmp_path / "test.parquet",
        profile=tmp_path / "profile.json",
    )
    assert found.train + found.test == 240


SPEC = """\
name: heaps
sources: [{name: table, path: table.csv}]
task: clustering
candidates: [{name: means, estimator: sklearn.cluster.KMeans}]
"""


def test_a_clustering_needs_no_label_and_a_classification_does() -> None:
    assert specs.loads(SPEC).metric == "silhouette"
    with pytest.raises(SpecError) as caught:
        specs.loads(SPEC.replace("clustering", "classification"))
    assert "label: is missing" in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("label: kind", "label: a clustering learns from no label"),
        ("split: {method: stratified}", "split.method: 'stratified' needs classes"),
        ("gates: {beats: [constant]}", "gates.beats: no answer is right or wrong here"),
        ("gates: {replay: {}}", "gates.replay: clusters have other numbers in every version"),
        ("behaviour: [{name: b, column: a, add: 1, expect: no lower}]", "clusters have no order"),
        ("metric: accuracy", "'accuracy' does not measure a clustering"),
    ],
)
def test_what_a_clustering_cannot_have_is_said(rest: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        specs.loads(f"{SPEC}{rest}\n")
    assert problem in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "sklearn.cluster.KMeans",
            "sklearn.cluster.DBSCAN",
            "DBSCAN divides the rows that it learns from and no others",
        ),
        ("sklearn.cluster.KMeans", "sklearn.svm.SVC", "SVC does not do clustering"),
        ("path: table.csv", "path: ledger://heaps", "the ledger gives labelled predictions, and there is no label"),
    ],
)
def test_what_cannot_make_clusters_is_said(old: str, new: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        specs.loads(SPEC.replace(old, new))
    assert problem in "\n".join(caught.value.problems)
