"""The process of one run: KFP's local runner on the compiled pipeline, with the record kept up to date.

    python -m turnout.runs.driver FOLDER LOCK PIPELINE

A process of its own, because the runner replaces `print`, handlers and levels of whoever calls it, and because its
end, whatever its cause, then shows: the lock on the run's folder is gone. It ends with its parent.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import orjson

from turnout.runs import failures, records, watching
from turnout.runs.records import CANCELLED, FAILED, REFUSED, REUSED, RUNNING, SUCCEEDED, RunRecord, StepRecord
from turnout.runs.watching import StepLogs

__all__ = ["Recorder", "main"]

_CACHE = ".cache"


class Recorder:
    """Turns what is heard of steps into the record on disk and a line of JSON per event."""

    def __init__(self, record: RunRecord, *, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._record, self._tell = record, tell
        self._places: dict[int, int] = {}
        self._outputs: dict[int, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    @property
    def record(self) -> RunRecord:
        """As it is now."""
        return self._record

    def begins(self, key: int, task: str, log: Path) -> None:
        """A task is about to be executed."""
        step = StepRecord(task=task, log=str(log.relative_to(self._record.folder)), started_us=_now_us())
        with self._lock:
            self._places[key] = len(self._record.steps)
            self._save(steps=(*self._record.steps, step))

    def has_inputs(self, key: int, executor_input: Mapping[str, Any]) -> None:
        """The task's process runs and has said what it was given."""
        given = dict((executor_input.get("inputs") or {}).get("parameterValues") or {})
        # Every step has it, and it is in the run's folder once.
        given.pop("spec", None)
        self._outputs[key] = executor_input["outputs"]
        self._change(key, parameters=given, item=str(given.get("candidate", "")))

    def ended(self, key: int, *, succeeded: bool, log: Path) -> None:
        """The task's process ended."""
        if succeeded:
            outputs, artifacts = _results(self._outputs.get(key))
            self._change(key, state=SUCCEEDED, finished_us=_now_us(), outputs=outputs, artifacts=artifacts)
        else:
            error = failures.sentence(log.read_text(encoding="utf-8", errors="replace"))
            self._change(key, state=FAILED, finished_us=_now_us(), error=error)

    def reused(self, task: str, log: Path) -> None:
        """A task is not executed: the same was done before, and its results are taken."""
        now = _now_us()
        step = StepRecord(
            task=task, log=str(log.relative_to(self._record.folder)), state=REUSED, started_us=now, finished_us=now
        )
        with self._lock:
            self._save(steps=(*self._record.steps, step))
        self._tell({"step": step.name, "state": step.state, "seconds": step.seconds, "error": ""})

    def cancelled(self, why: str) -> None:
        """Somebody wants the run to end, now."""
        with self._lock:
            now = _now_us()
            steps = tuple(
                replace(step, state=CANCELLED, finished_us=now, error=why) if step.state == RUNNING else step
                for step in self._record.steps
            )
            self._save(state=CANCELLED, error=why, finished_us=now, steps=steps)

    def finish(self, *, state: str, error: str = "") -> None:
        """The run is over."""
        with self._lock:
            self._save(state=state, error=error, finished_us=_now_us())

    def _change(self, key: int, **changes: Any) -> None:
        with self._lock:
            steps = list(self._record.steps)
            place = self._places[key]
            steps[place] = replace(steps[place], **changes)
            self._save(steps=tuple(steps))
        step = steps[place]
        self._tell({"step": step.name, "state": step.state, "seconds": step.seconds, "error": step.error})

    def _save(self, **changes: Any) -> None:
        self._record = replace(self._record, **changes)
        records.write(self._record)


def run(recorder: Recorder, *, pipeline: Path, log: TextIO) -> None:
    """Execute the compiled pipeline with the parameters of the record and write how it ended."""
    folder = Path(recorder.record.folder)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    steps = StepLogs(logs, between=log, listener=recorder)
    root = logging.getLogger()
    root.addFilter(steps)
    # The runner restores the level that it found, in one thread while another still needs INFO.
    root.setLevel(logging.INFO)
    sys.stdout = steps
    error = ""
    try:
        spec = (folder / "spec.yaml").read_text(encoding="utf-8")
        _execute(pipeline, {**recorder.record.parameters, "spec": spec}, root=folder / "artifacts")
    except Exception as failed:  # noqa: BLE001 - the outermost caller: whatever it is, it belongs into the record
        # Of a failed task the runner says which; the step's own error is in the record already.
        log.write(traceback.format_exc())
        error = watching.without_colours(str(failed) or type(failed).__name__)
    steps.close_all()
    if not error and recorder.record.passed and not recorder.record.version:
        error = "the runner went no further although the gate let the model pass; see driver.log"
    recorder.finish(state=_state(recorder.record, error=error), error=error)


