"""A version: its number, its immutable folder, its tags; and what a repetition or a kill in the middle leaves."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from tests.steps.learning import BAYES, FOREST, numbers, spec_of, trained
from turnout import spec as specs
from turnout.errors import Conflict, DataError, ModelError, NotFound, TurnoutError, Unavailable
from turnout.spec import ModelSpec
from turnout.steps import artifact, keeping, provenance, snapshots
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
            lineage=Lineage(
                run=run, snapshot=self.folder / "snapshot", job=f"job-{run}", commit="c0ffee", image="image:1"
            ),
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
    table = pa.table({"id": [1, 2], "a": [1.0, 2.0], "kind": [0, 1]})
    sources = (snapshots.SourceFile("table", "/data/table.csv", "ab12", 240, 0),)
    snapshots.write(folder / "snapshot", table, keys=("id",), label="kind", sources=sources, quarantined=0)
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
        "snapshot": snapshots.read(shop.folder / "snapshot").id,
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
    assert files == {"report.html", "search.json", "evaluation.json", "unfitted.skops", "snapshot.json"}


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


def test_what_a_version_was_made_of_is_kept_beside_it(shop: Shop) -> None:
    made = shop.register("run-1", name="kept")
    origin = provenance.read("kept-v1", artifacts_url=shop.artifacts.as_uri())
    assert (origin.digest, origin.run, origin.job) == (made.digest, "run-1", "job-run-1")
    assert (origin.commit, origin.image) == ("c0ffee", "image:1")
    assert specs.loads(origin.spec, deep=False) == shop.spec("kept")
    assert origin.environment == provenance.environment()
    assert any(package.startswith("scikit-learn==") for package in origin.environment.packages)
    assert set(origin.steps["train"]) == {"bayes"}
    assert origin.steps["ingest"] == {"snapshot": origin.snapshot.digest}


def test_the_snapshot_is_kept_once_and_comes_back_as_it_was(shop: Shop, tmp_path: Path) -> None:
    for run in ("run-1", "run-2"):
        shop.register(run, name="snapped")
    origin = provenance.read("snapped-v2", artifacts_url=shop.artifacts.as_uri())
    found = keeping.fetch(
        origin.snapshot.id,
        digest=origin.snapshot.digest,
        artifacts_url=shop.artifacts.as_uri(),
        to=tmp_path / "back",
    )
    assert found == snapshots.read(tmp_path / "back") == origin.snapshot
    assert [folder.name for folder in (shop.artifacts / "snapshots").iterdir()] == [origin.snapshot.id]


def test_the_same_inputs_with_another_artifact_are_told(shop: Shop) -> None:
    shop.register("run-1", name="unlike")
    assert shop.register("run-2", name="unlike").mismatch == ""
    made = shop.register("run-3", name="unlike", best="other")
    assert made.mismatch == f"unlike-v1 has the same inputs and another artifact ({shop.digest})"
    assert shop.client.get_model_version("unlike", "3").tags["turnout.mismatch"] == made.mismatch
    assert provenance.read("unlike-v3", artifacts_url=shop.artifacts.as_uri()).mismatch == made.mismatch


def test_the_origin_of_a_version_is_never_rewritten(shop: Shop) -> None:
    shop.register("run-1", name="rewritten")
    origin = provenance.read("rewritten-v1", artifacts_url=shop.artifacts.as_uri())
    with pytest.raises(Conflict, match=r"rewritten-v1 has an origin already \(run run-1"):
        provenance.write(replace(origin, run="run-9"), artifacts_url=shop.artifacts.as_uri())


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, NotFound, "no pipeline registered it, so nobody knows what it was made of"),
        (b"{", DataError, "is no record of a version"),
        (b'{"format": 1}', DataError, "is no record of a version"),
    ],
)
def test_a_version_without_an_origin_is_named(
    tmp_path: Path, content: bytes | None, kind: type[TurnoutError], words: str
) -> None:
    if content is not None:
        (tmp_path / "provenance" / "digits").mkdir(parents=True)
        (tmp_path / "provenance" / "digits" / "v4.json").write_bytes(content)
    with pytest.raises(kind, match=words):
        provenance.read("digits-v4", artifacts_url=tmp_path.as_uri())


def test_a_kept_snapshot_that_is_gone_or_was_changed_is_named(shop: Shop, tmp_path: Path) -> None:
    snapshot = snapshots.read(shop.folder / "snapshot")
    asked = {"digest": snapshot.digest, "artifacts_url": tmp_path.as_uri(), "to": tmp_path / "back"}
    with pytest.raises(NotFound, match=rf"snapshot {snapshot.id} is not in the artifact store"):
        keeping.fetch(snapshot.id, **asked)
    keeping.keep(shop.folder / "snapshot", snapshot, artifacts_url=tmp_path.as_uri())
    with pytest.raises(DataError, match="wanted sha256:other"):
        keeping.fetch(snapshot.id, **{**asked, "digest": "sha256:other"})
    (part,) = (tmp_path / "parts").iterdir()
    pq.write_table(snapshots.read_table(shop.folder / "snapshot").slice(1), part)
    with pytest.raises(DataError, match="somebody changed its parts"):
        keeping.fetch(snapshot.id, **asked)
    part.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        keeping.fetch(snapshot.id, **asked)
    part.unlink()
    with pytest.raises(DataError, match=r"its part .* is gone"):
        keeping.fetch(snapshot.id, **asked)


def test_what_differs_between_two_environments_is_said_in_words() -> None:
    here = provenance.environment()
    there = replace(here, python="3.11.1", packages=("numpy==1.0", *here.packages[1:]))
    found = there.differences(here)
    assert found[0].startswith("Python 3.11.1 there, ")
    assert any(line.startswith("numpy 1.0 there, ") or "numpy" in line for line in found)
    assert here.differences(here) == []
