"""`execute` against a running engine: the whole way to a challenger, and the ways it ends before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pandas as pd
import pytest

from tests.steps.learning import numbers
from turnout.embedded import lifecycle
from turnout.errors import SpecError, Unavailable
from turnout.kube import client
from turnout.runs import Progress, execute, get_run, list_runs
from turnout.runs.records import CANCELLED, FAILED, REFUSED, REUSED, SUCCEEDED, RunRecord

_SPEC = """
name: {name}
sources: [{{name: table, path: table.csv}}]
keys: [id]
label: kind
task: classification
split: {{method: stratified, test: 0.33, seed: 7}}
candidates:
  - {{name: bayes, estimator: sklearn.naive_bayes.GaussianNB}}
  - {{name: tree, estimator: sklearn.tree.DecisionTreeClassifier, grid: {{max_depth: [2, 3]}}}}
folds: 3
gates: {{minimum: {minimum}}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("engine") / "home"
    lifecycle.up(folder, gateway_port=0)
    yield folder
    lifecycle.down(folder)


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TURNOUT_HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(home / "kubeconfig"))
    return home


def _spec(folder: Path, *, name: str, minimum: float = 0.5, table: pd.DataFrame | None = None) -> Path:
    (numbers() if table is None else table).to_csv(folder / "table.csv", index=False)
    (folder / "model.yaml").write_text(_SPEC.format(name=name, minimum=minimum))
    return folder / "model.yaml"


@pytest.mark.e2e
def test_tables_become_a_challenger_that_answers(at_home: Path, tmp_path: Path) -> None:
    events: list[Progress] = []
    record = execute(_spec(tmp_path, name="whole"), progress=events.append)
    assert (record.state, record.version, record.failure) == (SUCCEEDED, "whole-v1", None)
    assert [step.name for step in record.steps if step.task != "train"] == [
        "ingest",
        "featurize",
        "evaluate",
        "register",
        "deploy",
    ]
    assert {event.step for event in events if event.state == SUCCEEDED} == {step.name for step in record.steps}
    assert "Passed the gate" in (record.report or Path()).read_text()
    kube = client.connect()
    annotations = kube.get("InferenceService", "whole-v1", namespace="default")["metadata"]["annotations"]
    assert (annotations["turnout.dev/run"], annotations["turnout.dev/snapshot"]) == (record.id, record.snapshot)
    assert kube.get("Turnout", "whole", namespace="default")["spec"]["challengers"] == ["whole-v1"]
    assert get_run(at_home, record.id) == record


@pytest.mark.e2e
def test_a_gate_that_refuses_keeps_the_model_from_every_request(at_home: Path, tmp_path: Path) -> None:
    record = execute(_spec(tmp_path, name="refused", minimum=1.0))
    assert (record.state, record.version) == (REFUSED, None)
    assert "is below the minimum 1" in record.outcome
    assert client.connect().list("InferenceService", labels={"turnout.dev/endpoint": "refused"}) == []


@pytest.mark.e2e
def test_a_gate_switched_off_is_kept_with_the_version(at_home: Path, tmp_path: Path) -> None:
    record = execute(_spec(tmp_path, name="ungated", minimum=1.0), gate=False)
    assert record.version == "ungated-v1"
    assert "the gate is switched off; it would have stopped this model" in record.outcome
    assert "enabled: false" in Path(record.folder, "spec.yaml").read_text()


@pytest.mark.e2e
def test_the_same_rows_at_a_new_path_are_not_learned_from_again(at_home: Path, tmp_path: Path) -> None:
    first = execute(_spec(tmp_path, name="here", minimum=1.0))
    (tmp_path / "there").mkdir()
    second = execute(_spec(tmp_path / "there", name="there", minimum=0.99))
    assert second.state == REFUSED
    assert second.snapshot == first.snapshot
    states = [(step.task, step.state) for step in second.steps]
    assert states[1:4] == [("featurize", REUSED), ("train", REUSED), ("train", REUSED)]
    assert states[0][1] == states[4][1] == SUCCEEDED


@pytest.mark.e2e
def test_a_step_that_fails_is_found_at_once(at_home: Path, tmp_path: Path) -> None:
    record = execute(_spec(tmp_path, name="broken", table=numbers().drop(columns="kind")))
    assert record.state == FAILED
    assert record.failure is not None
    step, sentence, log = record.failure
    assert step == "ingest"
    assert sentence.startswith("source table (")
    assert "label kind is missing" in sentence
    assert "Traceback" in log.read_text()


@pytest.mark.e2e
def test_a_spec_that_scikit_learn_does_not_know_leaves_nothing(at_home: Path, tmp_path: Path) -> None:
    spec = _spec(tmp_path, name="unknown")
    spec.write_text(spec.read_text().replace("GaussianNB", "GaussianNaive"))
    before = len(list_runs(at_home))
    with pytest.raises(SpecError, match=r"model\.yaml:9: candidates\[0\]\.estimator: .*GaussianNaive"):
        execute(spec)
    assert len(list_runs(at_home)) == before


def _begun(home: Path, *, model: str) -> RunRecord:
    """The run of a model, as soon as one of its steps runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [record for record in list_runs(home) if record.model == model and record.steps]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no step of {model} began")


@pytest.mark.e2e
def test_ctrl_c_cancels_a_run_and_the_command_says_where(at_home: Path, tmp_path: Path) -> None:
    words = [str(Path(sys.executable).parent / "turnout"), "run", str(_spec(tmp_path, name="interrupted"))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as command:
        begun = _begun(at_home, model="interrupted")
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate(timeout=60)
    found = get_run(at_home, begun.id)
    assert (command.returncode, found.state) == (1, CANCELLED)
    assert found.outcome.startswith("cancelled at ")
    assert f"run {found.id}: {found.outcome}" in said.replace("\n", " ")


def test_without_an_engine_nothing_is_left_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(_kubeconfig(tmp_path)))
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 does not answer.*; start it with `turnout up`"):
        execute(_spec(tmp_path, name="nowhere"))
    assert time.monotonic() - began < 2
    assert list_runs(tmp_path / "home") == []


def _kubeconfig(folder: Path) -> Path:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_bytes(orjson.dumps(content))
    return file
