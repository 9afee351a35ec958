"""The record of a run: one JSON file in the run's folder, replaced as a whole whenever something happens.

It can be read at any time, also while the run goes on. A run's process holds a lock on its folder as long as it
lives, so a record that says Running without a holder is a run whose process is gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from turnout.errors import Conflict, NotFound

__all__ = [
    "CANCELLED",
    "FAILED",
    "GONE",
    "REFUSED",
    "REUSED",
    "RUNNING",
    "SUCCEEDED",
    "RunRecord",
    "StepRecord",
    "cancel",
    "get_run",
    "hold",
    "is_held",
    "list_runs",
    "runs_as",
    "write",
]

RUNNING, SUCCEEDED, REFUSED, FAILED = "Running", "Succeeded", "Refused", "Failed"
GONE = "Failed (process gone)"
CANCELLED = "Cancelled"
REUSED = "Reused"
"""Of a step: its results are those of an earlier run, which did the same with the same."""
_FILE, _LOCK, _PROCESS, _RUNS = "record.json", "lock", "process", "runs"


@dataclass(frozen=True)
class StepRecord:
    """One executed task. `item` is the candidate in a loop over candidates; times are microseconds since 1970."""

    task: str
    log: str
    state: str = RUNNING
    item: str = ""
    started_us: int = 0
    finished_us: int | None = None
    error: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`train (forest)`, or just the task where there is one of it."""
        return f"{self.task} ({self.item})" if self.item else self.task

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.finished_us is None else (self.finished_us - self.started_us) / 1e6


