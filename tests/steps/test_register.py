"""A version: its number, its immutable folder, its tags; and what a repetition or a kill in the middle leaves."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from mlflow import MlflowClient

from tests.steps.learning import BAYES, FOREST, numbers, spec_of, trained
from turnout.errors import Conflict, ModelError, Unavailable
from turnout.spec import ModelSpec
from turnout.steps import artifact, snapshots
from turnout.steps.evaluate import evaluate, take
from turnout.steps.evaluate_report import render
from turnout.steps.register import Lineage, Registered, register


@dataclass(frozen=True)
class Shop:
    """A chosen model, and where versions of it go; shared, because MLflow's tables take two seconds to make."""

    folder: Path
    mlflow_uri: str
    artifacts: Path
    digest: str

    def register(self, run: str, *, name: str, best: str = "best", **more: Any) -> Registered:
        """Register the chosen model under another name, so that tests do not meet."""
        return register(
            self.spec(name),
            best=self.folder / best,
            report=self.folder / "report",
            lineage=Lineage(run=run, snapshot=self.folder / "snapshot", commit="c0ffee"),
            mlflow_uri=more.get("mlflow_uri", self.mlflow_uri),
            artifacts_url=self.artifacts.as_uri(),
        )

    @staticmethod
    def spec(name: str) -> ModelSpec:
        return spec_of(FOREST, BAYES).model_copy(update={"name": name})

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.mlflow_uri, registry_uri=self.mlflow_uri)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    spec = spec_of(FOREST, BAYES)
    for name in ("forest", "bayes"):
        trained(spec, folder, numbers(), candidate=name)
    for name, best in (("bayes", "best"), ("forest", "other")):
        found = evaluate(spec, models=[folder / name], test=folder / "test.parquet", champion=None)
        take(found, to=folder / best)
    (folder / "report").write_text(render(found, spec=spec))
    snapshot = snapshots.Snapshot(
        id="snap-1",
        digest="sha256:1",
        rows=240,
        columns={"a": "float"},
        keys=("id",),
        label="kind",
        sources=(snapshots.SourceFile("table", "/data/table.csv", "ab12", 240, 0),),
        quarantined=0,
    )
    (folder / "snapshot").mkdir()
    (folder / "snapshot" / "snapshot.json").write_bytes(orjson.dumps(snapshot))
    digest = artifact.digest(folder / "best" / "model.json")
    return Shop(folder, f"sqlite:///{folder}/mlflow.db", folder / "artifacts", digest)


def test_a_version_has_a_number_a_folder_and_the_digest_of_its_manifest(shop: Shop) -> None:
    made = shop.register("run-1", name="first")
    assert made == Registered("first-v1", shop.digest, f"{shop.artifacts.as_uri()}/models/first/v1")
    stored = shop.artifacts / "models" / "first" / "v1"
    assert sorted(file.name for file in stored.iterdir()) == ["model.json", "model.onnx", "model.skops"]
    assert artifact.read(stored, expected=shop.digest).features == ("a", "b", "c")


def test_everything_that_trace_needs_is_in_the_tags(shop: Shop) -> None:
    shop.register("run-1", name="tagged")
    version = shop.client.get_model_version("tagged", "1")
    assert {name: version.tags[f"turnout.{name}"] for name in ("run", "snapshot", "commit", "digest", "gate")} == {
        "run": "run-1",
        "snapshot": "snap-1",
        "commit": "c0ffee",
        "digest": shop.digest,
        "gate": "passed",
    }
    assert orjson.loads(version.tags["turnout.sources"]) == [
        {"name": "table", "path": "/data/table.csv", "sha256": "ab12", "rows": 240}
    ]
    assert version.source == version.tags["turnout.uri"] == f"{shop.artifacts.as_uri()}/models/tagged/v1"
    assert shop.client.get_model_version_by_alias("tagged", "challenger").version == version.version


def test_parameters_metrics_and_files_are_in_the_run(shop: Shop) -> None:
    shop.register("run-1", name="logged", best="other")
    version = shop.client.get_model_version("logged", "1")
    run = shop.client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "sklearn.ensemble.RandomForestClassifier"
    assert run.data.params["model.max_depth"] in ("2", "4")
    assert 0 < run.data.metrics["test_low"] < run.data.metrics["test_accuracy"] < run.data.metrics["test_high"] <= 1
    files = {file.path for file in shop.client.list_artifacts(version.run_id)}
    assert files == {"report", "search.json", "evaluation.json", "snapshot.json"}


def test_the_same_run_registers_once(shop: Shop) -> None:
    first, second = (shop.register("run-1", name="once") for _ in range(2))
    assert first == second
    assert len(shop.client.search_model_versions("name = 'once'")) == 1


def test_another_run_makes_another_version_of_the_same_model(shop: Shop) -> None:
    first, second = (shop.register(run, name="twice") for run in ("run-1", "run-2"))
    assert (first.version, second.version) == ("twice-v1", "twice-v2")
    assert first.digest == second.digest


def test_a_registration_killed_before_the_upload_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("turnout.steps.register._upload", _killed)
        with pytest.raises(KeyboardInterrupt):
            shop.register("run-1", name="killed")
    assert shop.register("run-1", name="killed").version == "killed-v1"
    assert (shop.artifacts / "models" / "killed" / "v1" / "model.json").exists()
    assert len(shop.client.search_model_versions("name = 'killed'")) == 1


def _killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_upload_that_broke_off_is_done_again(shop: Shop) -> None:
    shop.register("run-1", name="broken")
    stored = shop.artifacts / "models" / "broken" / "v1"
    (stored / "model.onnx").unlink()
    shop.register("run-1", name="broken")
    assert artifact.read(stored).features == ("a", "b", "c")


def test_the_folder_of_a_version_never_gets_another_model(shop: Shop) -> None:
    shutil.copytree(shop.folder / "other", shop.artifacts / "models" / "immutable" / "v1")
    with pytest.raises(Conflict, match=r"models/immutable/v1 holds another model .*: was MLflow's database replaced"):
        shop.register("run-1", name="immutable")


def test_a_version_that_was_deleted_never_comes_back(shop: Shop) -> None:
    shop.register("run-1", name="deleted")
    shop.client.delete_model_version("deleted", "1")
    made = shop.register("run-2", name="deleted")
    assert made.version == "deleted-v3"
    assert [version.source for version in shop.client.search_model_versions("name = 'deleted'")] == [made.uri]


def test_a_model_altered_after_evaluation_is_not_registered(shop: Shop, tmp_path: Path) -> None:
    take(
        evaluate(shop.spec("x"), models=[shop.folder / "bayes"], test=shop.folder / "test.parquet", champion=None),
        to=tmp_path / "best",
    )
    (tmp_path / "best" / "model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.onnx was altered"):
        shop.register("run-1", name="altered", best=str(tmp_path / "best"))


def test_an_mlflow_server_that_does_not_answer_is_named_without_its_password(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unavailable, match=r"MLflow at http://127\.0\.0\.1") as caught:
        shop.register("run-1", name="away", mlflow_uri="http://somebody:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)
