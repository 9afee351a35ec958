"""Starts and signals single processes; who decides when is `processes`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.embedded.supervision import procfs

__all__ = ["Child", "end_leftovers", "signal_group", "signal_one", "start", "wait_for_exit"]


@dataclass(frozen=True)
class Child:
    """A process that was started, and where its output begins in its log."""

    popen: subprocess.Popen[bytes]
    identity: procfs.Identity
    log_offset: int


def start(argv: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path, marker: Path) -> Child:
    """Start a process in a session of its own, its output appended to `log`.

    Raises:
        OSError: the command cannot be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        offset = output.tell()
        popen = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment, procfs.MARKER: str(marker)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Nobody else reaps our child, so even one that has ended at once still has its start time.
    identity = procfs.identify(popen.pid) or procfs.Identity(pid=popen.pid, start=0, boot=procfs.boot_id())
    return Child(popen=popen, identity=identity, log_offset=offset)


def signal_one(identity: procfs.Identity, number: signal.Signals) -> None:
    """Signal a process, if it is still that one."""
    if procfs.is_alive(identity):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(identity.pid, number)


def signal_group(identity: procfs.Identity, number: signal.Signals) -> None:
    """Signal a session leader and what it started, if it is still that process."""
    if procfs.is_alive(identity):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(identity.pid, number)


def end_leftovers(marker: Path) -> None:
    """Kill what a process that has ended left running; its children carry its marker."""
    for identity, found in procfs.marked(str(marker)):
        if found == str(marker):
            signal_one(identity, signal.SIGKILL)


def wait_for_exit(identity: procfs.Identity, *, timeout_s: float) -> bool:
    """Wait until a process (not necessarily our child) is gone; whether that came true in time."""
    deadline = time.monotonic() + timeout_s
    while procfs.is_alive(identity):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
