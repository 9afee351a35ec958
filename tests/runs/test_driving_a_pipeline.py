"""KFP's local runner, watched: steps, logs and results in the record, also of what fails or is killed."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Input, Output

from tests.runs.toys import compiled, component, driven, driving, new_record
from turnout.errors import Conflict
from turnout.runs import records
from turnout.runs.records import CANCELLED, FAILED, GONE, REFUSED, REUSED, RUNNING, SUCCEEDED


@component
def ingest(spec: str, table: Output[Artifact]) -> str:
    from pathlib import Path

    print("reading", spec.strip())
    Path(table.path).write_text("rows")
    table.metadata["rows"] = 3
    return "snap-1"


@component
def train(candidate: str) -> str:
    print(f"    indented, learning {candidate}")
    return candidate.upper()


@component
def evaluate(passed: bool) -> bool:
    print("judging")
    return passed


@component
def register(snapshot: str) -> dict:
    return {"snapshot": snapshot}


@component
def fail(kind: str):
    import os
    import signal

    from turnout.errors import DataError

    print("about to fail")
    if kind == "ours":
        raise DataError("column age, rule min: 3 rows are below 0")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("bad\nin two lines")


@component
def wait_for(file: str):
    import time
    from pathlib import Path

    while not Path(file).exists():
        time.sleep(0.01)


@dsl.pipeline(name="toy")
def whole(spec: str, namespace: str = "", commit: str = "", run: str = "") -> None:
    made = ingest(spec=spec)
    with dsl.ParallelFor(["forest", "bayes"]) as candidate:
        train(candidate=candidate)
    with dsl.If(evaluate(passed=True).output == True):  # noqa: E712 - KFP builds a condition from it
        register(snapshot=made.outputs["Output"])


@dsl.pipeline(name="toy")
def refused(spec: str, namespace: str = "", commit: str = "", run: str = "") -> None:
    with dsl.If(evaluate(passed=False).output == True):  # noqa: E712
        register(snapshot=spec)


def failing(kind: str) -> Any:
    @dsl.pipeline(name="toy")
    def pipeline(spec: str, namespace: str = "", commit: str = "", run: str = "") -> None:
        broken = fail(kind=kind)
        evaluate(passed=True).after(broken)

    return pipeline


def waiting(file: Path) -> Any:
    @dsl.pipeline(name="toy")
    def pipeline(spec: str, namespace: str = "", commit: str = "", run: str = "") -> None:
        wait_for(file=str(file))

    return pipeline


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[records.RunRecord, list[dict[str, Any]]]:
    return driven(whole, tmp_path_factory.mktemp("whole"))


def test_every_step_is_recorded_with_its_state_and_seconds(finished: Any) -> None:
    record, _ = finished
    assert sorted(step.name for step in record.steps) == [
        "evaluate",
        "ingest",
        "register",
        "train (bayes)",
        "train (forest)",
    ]
    assert {step.state for step in record.steps} == {SUCCEEDED}
    assert all(0 < (step.seconds or 0) < 20 for step in record.steps)


def test_a_step_s_parameters_and_results_are_recorded_without_the_spec(finished: Any) -> None:
    record, _ = finished
    ingested = next(step for step in record.steps if step.task == "ingest")
    assert (ingested.parameters, ingested.outputs) == ({}, {"Output": "snap-1"})
    assert ingested.artifacts["table"]["metadata"] == {"rows": 3}
    assert Path(ingested.artifacts["table"]["uri"]).read_text() == "rows"
    assert record.snapshot == "snap-1"


def test_every_step_has_a_log_of_its_own(finished: Any) -> None:
    record, _ = finished
    for candidate in ("forest", "bayes"):
        log = record.log_of(f"train ({candidate})").read_text()
        assert f"\n    indented, learning {candidate}\n" in log
        assert "judging" not in log
    assert "Got executor_input" not in record.log_of("ingest").read_text()
    assert "\nreading name: digits\n" in record.log_of("ingest").read_text()


def test_events_tell_when_a_step_begins_and_ends(finished: Any) -> None:
    _, events = finished
    assert [(event["state"], event["seconds"] is None) for event in events if event["step"] == "train (bayes)"] == [
        (RUNNING, True),
        (SUCCEEDED, False),
    ]


def test_the_runner_s_own_talk_stays_out_of_the_terminal(finished: Any) -> None:
    record, _ = finished
    talk = Path(record.folder, "driver.log").read_text()
    assert "finished with status" in talk
    assert "custom or non-Python base image" not in talk


def test_a_gate_that_lets_pass_and_a_runner_that_stops_are_a_failure(finished: Any) -> None:
    record, _ = finished
    assert record.passed
    assert (record.version, record.state) == (None, FAILED)
    assert "went no further although the gate let the model pass" in record.error


def test_a_run_that_the_gate_stopped_is_refused_not_failed(tmp_path: Path) -> None:
    record, _ = driven(refused, tmp_path)
    assert (record.state, record.failure) == (REFUSED, None)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("ours", "column age, rule min: 3 rows are below 0"),
        ("other", "ValueError: bad\nin two lines"),
        ("killed", "it ended without an exception (was it killed?); its last words: Killed"),
    ],
)
def test_a_failing_step_is_found_with_its_own_error_and_log(tmp_path: Path, kind: str, sentence: str) -> None:
    record, events = driven(failing(kind), tmp_path)
    assert record.state == FAILED
    assert record.failure is not None
    step, error, log = record.failure
    assert (step, error) == ("fail", sentence)
    assert "about to fail" in log.read_text()
    assert events[-1]["state"] == FAILED
    assert [step.name for step in record.steps] == ["fail"]


def test_a_runner_that_cannot_begin_is_a_failure_too(tmp_path: Path) -> None:
    record = new_record(tmp_path / "run-1")
    with driving(record, tmp_path / "missing.yaml") as process:
        process.wait(20)
    found = records.read(tmp_path / "run-1")
    assert found.failure is not None
    assert found.failure[0] == "run"
    assert "missing.yaml" in found.failure[1]


def _running(folder: Path) -> records.RunRecord:
    deadline = time.monotonic() + 20
    while True:
        found = records.read(folder)
        if any(step.parameters for step in found.steps):
            return found
        assert time.monotonic() < deadline, "the step did not begin"
        time.sleep(0.02)


def test_a_run_can_be_read_while_it_goes_on_and_says_when_its_process_is_gone(tmp_path: Path) -> None:
    record = new_record(tmp_path / "run-1")
    with driving(record, compiled(waiting(tmp_path / "never"), tmp_path)) as process:
        found = _running(tmp_path / "run-1")
        assert (found.state, found.steps[0].state, found.seconds) == (RUNNING, RUNNING, None)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    found = records.read(tmp_path / "run-1")
    assert (found.state, found.steps[0].state) == (GONE, GONE)
    assert found.failure is not None
    assert found.failure[0] == "wait-for"


def test_a_run_ends_with_whoever_started_it(tmp_path: Path) -> None:
    record = new_record(tmp_path / "run-1")
    with driving(record, compiled(waiting(tmp_path / "never"), tmp_path)) as process:
        _running(tmp_path / "run-1")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == -signal.SIGKILL
    found = records.read(tmp_path / "run-1")
    assert (found.state, found.outcome) == (CANCELLED, "cancelled at wait-for: whoever started the run is gone")


def test_a_step_ends_with_its_run_s_process_however_that_ends(tmp_path: Path) -> None:
    never = tmp_path / "never"
    record = new_record(tmp_path / "run-1")
    with driving(record, compiled(waiting(never), tmp_path)) as process:
        _running(tmp_path / "run-1")
        assert _alive(str(never))
        process.kill()
        process.wait(20)
        deadline = time.monotonic() + 60
        while _alive(str(never)):
            assert time.monotonic() < deadline, "the step goes on without its run"
            time.sleep(0.02)
    assert records.read(tmp_path / "run-1").state == GONE


def _alive(marker: str) -> bool:
    """Whether a process of this machine has a word among its arguments."""
    files = Path("/proc").glob("[0-9]*/cmdline")
    return any(marker in _arguments(file) for file in files)


def _arguments(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def test_a_cancelled_run_says_so_and_its_step_is_gone(tmp_path: Path) -> None:
    never = tmp_path / "runs" / "never"
    record = new_record(tmp_path / "runs" / "run-1")
    with driving(record, compiled(waiting(never), tmp_path)) as process:
        _running(tmp_path / "runs" / "run-1")
        assert _alive(str(never))
        records.cancel(tmp_path, "run-1")
        process.wait(60)
    found = records.read(tmp_path / "runs" / "run-1")
    assert (found.state, [step.state for step in found.steps]) == (CANCELLED, [CANCELLED])
    assert found.outcome == "cancelled at wait-for: somebody ended the run"
    assert found.seconds is not None
    assert not _alive(str(never))
    with pytest.raises(Conflict, match="run run-1 cannot be cancelled: it is Cancelled"):
        records.cancel(tmp_path, "run-1")


def test_two_runs_at_once_mix_nothing(tmp_path: Path) -> None:
    pipeline = compiled(meeting, tmp_path)
    with ExitStack() as stack:
        found = []
        for run, other in (("run-1", "run-2"), ("run-2", "run-1")):
            given = {"me": run, "other": other, "place": str(tmp_path)}
            record = new_record(tmp_path / run, parameters=given)
            found.append((record, stack.enter_context(driving(record, pipeline))))
        for _, process in found:
            assert process.stdout is not None
            process.stdout.read()
            process.wait(60)
    for record, _ in found:
        run = records.read(Path(record.folder))
        assert [(step.task, step.state) for step in run.steps] == [("meet", SUCCEEDED), ("read-again", SUCCEEDED)]
        table = Path(run.steps[0].artifacts["table"]["uri"])
        assert table.is_relative_to(record.folder)
        assert (table.read_text(), run.steps[1].outputs["Output"]) == (f"of {run.id}", f"of {run.id}")


@component
def prepare(content: str, marker: str) -> str:
    from pathlib import Path

    with Path(marker).open("a") as file:
        file.write("prepared\n")
    return content.upper()


@component
def die_once(content: str, marker: str):
    import os
    import signal
    from pathlib import Path

    if "died" not in Path(marker).read_text():
        with Path(marker).open("a") as file:
            file.write("died\n")
        os.kill(os.getpid(), signal.SIGKILL)


@component
def meet(me: str, other: str, place: str, table: Output[Artifact]):
    import time
    from pathlib import Path

    # Each waits for the other: their steps run at the same time.
    Path(place, f"{me}.here").touch()
    while not Path(place, f"{other}.here").exists():
        time.sleep(0.01)
    Path(table.path).write_text(f"of {me}")


@component
def read_again(table: Input[Artifact]) -> str:
    from pathlib import Path

    return Path(table.path).read_text()


@dsl.pipeline(name="meeting")
def meeting(spec: str, me: str, other: str, place: str) -> None:
    read_again(table=meet(me=me, other=other, place=place).outputs["table"])


@dsl.pipeline(name="dying")
def dying(spec: str, marker: str, content: str) -> None:
    prepared = prepare(content=content, marker=marker)
    die_once(content=prepared.output, marker=marker).set_caching_options(False)


def test_a_run_after_a_crash_takes_what_was_finished_before(tmp_path: Path) -> None:
    marker, pipeline = tmp_path / "marker", compiled(dying, tmp_path)
    states = []
    for run, content in (("run-1", "a"), ("run-2", "a"), ("run-3", "b")):
        record = new_record(tmp_path / run, parameters={"marker": str(marker), "content": content})
        with driving(record, pipeline) as process:
            assert process.stdout is not None
            process.stdout.read()
            process.wait(20)
        states.append([(step.task, step.state) for step in records.read(tmp_path / run).steps])
    assert states == [
        [("prepare", SUCCEEDED), ("die-once", FAILED)],
        [("prepare", REUSED), ("die-once", SUCCEEDED)],
        [("prepare", SUCCEEDED), ("die-once", SUCCEEDED)],
    ]
    assert "cache hit" in records.read(tmp_path / "run-2").log_of("prepare").read_text()
    assert marker.read_text() == "prepared\ndied\nprepared\n"
