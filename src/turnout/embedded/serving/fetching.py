"""Runs a storage initializer for a pod whose model is somewhere else, and says how far it is.

The download is a process of its own, so that neither its memory nor its pace is the engine's. An engine that dies
leaves a process without a record, which the next one ends; the download then begins anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from turnout.embedded.supervision import children, logfiles, records
from turnout.errors import NotFound

__all__ = ["CONTAINER", "Fetchers"]

CONTAINER = "storage-initializer"


class Fetchers:
    """At most one initializer per pod."""

    def __init__(self, *, run: Path, logs: Path) -> None:
        self._run, self._logs = run, logs
        self._running: dict[str, children.Child] = {}

    def fetch(self, process: str, uri: str, folder: Path, environment: Mapping[str, str]) -> Path | None:
        """The folder with the model; None while it is on its way. A failed download is begun again by the next call.

        Raises:
            NotFound: the download failed; the message is the initializer's last line.
        """
        if folder.exists():
            return folder
        child = self._running.get(process)
        if child is None:
            self._running[process] = self._start(process, uri, folder, environment)
            return None
        code = child.popen.poll()
        if code is None:
            return None
        del self._running[process]
        if code == 0:
            return folder
        words = logfiles.last_line(self.log_of(process), offset=child.log_offset)
        raise NotFound(words or f"{uri}: the storage initializer ended with code {code}")

    def forget(self, process: str) -> None:
        """The pod goes: end what is still on its way."""
        child = self._running.pop(process, None)
        if child is not None:
            child.popen.kill()
            child.popen.wait()

    def log_of(self, process: str) -> Path:
        """What the initializer of a pod has written."""
        return logfiles.path_of(self._logs, f"{process}.{CONTAINER}")

    def _start(self, process: str, uri: str, folder: Path, environment: Mapping[str, str]) -> children.Child:
        return children.start(
            (sys.executable, "-m", "turnout.embedded.initializer", uri, str(folder)),
            environment={**os.environ, **environment},
            folder=folder.parent,
            log=self.log_of(process),
            marker=records.path_of(self._run, f"{process}.{CONTAINER}"),
        )
