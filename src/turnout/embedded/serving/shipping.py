"""Ships the prediction logs of pods whose process is gone, so that what was answered is recorded all the same."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from turnout.embedded.supervision import children, logfiles, records

__all__ = ["Progress", "Shippers"]

_LIMIT_S = 60.0
_LEDGER = "TURNOUT_LEDGER_URL"
# The files of turnout.predictor.prediction_log, in the folder and in one subfolder for every other worker.
_IDENTITY, _LEFT = "log.json", ("*.ndjson", "*.gap")


class Progress(Enum):
    """How far a folder's shipping is."""

    DONE = "nothing is left"
    UNDERWAY = "ask again soon"
    FAILED = "what is left stays; try again later"


@dataclass
class _Running:
    child: children.Child
    deadline: float


class Shippers:
    """At most one `turnout.predictor.ship` per folder, started by the first call and waited for by the next ones."""

    def __init__(self, *, pods: Path, run: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._pods, self._run, self._logs, self._environment = pods, run, logs, environment
        self._running: dict[str, _Running] = {}

    def finish(self, process: str, *, ended_well: bool) -> Progress:
        """Ship and remove the folder of a process; starts the work or looks how far it is.

        A predictor that `ended_well` has shipped everything and told the ledger that its log has ended.
        """
        folder = self._pods / process
        running = self._running.get(process)
        if running is None:
            return self._begin(process, folder, ended_well=ended_well)
        if running.child.popen.poll() is None:
            if time.monotonic() > running.deadline:
                running.child.popen.kill()
            return Progress.UNDERWAY
        del self._running[process]
        if running.child.popen.returncode != 0:
            return Progress.FAILED
        shutil.rmtree(folder, ignore_errors=True)
        return Progress.DONE

    def _begin(self, process: str, folder: Path, *, ended_well: bool) -> Progress:
        is_empty = not any(path for pattern in _LEFT for path in folder.rglob(pattern))
        if (is_empty and ended_well) or not any(folder.rglob(_IDENTITY)):
            shutil.rmtree(folder, ignore_errors=True)
            return Progress.DONE
        if _LEDGER not in self._environment:
            return Progress.DONE  # nobody to ship to; the next engine with a ledger will find the folder
        self._running[process] = self._start(process, folder)
        return Progress.UNDERWAY

    def _start(self, process: str, folder: Path) -> _Running:
        name = f"{process}.ship"
        child = children.start(
            (sys.executable, "-m", "turnout.predictor.ship", "--log_dir", str(folder)),
            environment={**os.environ, **self._environment},
            folder=folder,
            log=logfiles.path_of(self._logs, process),
            marker=records.path_of(self._run, name),
        )
        return _Running(child=child, deadline=time.monotonic() + _LIMIT_S)
