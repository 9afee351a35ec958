"""Choosing, measuring and comparing exported models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

from tests.steps.learning import BAYES, FOREST, LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from tests.steps.objects import Objects, service, turnout
from turnout.errors import Failed, ModelError
from turnout.spec import ModelSpec
from turnout.steps import artifact, evaluate_champion
from turnout.steps.evaluate import Evaluation, evaluate, take
from turnout.steps.evaluate_champion import Champion


def _evaluated(
    spec: ModelSpec, folder: Path, table: pd.DataFrame, *names: str, champion: Champion | None = None
) -> Evaluation:
    for name in names:
        trained(spec, folder, table, candidate=name)
    return evaluate(spec, models=[folder / name for name in names], test=folder / "test.parquet", champion=champion)


def _champion(spec: ModelSpec, folder: Path, table: pd.DataFrame, name: str) -> Champion:
    trained(spec, folder, table, candidate=name)
    return Champion("digits-v1", artifact.load(folder / name))


def test_the_candidate_with_the_best_cross_validated_score_is_chosen(tmp_path: Path) -> None:
    found = _evaluated(spec_of(FOREST, LOGISTIC), tmp_path, numbers(), "forest", "logistic")
    assert found.best.name == "logistic"
    assert found.best.score == max(tried.score for tried in found.tried)


def test_a_model_is_measured_on_the_test_part(tmp_path: Path) -> None:
    found = _evaluated(spec_of(LOGISTIC), tmp_path, numbers(), "logistic")
    assert found.rows == 80
    assert found.score.low < found.score.value == found.metrics["accuracy"] < found.score.high
    assert sum(map(sum, found.confusion)) == 80
    assert [item.rows for item in found.by_class] == [sum(row) for row in found.confusion]
    assert set(found.metrics) == {
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "f1_weighted",
        "neg_log_loss",
        "roc_auc_ovr",
    }


def test_a_regression_has_no_classes(tmp_path: Path) -> None:
    spec = spec_of(RIDGE, label="price", task="regression", drop=["kind"])
    found = _evaluated(spec, tmp_path, mixed(), "ridge")
    assert (found.metric, found.classes, found.confusion) == ("r2", (), ())
    assert found.score.value > 0.8
    assert found.score.method.startswith("bootstrap")


def test_slices_follow_the_columns_of_words(tmp_path: Path) -> None:
    found = _evaluated(spec_of(LOGISTIC, drop=["price"]), tmp_path, mixed(480), "logistic")
    assert {item.column for item in found.slices} == {"city"}
    assert all(item.rows >= 20 for item in found.slices)


def test_a_class_that_only_the_test_part_has_is_counted_as_wrong(tmp_path: Path) -> None:
    table = numbers()
    table.loc[table.index[-3:], "kind"] = 9
    found = _evaluated(spec_of(LOGISTIC), tmp_path, table, "logistic")
    assert found.classes == (0, 1, 2, 9)
    assert found.by_class[3].recall == 0.0


def test_a_clearly_worse_model_is_stopped_by_the_champion(tmp_path: Path) -> None:
    shuffled = numbers(800)
    shuffled["kind"] = np.random.default_rng(1).permutation(shuffled["kind"])
    champion = _champion(spec_of(LOGISTIC), tmp_path / "champion", numbers(), "logistic")
    spec = spec_of(BAYES)
    trained(spec, tmp_path, shuffled, candidate="bayes")
    numbers(400, seed=5).to_parquet(tmp_path / "test.parquet")
    found = evaluate(spec, models=[tmp_path / "bayes"], test=tmp_path / "test.parquet", champion=champion)
    assert not found.decision.passed
    assert "worse than champion digits-v1" in found.decision.reason
    assert found.comparison is not None
    assert found.comparison.difference < -0.2


def test_the_same_model_again_passes(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC)
    champion = _champion(spec, tmp_path / "champion", numbers(), "logistic")
    found = _evaluated(spec, tmp_path, numbers(), "logistic", champion=champion)
    assert found.decision.passed
    assert "just as good as champion digits-v1" in found.decision.reason
    assert found.champion_score == found.score.value


def test_a_champion_with_other_features_is_not_comparable(tmp_path: Path) -> None:
    champion = _champion(spec_of(LOGISTIC), tmp_path / "champion", numbers().rename(columns={"c": "d"}), "logistic")
    found = _evaluated(spec_of(LOGISTIC), tmp_path, numbers(), "logistic", champion=champion)
    assert found.comparison is None
    assert found.incomparable == "it needs 1 columns that this table lacks or has in another type (d)"
    assert found.decision.passed


def test_a_champion_with_words_for_labels_is_not_comparable_with_numbers(tmp_path: Path) -> None:
    words = numbers().assign(kind=lambda table: table["kind"].map({0: "low", 1: "middle", 2: "high"}))
    champion = _champion(spec_of(LOGISTIC), tmp_path / "champion", words, "logistic")
    found = _evaluated(spec_of(LOGISTIC), tmp_path, numbers(), "logistic", champion=champion)
    assert "it answers BYTES, and the label is now of type int64" in found.incomparable


def test_a_champion_without_probabilities_is_not_compared_by_them(tmp_path: Path) -> None:
    machine = {"name": "machine", "estimator": "sklearn.svm.LinearSVC"}
    champion = _champion(spec_of(machine), tmp_path / "champion", numbers(), "machine")
    found = _evaluated(spec_of(LOGISTIC, metric="neg_log_loss"), tmp_path, numbers(), "logistic", champion=champion)
    assert "it gives no probabilities" in found.incomparable


def test_a_metric_that_a_model_cannot_have_fails_with_its_name(tmp_path: Path) -> None:
    machine = {"name": "machine", "estimator": "sklearn.svm.LinearSVC"}
    trained(spec_of(machine), tmp_path, numbers(), candidate="machine")
    with pytest.raises(Failed, match="neg_log_loss: this metric needs probabilities"):
        evaluate(
            spec_of(machine, metric="neg_log_loss"),
            models=[tmp_path / "machine"],
            test=tmp_path / "test.parquet",
            champion=None,
        )


def test_what_is_taken_carries_its_evaluation(tmp_path: Path) -> None:
    found = _evaluated(spec_of(LOGISTIC, gates={"minimum": 0.5}), tmp_path, numbers(), "logistic")
    take(found, to=tmp_path / "best")
    written = orjson.loads((tmp_path / "best" / "evaluation.json").read_bytes())
    assert written["score"]["value"] == found.score.value
    assert written["gate"] == {"passed": True, "reason": found.decision.reason, "enforced": True}
    assert artifact.read(tmp_path / "best") == artifact.read(tmp_path / "logistic")


def _find(kube: Objects, tmp_path: Path) -> Champion | None:
    return evaluate_champion.find(kube, "digits", namespace="default", scratch=tmp_path / "fetched")  # type: ignore[arg-type]


def test_an_endpoint_without_turnout_has_no_champion(tmp_path: Path) -> None:
    assert _find(Objects(), tmp_path) is None


def test_a_turnout_that_just_began_has_no_champion(tmp_path: Path) -> None:
    assert _find(Objects(turnout()), tmp_path) is None


def test_the_champion_is_fetched_from_where_it_is_served(tmp_path: Path) -> None:
    digest = trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes").digest
    stored = service("digits-v1", uri=(tmp_path / "bayes").as_uri(), digest=digest)
    found = _find(Objects(turnout(champion="digits-v1"), stored), tmp_path)
    assert found is not None
    assert found.model is not None
    assert (found.version, found.model.manifest.features) == ("digits-v1", ("a", "b", "c"))


def test_a_champion_whose_artifact_was_altered_stops_everything(tmp_path: Path) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    stored = service("digits-v1", uri=(tmp_path / "bayes").as_uri(), digest="sha256:other")
    with pytest.raises(ModelError, match="not the registered one"):
        _find(Objects(turnout(champion="digits-v1"), stored), tmp_path)


def test_a_champion_that_is_gone_is_not_comparable(tmp_path: Path) -> None:
    found = _find(Objects(turnout(champion="digits-v1")), tmp_path)
    assert found is not None
    assert (found.model, found.incomparable) == (None, "InferenceService default/digits-v1")
    evaluation = _evaluated(spec_of(LOGISTIC), tmp_path, numbers(), "logistic", champion=found)
    assert "not comparable with champion digits-v1" in evaluation.decision.reason
