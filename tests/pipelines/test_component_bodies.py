"""The bodies of the components, called in this process with artifacts as folders: what flows from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model

from components.deploy import deploy
from components.evaluate import evaluate
from components.featurize import featurize
from components.ingest import ingest
from components.register import register
from components.train import train
from tests.steps.learning import numbers
from tests.steps.objects import Objects
from turnout import results
from turnout.kube import client, discovery
from turnout.kube.discovery import Addresses
from turnout.steps import deploy as deploying
from turnout.steps import provenance

_SPEC = """
name: digits
sources: [{{name: table, path: {path}}}]
keys: [id]
label: kind
task: classification
split: {{method: stratified, test: 0.33, seed: 7}}
candidates:
  - {{name: bayes, estimator: sklearn.naive_bayes.GaussianNB}}
  - {{name: logistic, estimator: sklearn.linear_model.LogisticRegression}}
folds: 3
gates: {{minimum: {minimum}}}
"""


@dataclass(frozen=True)
class Flow:
    """A folder where every artifact has its place, and the spec."""

    folder: Path
    spec: str

    def new(self, kind: type[Any], name: str) -> Any:
        return kind(name=name, uri=str(self.folder / name), metadata={})


def _flow(folder: Path, *, minimum: float = 0.5) -> Flow:
    numbers().to_csv(folder / "table.csv", index=False)
    return Flow(folder, _SPEC.format(path=folder / "table.csv", minimum=minimum))


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Objects:
    objects = Objects()
    addresses = Addresses(
        gateway_url="http://127.0.0.1:9",
        domain="localhost",
        ledger_url="",
        ledger_token="",
        mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifacts_url=(tmp_path / "artifacts").as_uri(),
    )
    monkeypatch.setattr(client, "connect", lambda: objects)
    monkeypatch.setattr(discovery, "discover", lambda _: addresses)
    monkeypatch.setattr(discovery, "object_store", lambda _: {})
    return objects


def _trained(flow: Flow) -> tuple[Dataset, Dataset, list[Model]]:
    """Everything up to the candidates: snapshot, test part, models."""
    snapshot, quarantine = flow.new(Dataset, "snapshot"), flow.new(Dataset, "quarantine")
    train_part, test_part = flow.new(Dataset, "train"), flow.new(Dataset, "test")
    said = {name: flow.folder / name for name in ("plan", "code", "store")}
    made = ingest.python_func(flow.spec, "", "job-7", snapshot, quarantine, *map(str, said.values()))
    assert made.startswith("snap-")
    plan, code, store = (file.read_text() for file in said.values())
    assert snapshot.metadata["rows"] == 240
    notes = [flow.new(Artifact, name) for name in ("profile", "plan")]
    names = featurize.python_func(plan, made, store, code, train_part, test_part, *notes)
    assert names == ["bayes", "logistic"]
    assert train_part.metadata["rows"] + test_part.metadata["rows"] == 240
    models = []
    for name in names:
        model, metrics = flow.new(Model, name), flow.new(Metrics, f"{name}-metrics")
        train.python_func(name, notes[1], train_part, test_part, model, metrics)
        assert metrics.metadata["cv_score"] == model.metadata["cv_score"]
        models.append(model)
    return snapshot, test_part, models


def _evaluated(flow: Flow, test_part: Dataset, models: list[Model]) -> tuple[bool, Model, HTML, ClassificationMetrics]:
    best, report = flow.new(Model, "best"), flow.new(HTML, "report.html")
    metrics, confusion = flow.new(Metrics, "metrics"), flow.new(ClassificationMetrics, "confusion")
    passed = evaluate.python_func(
        flow.spec,
        "default",
        "",
        "job-7",
        models,
        test_part,
        flow.new(Artifact, "profile"),
        best,
        report,
        metrics,
        confusion,
        str(flow.folder / "reason"),
    )
    assert metrics.metadata["accuracy_low"] < metrics.metadata["accuracy"] < metrics.metadata["accuracy_high"]
    return passed, best, report, confusion


def test_tables_become_a_served_version(tmp_path: Path, kube: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = _flow(tmp_path)
    snapshot, test_part, models = _trained(flow)
    passed, best, report, confusion = _evaluated(flow, test_part, models)
    assert passed is True
    assert best.metadata["candidate"] == "logistic"
    assert len(confusion.metadata["confusionMatrix"]["rows"]) == 3
    version, digest, uri = register.python_func(flow.spec, "", "job-7", "c0ffee", "image:1", best, snapshot, report)
    assert (version, uri) == ("digits-v1", f"{(tmp_path / 'artifacts').as_uri()}/models/digits/v1")
    asked = []
    monkeypatch.setattr(deploying, "smoke_test", lambda name, **_: asked.append(name))
    deploy.python_func(flow.spec, version, digest, uri, "snap-1", "", "job-7", "c0ffee", "default", best, test_part)
    assert asked == ["digits-v1"]
    annotations = kube.get("InferenceService", "digits-v1")["metadata"]["annotations"]
    assert annotations["turnout.dev/run"] == "job-7"
    assert annotations["turnout.dev/digest"] == digest
    assert kube.get("Turnout", "digits")["spec"]["challengers"] == ["digits-v1"]
    store = (tmp_path / "artifacts").as_uri()
    left = {
        step: results.find(step, run="job-7", artifacts_url=store)
        for step in ("ingest", "train", "evaluate", "register")
    }
    assert left["ingest"]["outputs"]["Output"].startswith("snap-")
    assert left["register"]["outputs"] == {"version": version, "digest": digest, "uri": uri}
    assert left["evaluate"]["outputs"] == {"Output": True, "reason": (tmp_path / "reason").read_text()}
    assert left["evaluate"]["artifacts"]["best"]["metadata"] == best.metadata
    assert left["evaluate"]["artifacts"]["metrics"]["metadata"]["accuracy"] > 0.5
    assert left["train"] == {"outputs": {}, "artifacts": {}}
    results.fetch_report("job-7", artifacts_url=store, to=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == Path(report.path).read_bytes()


def test_a_gate_that_refuses_gives_its_reason(tmp_path: Path, kube: Objects) -> None:
    flow = _flow(tmp_path, minimum=1.0)
    _, test_part, models = _trained(flow)
    passed, best, report, _ = _evaluated(flow, test_part, models)
    assert passed is False
    assert "is below the minimum 1" in (tmp_path / "reason").read_text()
    assert "Stopped by the gate" in Path(report.path).read_text()
    assert orjson.loads(Path(best.path, "evaluation.json").read_bytes())["gate"]["passed"] is False
    assert kube.calls == []


def _keys(folder: Path, *, minimum: float = 0.5, rows: int = 240) -> tuple[str, ...]:
    """All that KFP's cache sees of featurize for a table in this folder."""
    folder.mkdir()
    flow = _flow(folder, minimum=minimum)
    numbers(rows).to_csv(folder / "table.csv", index=False)
    said = [folder / name for name in ("plan", "code", "store")]
    made = ingest.python_func(flow.spec, "a", "b", flow.new(Dataset, "s"), flow.new(Dataset, "q"), *map(str, said))
    return made, *(file.read_text() for file in said)


def test_the_cache_knows_content_and_not_where_it_lies(tmp_path: Path, kube: Objects) -> None:
    """The same bytes at a new path, or another gate, are a hit; changed bytes at the same path are a miss."""
    here = _keys(tmp_path / "here")
    assert _keys(tmp_path / "there", minimum=0.9) == here
    changed = _keys(tmp_path / "more", rows=241)
    assert changed[0] != here[0]
    assert changed[1:] == here[1:]


def test_other_code_is_another_key(tmp_path: Path, kube: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _keys(tmp_path / "before")
    other = replace(provenance.environment(), code="sha256:0")
    monkeypatch.setattr(provenance, "environment", lambda: other)
    after = _keys(tmp_path / "after")
    assert (after[0], after[1], after[3]) == (before[0], before[1], before[3])
    assert after[2] != before[2]
