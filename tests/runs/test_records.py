"""What a record says of a run, and where records are found."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs.toys import new_record
from turnout.errors import NotFound
from turnout.runs import get_run, list_runs, records
from turnout.runs.records import FAILED, GONE, REFUSED, SUCCEEDED, RunRecord, StepRecord

_INGEST = StepRecord(task="ingest", log="logs/01-ingest.log", state=SUCCEEDED, outputs={"Output": "snap-1"})
_BEST = {"metadata": {"candidate": "forest", "cv_score": 0.96, "test_score": 0.95}, "uri": "/best"}
_EVALUATE = StepRecord(
    task="evaluate",
    log="logs/04-evaluate.log",
    state=SUCCEEDED,
    outputs={"Output": True, "reason": "accuracy 0.95 reaches the minimum 0.8"},
    artifacts={"best": _BEST, "report": {"uri": "/report", "metadata": {}}},
)
_REGISTER = StepRecord(
    task="register",
    log="logs/05-register.log",
    state=SUCCEEDED,
    outputs={"version": "digits-v2", "digest": "sha256:ab"},
)
_BROKEN = StepRecord(task="train", item="bayes", log="logs/03-train.log", state=FAILED, error="one class only")


def _record(folder: Path, *steps: StepRecord, state: str = SUCCEEDED, **more: object) -> RunRecord:
    return replace(new_record(folder), state=state, finished_us=2_000_001, steps=steps, **more)  # type: ignore[arg-type]


def test_a_run_that_made_a_version_says_which(tmp_path: Path) -> None:
    record = _record(tmp_path, _INGEST, _EVALUATE, _REGISTER)
    assert record.outcome == "digits-v2 is a challenger of digits: accuracy 0.95 reaches the minimum 0.8"
    assert record.facts() == {
        "run": tmp_path.name,
        "version": "digits-v2",
        "snapshot": "snap-1",
        "candidate": "forest",
        "metric": "accuracy",
        "cv_score": 0.96,
        "test_score": 0.95,
        "gate": "accuracy 0.95 reaches the minimum 0.8",
        "digest": "sha256:ab",
        "seconds": 2.0,
        "report": "/report",
    }


def test_a_run_that_the_gate_stopped_says_why(tmp_path: Path) -> None:
    stopped = replace(_EVALUATE, outputs={"Output": False, "reason": "accuracy 0.7 is below the minimum 0.8"})
    record = _record(tmp_path, _INGEST, stopped, state=REFUSED)
    assert record.outcome == "the gate stopped it: accuracy 0.7 is below the minimum 0.8"
    assert (record.failure, record.version) == (None, None)


def test_a_failed_run_points_to_the_step_and_its_log(tmp_path: Path) -> None:
    record = _record(tmp_path, _INGEST, _BROKEN, state=FAILED)
    assert record.failure == ("train (bayes)", "one class only", tmp_path / "logs" / "03-train.log")
    assert record.outcome == "train (bayes) failed: one class only"


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    record = _record(tmp_path, _INGEST, _BROKEN, state=FAILED)
    records.write(record)
    assert records.read(tmp_path) == record
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_everything_is_there_as_data(tmp_path: Path) -> None:
    found = _record(tmp_path, _INGEST, _BROKEN, state=FAILED).as_dict()
    assert [(step["name"], step["state"], step["error"]) for step in found["steps"]] == [
        ("ingest", SUCCEEDED, ""),
        ("train (bayes)", FAILED, "one class only"),
    ]
    assert found["failure"][2].endswith("03-train.log")


def test_a_step_s_log_is_found_by_name_or_by_task(tmp_path: Path) -> None:
    record = _record(tmp_path, _INGEST, _BROKEN)
    assert record.log_of("train (bayes)") == record.log_of("train") == tmp_path / "logs" / "03-train.log"


def test_a_name_of_two_steps_or_none_lists_the_steps(tmp_path: Path) -> None:
    record = _record(tmp_path, _BROKEN, replace(_BROKEN, item="forest"))
    with pytest.raises(NotFound, match=r"has 2 steps named 'train'; its steps: train \(bayes\), train \(forest\)"):
        record.log_of("train")
    with pytest.raises(NotFound, match="has 0 steps named 'deploy'"):
        record.log_of("deploy")


def test_the_latest_run_comes_first(tmp_path: Path) -> None:
    for name, started_us in (("early", 1), ("late", 2)):
        records.write(_record(tmp_path / "runs" / name, started_us=started_us))
    assert [record.id for record in list_runs(tmp_path)] == ["late", "early"]
    assert get_run(tmp_path, "early").started_us == 1


@pytest.mark.parametrize("name", ["nothing", "../elsewhere", "", "."])
def test_a_run_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs").mkdir()
    records.write(_record(tmp_path / "elsewhere"))
    with pytest.raises(NotFound, match="no run"):
        get_run(tmp_path, name)


def test_a_home_without_runs_has_none(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []


def test_who_says_running_without_holding_the_lock_is_gone(tmp_path: Path) -> None:
    record = new_record(tmp_path / "runs" / "r")
    records.write(record)
    assert get_run(tmp_path, "r").state == GONE
    lock = records.hold(tmp_path / "runs" / "r")
    assert get_run(tmp_path, "r").state == record.state
    os.close(lock)
    assert get_run(tmp_path, "r").state == GONE