def _execute(pipeline: Path, arguments: Mapping[str, Any], *, root: Path) -> None:
    from kfp import components, local

    # It warns of every image whose name does not say "python".
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"kfp\.local\..*")
    # One for all runs of a home: what a step gave for the same content is taken again, also after a crash.
    cache = root.parents[1] / _CACHE
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(root), enable_caching=True, cache_root=str(cache)
    )
    components.load_component_from_file(str(pipeline))(**arguments)


def _state(record: RunRecord, *, error: str) -> str:
    if error or any(step.state == FAILED for step in record.steps):
        return FAILED
    return REFUSED if record.refused else SUCCEEDED


def _results(outputs: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Output parameters and artifacts: some are in the executor's report, some only in the files that it was told."""
    if outputs is None or not Path(outputs["outputFile"]).exists():
        return {}, {}
    content = orjson.loads(Path(outputs["outputFile"]).read_bytes())
    files = {name: Path(told["outputFile"]) for name, told in (outputs.get("parameters") or {}).items()}
    parameters = {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.exists()}
    artifacts = {
        name: {"uri": found["uri"], "metadata": _plain(found.get("metadata") or {})}
        for name, value in (content.get("artifacts") or {}).items()
        for found in value["artifacts"]
    }
    return {**parameters, **(content.get("parameterValues") or {})}, artifacts


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words; matrices are in the artifact's own folder."""
    return {name: value for name, value in metadata.items() if isinstance(value, int | float | str | bool)}


def _now_us() -> int:
    return time.time_ns() // 1_000


def _end_when_told(recorder: Recorder) -> None:
    """On SIGTERM, or without whoever started us, the run is cancelled.

    Not by a signal handler: Python runs those in the main thread, which waits for the runner's threads and may have
    begun to do so at that very moment; it would hear of the signal after the step.
    """
    told, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.detach())
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)

    def on_signal() -> None:
        while told.recv(1) != bytes([signal.SIGTERM]):
            pass
        _cancel(recorder, "somebody ended the run")

    def on_end_of_parent() -> None:
        # It holds the other end of our standard input, to its own end.
        while os.read(0, 1024):
            pass
        _cancel(recorder, "whoever started the run is gone")

    for wait in (on_signal, on_end_of_parent):
        threading.Thread(target=wait, daemon=True).start()


def _cancel(recorder: Recorder, why: str) -> None:
    """The record says so; then nothing of the run runs any more, the step neither."""
    recorder.cancelled(why)
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _guarded() -> Iterator[None]:
    """A shell beside us that ends the whole group when we are gone without a word, by kill -9 or for want of memory.

    Nobody else would: a step is a process of its own and would go on. It reads a pipe that we alone hold open.
    """
    guard = subprocess.Popen(
        ["/bin/sh", "-c", "read -r _ || kill -9 0"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert guard.stdin is not None
    yield
    guard.stdin.write(b"done\n")
    guard.stdin.close()
    guard.wait()


def main() -> int:
    """Entry point."""
    folder, lock, pipeline = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.set_inheritable(lock, False)
    if os.getpgrp() != os.getpid():
        # Whatever ends the run ends its steps, and nobody else.
        os.setpgid(0, 0)
    records.runs_as(folder, os.getpid())
    events = sys.stdout
    told = threading.Lock()

    def tell(event: Mapping[str, Any]) -> None:
        with told:
            events.write(orjson.dumps(event).decode() + "\n")
            events.flush()

    recorder = Recorder(records.read(folder), tell=tell)
    _end_when_told(recorder)
    with _guarded(), (folder / "driver.log").open("a", encoding="utf-8", buffering=1) as log:
        run(recorder, pipeline=pipeline, log=log)
    sys.stdout = events
    return 0


if __name__ == "__main__":
    sys.exit(main())
