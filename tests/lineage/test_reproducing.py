"""A version made again by the compiled pipeline, and what is said when it is not the same any more."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.steps.learning import BAYES, numbers
from tests.steps.tables import take as make_snapshot
from turnout import runs
from turnout import spec as specs
from turnout.cli.app import app
from turnout.errors import DataError, ModelError, NotFound
from turnout.lineage import reproducing
from turnout.lineage.reproducing import Reproduction
from turnout.runs import RunRecord
from turnout.spec import ModelSpec
from turnout.steps import provenance
from turnout.steps.evaluate import evaluate, take
from turnout.steps.featurize import featurize
from turnout.steps.provenance import Provenance
from turnout.steps.register import Lineage, register
from turnout.steps.train import train

TREE = {"name": "tree", "estimator": "sklearn.tree.DecisionTreeClassifier", "grid": {"max_depth": [2, 4]}}


@dataclass(frozen=True)
class Shop:
    """A registered version, and one run that made it again."""

    artifacts_url: str
    origin: Provenance
    record: RunRecord
    scratch: Path

    def compared(self, **changed: Any) -> Reproduction:
        """The comparison, had this been written down."""
        origin = replace(self.origin, **changed)
        return reproducing.compare(origin, self.record, artifacts_url=self.artifacts_url, scratch=self.scratch)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    artifacts_url = (folder / "artifacts").as_uri()
    version = _registered(_spec(folder), folder, artifacts_url)
    origin = provenance.read(version, artifacts_url=artifacts_url)
    record = runs.execute_again(
        specs.loads(origin.spec, deep=False),
        home=folder / "home",
        parameters={
            "snapshot": origin.snapshot.id,
            "digest": origin.snapshot.digest,
            "artifacts_url": artifacts_url,
        },
    )
    assert record.failure is None, record.failure
    return Shop(artifacts_url, origin, record, folder / "home")


def _spec(folder: Path) -> ModelSpec:
    numbers().to_csv(folder / "table.csv", index=False)
    return ModelSpec.model_validate(
        {
            "name": "digits",
            "sources": [{"name": "table", "path": str(folder / "table.csv")}],
            "keys": ["id"],
            "label": "kind",
            "task": "classification",
            "folds": 3,
            "candidates": [TREE, BAYES],
        }
    )


def _registered(spec: ModelSpec, folder: Path, artifacts_url: str) -> str:
    """A version made by the same functions as the components call, in this process."""
    make_snapshot(folder, spec)
    made = {name: folder / f"{name}.parquet" for name in ("train", "test")}
    featurize(spec, snapshot=folder / "snapshot", profile=folder / "profile", **made)
    for candidate in spec.candidates:
        train(spec, candidate=candidate.name, **made, out=folder / candidate.name)
    models = [folder / candidate.name for candidate in spec.candidates]
    take(evaluate(spec, models=models, test=made["test"], champion=None), to=folder / "best")
    (folder / "report").write_text("report")
    return register(
        spec,
        best=folder / "best",
        report=folder / "report",
        lineage=Lineage(run="run-1", snapshot=folder / "snapshot"),
        mlflow_uri=f"sqlite:///{folder}/mlflow.db",
        artifacts_url=artifacts_url,
    ).version


def test_the_pipeline_in_processes_of_its_own_makes_the_same_bytes(shop: Shop) -> None:
    found = shop.compared()
    assert found.is_same, found.first_difference
    assert found.digest == found.found == shop.origin.digest
    assert (found.rows, found.different, found.largest_difference) == (61, 0, 0.0)
    assert [compared.step for compared in found.steps] == [
        "ingest",
        "featurize",
        "featurize",
        "train (tree)",
        "train (tree)",
        "train (bayes)",
        "train (bayes)",
        "evaluate",
        "register",
    ]
    assert found.notes == ()


def test_nothing_but_the_scratch_home_was_written(shop: Shop) -> None:
    assert Path(shop.record.folder).is_relative_to(shop.scratch)
    assert {step.task for step in shop.record.steps} == {"restore", "featurize", "train"}
    assert (shop.record.state, shop.record.version) == ("Succeeded", None)


def _other(*path: str, to: Any) -> Callable[[Provenance], dict[str, Any]]:
    def changed(origin: Provenance) -> dict[str, Any]:
        steps = json.loads(json.dumps(origin.steps))
        place = steps
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = to
        return {"steps": steps}

    return changed


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (_other("featurize", "test", to="sha256:other"), ("featurize", "test part")),
        (_other("train", "bayes", "score", to=0.5), ("train (bayes)", "score")),
        (_other("train", "tree", "digest", to="sha256:other"), ("train (tree)", "artifact")),
        (_other("evaluate", "candidate", to="forest"), ("evaluate", "chosen candidate")),
        (lambda origin: {"snapshot": replace(origin.snapshot, digest="sha256:other")}, ("ingest", "snapshot")),
    ],
)
def test_the_first_step_that_gave_something_else_is_named(
    shop: Shop, change: Callable[[Provenance], dict[str, Any]], first: tuple[str, str]
) -> None:
    found = shop.compared(**change(shop.origin))
    assert not found.is_same
    assert found.first_difference is not None
    assert (found.first_difference.step, found.first_difference.what) == first
    assert found.as_dict()["first_difference"] == first[0]


def test_what_is_otherwise_on_this_machine_is_said(shop: Shop) -> None:
    there = replace(shop.origin.environment, python="3.9.1")
    assert shop.compared(environment=there).notes[0].startswith("Python 3.9.1 there, ")


def test_an_artifact_that_was_altered_or_is_gone_is_named(shop: Shop) -> None:
    with pytest.raises(ModelError, match="digits-v1: what is stored is not what was registered"):
        shop.compared(digest="sha256:other")
    with pytest.raises(NotFound, match="digits-v7: its artifact is gone"):
        shop.compared(version="digits-v7")


@pytest.fixture
def store(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A person who knows where the artifacts are, and no engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TURNOUT_ARTIFACTS_URL", shop.artifacts_url)
    return tmp_path


def test_the_command_prints_the_steps_and_what_failed(shop: Shop, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same, other = shop.compared(), shop.compared(**_other("train", "bayes", "digest", to="sha256:other")(shop.origin))
    for found, code in ((same, 0), (other, 1)):
        monkeypatch.setattr(reproducing, "reproduce", lambda *_, answer=found, **__: answer)
        done = CliRunner().invoke(app, ["reproduce", "digits-v1"])
        assert done.exit_code == code, done.output
        assert "train (bayes)" in done.stdout
    assert "could not be reproduced; the first difference is in train (bayes): its artifact" in done.stderr
    listed = CliRunner().invoke(app, ["reproduce", "digits-v1", "--json"])
    assert (listed.exit_code, json.loads(listed.stdout)["same"]) == (1, False)


@pytest.mark.parametrize(
    ("words", "problem", "code"),
    [
        (["digits-v9"], "digits-v9: no pipeline registered it", 1),
        (["digits-v1", "--keep", "."], ". exists already", 2),
    ],
)
def test_what_cannot_be_made_again_says_why(store: Path, words: list[str], problem: str, code: int) -> None:
    done = CliRunner().invoke(app, ["reproduce", *words])
    assert done.exit_code == code
    assert problem in done.stderr


def test_without_an_engine_or_a_setting_the_way_to_start_one_is_named(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TURNOUT_ARTIFACTS_URL")
    done = CliRunner().invoke(app, ["reproduce", "digits-v1"])
    assert done.exit_code == 1
    assert "turnout up" in done.stderr


def test_a_snapshot_that_is_gone_stops_at_the_first_step(shop: Shop, tmp_path: Path) -> None:
    moved = tmp_path.as_uri()
    provenance.write(shop.origin, artifacts_url=moved)
    with pytest.raises(NotFound, match=rf"digits-v1: its snapshot {shop.origin.snapshot.id} is not in the"):
        reproducing.reproduce("digits-v1", artifacts_url=moved, home=tmp_path / "home")
    (tmp_path / "provenance" / "digits" / "v1.json").write_text("{}")
    with pytest.raises(DataError, match="is no record of a version"):
        reproducing.reproduce("digits-v1", artifacts_url=moved, home=tmp_path / "home")