@dataclass(frozen=True)
class RunRecord:
    """One run of the pipeline, and what came out of it."""

    id: str
    folder: str
    model: str
    metric: str
    started_us: int
    state: str = RUNNING
    finished_us: int | None = None
    error: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs or when nobody saw its end."""
        return None if self.finished_us is None else (self.finished_us - self.started_us) / 1e6

    @property
    def version(self) -> str | None:
        """The version that it made, if it came that far."""
        found = self._output("register", "version")
        return str(found) if found else None

    @property
    def passed(self) -> bool:
        """Whether the gate let the model pass."""
        return self._output("evaluate", "Output") is True

    @property
    def refused(self) -> bool:
        """Whether the gate stopped the model; a pipeline without a gate refuses nothing."""
        return not self.passed and any(step.task == "evaluate" for step in self.steps)

    @property
    def snapshot(self) -> str:
        """Id of the snapshot that it learned from."""
        return str(self._output("ingest", "Output") or "")

    @property
    def report(self) -> Path | None:
        """The evaluation's page."""
        found = self._artifact("evaluate", "report")
        return Path(found["uri"]) if found else None

    @property
    def failure(self) -> tuple[str, str, Path] | None:
        """The step that failed, why, and its log; None when nothing failed."""
        if self.state not in (FAILED, GONE, CANCELLED):
            return None
        step = next((step for step in self.steps if step.state in (FAILED, GONE, CANCELLED)), None)
        if step is None:
            return "run", self.error or self.state, Path(self.folder, "driver.log")
        return step.name, step.error or self.error or step.state, Path(self.folder, step.log)

    @property
    def outcome(self) -> str:
        """The run in one sentence."""
        if self.failure is not None:
            step, error, _ = self.failure
            return f"cancelled at {step}: {error}" if self.state == CANCELLED else f"{step} failed: {error}"
        reason = self._output("evaluate", "reason")
        if self.state == REFUSED:
            return f"the gate stopped it: {reason}"
        return f"{self.version} is a challenger of {self.model}: {reason}" if self.version else self.state.lower()

    def log_of(self, step: str) -> Path:
        """The log of a step, by its name or, where that names one step only, by its task.

        Raises:
            NotFound: the run has no such step.
        """
        found = [s for s in self.steps if s.name == step] or [s for s in self.steps if s.task == step]
        if len(found) != 1:
            names = ", ".join(s.name for s in self.steps) or "none yet"
            raise NotFound(f"run {self.id} has {len(found)} steps named {step!r}; its steps: {names}")
        return Path(self.folder, found[0].log)

    def facts(self) -> dict[str, Any]:
        """The run's result as one row of a table of versions."""
        best = (self._artifact("evaluate", "best") or {}).get("metadata", {})
        return {
            "run": self.id,
            "version": self.version,
            "snapshot": self.snapshot,
            "candidate": best.get("candidate", ""),
            "metric": self.metric,
            "cv_score": best.get("cv_score"),
            "test_score": best.get("test_score"),
            "gate": self._output("evaluate", "reason") or "",
            "digest": self._output("register", "digest") or "",
            "seconds": self.seconds or 0.0,
            "report": str(self.report or ""),
        }

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, with everything that is derived."""
        failure = self.failure
        return {
            **asdict(self),
            "seconds": self.seconds,
            "version": self.version,
            "outcome": self.outcome,
            "report": str(self.report or ""),
            "failure": [str(part) for part in failure] if failure else None,
            "steps": [{**asdict(step), "name": step.name, "seconds": step.seconds} for step in self.steps],
        }

    def _output(self, task: str, name: str) -> Any:
        return next((step.outputs.get(name) for step in self.steps if step.task == task), None)

    def _artifact(self, task: str, name: str) -> Mapping[str, Any] | None:
        return next((step.artifacts.get(name) for step in self.steps if step.task == task), None)


def write(record: RunRecord) -> None:
    """Replace the record on disk."""
    file = Path(record.folder, _FILE)
    aside = file.with_name(f".{_FILE}.{os.getpid()}")
    aside.write_bytes(orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2))
    aside.replace(file)


def runs_as(folder: Path, process: int) -> None:
    """Write down which process runs a run."""
    (folder / _PROCESS).write_text(f"{process}\n", encoding="ascii")


def cancel(home: Path, run_id: str) -> None:
    """Ask the process of a run to end; it writes down that it was cancelled, and the step that it was at.

    Raises:
        NotFound: there is no run of this id.
        Conflict: nobody runs it.
    """
    folder = Path(get_run(home, run_id).folder)
    file = folder / _PROCESS
    # Whoever holds the lock is that process: its number cannot be another's meanwhile.
    if not is_held(folder) or not file.exists():
        raise Conflict(f"run {run_id} cannot be cancelled: it is {get_run(home, run_id).state}")
    os.kill(int(file.read_text(encoding="ascii")), signal.SIGTERM)


def hold(folder: Path) -> int:
    """Take the run's lock and return its file descriptor: whoever has it open is the run's process."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    # Nobody else wants it for longer than it takes to look.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def read(folder: Path) -> RunRecord:
    """The record in a run's folder, Running only if somebody runs it.

    Raises:
        NotFound: there is none.
    """
    held = is_held(folder)
    try:
        content = orjson.loads((folder / _FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{folder} holds no run") from error
    steps = tuple(StepRecord(**step) for step in content.pop("steps"))
    record = RunRecord(**{**content, "steps": steps})
    return record if held or record.state != RUNNING else _gone(record)


def get_run(home: Path, run_id: str) -> RunRecord:
    """One run of a home.

    Raises:
        NotFound: there is no run of this id.
    """
    folder = home / _RUNS / run_id
    if folder.parent != home / _RUNS or not (folder / _FILE).is_file():
        raise NotFound(f"no run {run_id!r} in {home / _RUNS}")
    return read(folder)


def list_runs(home: Path) -> list[RunRecord]:
    """All runs of a home, the latest first."""
    found = [read(file.parent) for file in (home / _RUNS).glob(f"*/{_FILE}")]
    return sorted(found, key=lambda record: -record.started_us)


def is_held(folder: Path) -> bool:
    """Whether the run's process lives. Asked before the record is read: who ends meanwhile has written its end."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _gone(record: RunRecord) -> RunRecord:
    steps = tuple(replace(step, state=GONE) if step.state == RUNNING else step for step in record.steps)
    return replace(record, state=GONE, steps=steps)
