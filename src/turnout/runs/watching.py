"""What KFP's local runner tells about its steps, as events and one log per step.

The runner has no hooks. It does say in its log, in the thread that executes a task, when the task begins and how it
ended, and it prints what the task's process prints, in that thread too. So standard output is replaced by a stream
that knows which step a thread is at, and a filter on the root logger reads those two sentences. (A filter, because the
runner throws away handlers.) The wording is that of kfp 2.17; a test runs a pipeline and holds it.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

__all__ = ["Listener", "StepLogs", "without_colours"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS = re.compile(r"^Executing task '(.+)'$")
_ENDED = re.compile(r"^Task '(.+)' finished with status (SUCCESS|FAILURE)$")
_REUSED = re.compile(r"^Task (.+) cache hit \(key=\w+\); skipping execution\.$")
_EXECUTOR = "[KFP Executor"
_INPUT = "Got executor_input:"


def without_colours(text: str) -> str:
    """The runner colours task names and states."""
    return _COLOUR.sub("", text)


class Listener(Protocol):
    """Who wants to know. `key` tells steps apart that run at the same time."""

    def begins(self, key: int, task: str, log: Path) -> None: ...

    def has_inputs(self, key: int, executor_input: Mapping[str, Any]) -> None: ...

    def reused(self, task: str, log: Path) -> None: ...

    def ended(self, key: int, *, succeeded: bool, log: Path) -> None: ...


class _Step:
    """One step's log while it runs."""

    def __init__(self, key: int, file: Path) -> None:
        self.key, self.path = key, file
        self._file = file.open("w", encoding="utf-8", buffering=1)
        self._line = ""
        self._indent = 0
        self._input: list[str] | None = None

    def write(self, text: str) -> Mapping[str, Any] | None:
        """Append to the log; the executor's input is returned instead when it is complete."""
        self._line += text
        found = None
        while "\n" in self._line:
            line, self._line = self._line.split("\n", 1)
            found = self._take(line) or found
        return found

    def _take(self, line: str) -> Mapping[str, Any] | None:
        if self._input is not None:
            return self._more_input(line)
        if _EXECUTOR in line:
            # The runner indents what it prints, deeper with every loop; Python's own indentation must stay.
            self._indent = len(line) - len(line.lstrip(" "))
            if _INPUT in line:
                self._input = []
                return None
        self._file.write(line[self._indent :] + "\n" if not line[: self._indent].strip() else line + "\n")
        return None

    def _more_input(self, line: str) -> Mapping[str, Any] | None:
        self._input = [*(self._input or []), line.strip()]
        if line.strip() != "}":
            return None
        try:
            found: Mapping[str, Any] = json.loads("".join(self._input))
        except json.JSONDecodeError:
            return None
        self._input = None
        return found

    def close(self) -> None:
        if self._line:
            self._file.write(self._line + "\n")
        self._file.close()


class StepLogs(io.TextIOBase):
    """Standard output of the driver, split by the thread that writes; also the filter that hears of steps."""

    def __init__(self, folder: Path, *, between: TextIO, listener: Listener) -> None:
        self._folder, self._between, self._listener = folder, between, listener
        self._steps: dict[int, _Step] = {}
        self._count = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Into the log of the step that this thread is at; what is said between steps goes elsewhere."""
        step = self._steps.get(threading.get_ident())
        if step is None:
            self._between.write(text)
        elif (found := step.write(text)) is not None:
            self._listener.has_inputs(step.key, found)
        return len(text)

    def flush(self) -> None:
        """Logs are written line by line already."""
        self._between.flush()

    def filter(self, record: logging.LogRecord) -> bool:
        """Hear what the runner says; lets everything through."""
        said = without_colours(record.getMessage())
        if begins := _BEGINS.match(said):
            self._open(begins[1])
        elif reused := _REUSED.match(said):
            self._skip(reused[1], said)
        elif (ended := _ENDED.match(said)) and (step := self._steps.get(threading.get_ident())):
            self._end(step, succeeded=ended[2] == "SUCCESS")
        return True

    def close_all(self) -> None:
        """The run is over; a step that is still open has failed without a word of the runner."""
        for step in list(self._steps.values()):
            self._end(step, succeeded=False)

    def _skip(self, task: str, said: str) -> None:
        with self._lock:
            self._count += 1
            log = self._folder / f"{self._count:02d}-{task}.log"
        log.write_text(f"{said}\n", encoding="utf-8")
        self._listener.reused(task, log)

    def _open(self, task: str) -> None:
        with self._lock:
            self._count += 1
            key = self._count
        log = self._folder / f"{key:02d}-{task}.log"
        self._steps[threading.get_ident()] = _Step(key, log)
        self._listener.begins(key, task, log)

    def _end(self, step: _Step, *, succeeded: bool) -> None:
        thread = next(thread for thread, other in self._steps.items() if other is step)
        del self._steps[thread]
        step.close()
        self._listener.ended(step.key, succeeded=succeeded, log=step.path)
