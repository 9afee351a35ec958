"""Supervision: keeps processes running, remembers them across the engine's own death, ends them politely.

Each process runs in a session of its own and outlives the engine; the next engine adopts it by its record. Records
are written after each change, so the worst that a crash can leave is a process without a record: it carries a marker
in its environment and is ended at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from turnout.embedded.supervision import children, logfiles, ports, procfs, records
from turnout.embedded.supervision.records import Record

__all__ = ["Phase", "Spec", "State", "Supervisor", "backoff_s"]

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S, _HEALTHY_S = 0.5, 30.0, 60.0
_CANNOT_RUN = 127  # what a shell answers for a command that it cannot run
_ROTATE_EVERY_S = 30.0


class Phase:
    """Where a process is in its life."""

    RUNNING = "Running"
    BACKOFF = "BackOff"
    STOPPING = "Stopping"


@dataclass(frozen=True)
class Spec:
    """A process that shall run. `command` gets the port: the fixed one, or with `port` 0 one that was free."""

    name: str
    role: str
    command: Callable[[int], tuple[str, ...]]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    needs_port: bool = True
    grace_s: float = 10.0
    is_immutable: bool = False  # goes on as it was started, whatever its command would be today


@dataclass(frozen=True)
class State:
    """What can be said of a supervised process at this moment; `pid` is 0 while it does not run."""

    name: str
    role: str
    phase: str
    pid: int
    port: int
    started_at: float
    restarts: int
    exit_code: int | None
    log_offset: int


def backoff_s(failures: int) -> float:
    """How long to wait before the next start after so many ends in a row; the first restart is immediate."""
    return 0.0 if failures <= 1 else min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(failures - 2, 16))


_UNCLAIMED, _RUNNING, _GONE = "unclaimed", "running", "gone"


@dataclass
class _Entry:
    """One process and what is to become of it; guarded by the supervisor's lock."""

    record: Record
    wanted: str
    spec: Spec | None = None
    popen: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    has_ended: bool = False
    failures: int = 0
    next_start: float = 0.0
    kill_at: float = math.inf  # finite once it was asked to end

    @property
    def lives(self) -> bool:
        return self.pidfd >= 0

    @property
    def is_ending(self) -> bool:
        return self.kill_at < math.inf or self.wanted == _GONE

    def due(self) -> float:
        """When it needs attention next."""
        if self.lives:
            return self.kill_at
        return {_RUNNING: self.next_start, _GONE: 0.0}.get(self.wanted, math.inf)

    def state(self) -> State:
        idle = Phase.STOPPING if self.wanted == _GONE else Phase.BACKOFF
        running = Phase.STOPPING if self.is_ending else Phase.RUNNING
        return State(
            name=self.record.name,
            role=self.record.role,
            phase=running if self.lives else idle,
            pid=self.record.pid,
            port=self.record.port,
            started_at=self.record.started_at,
            restarts=self.record.restarts,
            exit_code=self.record.exit_code,
            log_offset=self.record.log_offset,
        )


class Supervisor:
    """Keeps the wanted processes running. Every method but the waits returns at once, on any thread."""

    def __init__(
        self, *, run_folder: Path, log_folder: Path, changed: Callable[[str], None] = lambda name: None
    ) -> None:
        self._run_folder, self._log_folder, self._changed = run_folder, log_folder, changed
        self._lock = threading.Condition()
        self._entries: dict[str, _Entry] = {}
        self._exits: dict[str, int | None] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._is_closing = False
        self._rotate_at = 0.0
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def adopt(self) -> None:
        """Take over what an earlier engine left, end what it started without a record, and begin to supervise."""
        for record in records.load(self._run_folder):
            entry = self._entries[record.name] = _Entry(record=record, wanted=_UNCLAIMED)
            if record.is_alive:
                self._watch(entry)
        pids = {entry.record.pid for entry in self._entries.values() if entry.lives}
        for identity, marker in procfs.leaders(f"{self._run_folder}/"):
            if identity.pid not in pids:
                _log.warning("ending process %d of %s: it has no record", identity.pid, marker)
                children.signal_group(identity, signal.SIGKILL)
        self._thread.start()

    def ensure(self, spec: Spec) -> None:
        """Run this from now on; another command or port under the same name replaces what runs."""
        with self._lock:
            entry = self._entries.get(spec.name)
            if entry is None:
                record = Record(name=spec.name, role=spec.role, argv=(), grace_s=spec.grace_s)
                entry = self._entries[spec.name] = _Entry(record=record, wanted=_RUNNING)
            if entry.lives and not entry.is_ending and not _is_as_wanted(entry.record, spec):
                self._ask_to_end(entry)
            entry.spec, entry.wanted = spec, _RUNNING
        self._wake()

    def stop(self, name: str) -> None:
        """End this process and forget it: SIGTERM, and SIGKILL when its grace is over."""
        with self._lock:
            if (entry := self._entries.get(name)) is not None:
                entry.wanted = _GONE
                if entry.lives and entry.kill_at == math.inf:
                    self._ask_to_end(entry)
        self._wake()

    def state(self, name: str) -> State | None:
        """One process; None when there is none of that name (any more)."""
        with self._lock:
            entry = self._entries.get(name)
            return None if entry is None else entry.state()

    def states(self) -> list[State]:
        """All processes."""
        with self._lock:
            return [entry.state() for entry in self._entries.values()]

    def take_exit(self, name: str) -> int | None:
        """How a stopped process ended, once; None when that is not known."""
        with self._lock:
            return self._exits.pop(name, None)

    def unclaimed(self) -> list[str]:
        """What an earlier engine left and nobody has asked for yet."""
        with self._lock:
            return [name for name, entry in self._entries.items() if entry.wanted == _UNCLAIMED]

    def wait_gone(self, names: Collection[str], *, timeout_s: float) -> bool:
        """Wait until none of these is left; whether that came true in time."""
        with self._lock:
            return self._lock.wait_for(lambda: not any(name in self._entries for name in names), timeout_s)

    def close(self) -> None:
        """Stop supervising; what runs goes on running."""
        with self._lock:
            self._is_closing = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        for entry in self._entries.values():
            if entry.lives:
                os.close(entry.pidfd)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has been woken often enough
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._is_closing:
                    return
                now = time.monotonic()
                changed = [name for name, entry in list(self._entries.items()) if self._step(entry, now)]
                due = min((self._rotate_at, *(entry.due() for entry in self._entries.values())))
                self._lock.notify_all()
            for name in changed:
                self._changed(name)
            self._sleep(max(0.0, due - time.monotonic()))

    def _sleep(self, pause_s: float) -> None:
        """Until something is due, a process ends, or somebody asks for something."""
        for key, _ in self._selector.select(pause_s):
            if key.data is None:
                os.read(self._wake_read, 4096)
            else:
                key.data.has_ended = True
        if time.monotonic() >= self._rotate_at:
            logfiles.rotate_all(self._log_folder)
            self._rotate_at = time.monotonic() + _ROTATE_EVERY_S

    def _step(self, entry: _Entry, now: float) -> bool:
        """Do what is due for one process; whether anything changed."""
        if entry.has_ended:
            self._bury(entry, now)
            return True
        if entry.lives:
            if now >= entry.kill_at:
                children.signal_group(entry.record.identity, signal.SIGKILL)
                entry.kill_at = now + 1.0
            return False
        if entry.wanted == _GONE:
            del self._entries[entry.record.name]
            self._exits[entry.record.name] = entry.record.exit_code
            records.forget(self._run_folder, entry.record.name)
            return True
        if entry.wanted == _RUNNING and now >= entry.next_start:
            self._start(entry)
            return True
        return False

    def _start(self, entry: _Entry) -> None:
        spec = entry.spec
        if spec is None:
            return
        before = entry.record
        port = self._port(spec, before)
        log = logfiles.path_of(self._log_folder, spec.name)
        record = Record(
            name=spec.name,
            role=spec.role,
            argv=spec.command(port),
            port=port,
            started_at=time.time(),
            restarts=before.restarts + (1 if before.started_at else 0),
            exit_code=before.exit_code,
            grace_s=spec.grace_s,
        )
        try:
            child = children.start(
                record.argv,
                environment={**spec.environment, **({"PORT": str(port)} if port else {})},
                folder=spec.folder,
                log=log,
                marker=records.path_of(self._run_folder, spec.name),
            )
        except OSError as error:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"cannot run {record.argv[0]}: {error}\n")
            entry.record = replace(record, exit_code=_CANNOT_RUN)
            self._note_failure(entry, time.monotonic())
            return
        identity = child.identity
        entry.record = replace(
            record, pid=identity.pid, start=identity.start, boot=identity.boot, log_offset=child.log_offset
        )
        entry.popen = child.popen
        records.save(self._run_folder, entry.record)
        self._watch(entry)

    def _port(self, spec: Spec, before: Record) -> int:
        """The fixed port, else the one it had, else a free one."""
        if not spec.needs_port or spec.port:
            return spec.port
        taken = {entry.record.port for entry in self._entries.values() if entry.record is not before}
        if before.port and before.port not in taken and ports.is_free(before.port):
            return before.port
        return ports.choose(avoid=taken)

    def _watch(self, entry: _Entry) -> None:
        try:
            entry.pidfd = os.pidfd_open(entry.record.pid)
        except ProcessLookupError:  # an adopted one that has ended since we looked
            return
        self._selector.register(entry.pidfd, selectors.EVENT_READ, entry)

    def _ask_to_end(self, entry: _Entry) -> None:
        children.signal_group(entry.record.identity, signal.SIGTERM)
        entry.kill_at = time.monotonic() + entry.record.grace_s

    def _bury(self, entry: _Entry, now: float) -> None:
        """A process has ended: reap it, end what it left behind, and decide when it may start again."""
        self._selector.unregister(entry.pidfd)
        os.close(entry.pidfd)
        exit_code = entry.popen.wait() if entry.popen is not None else None
        children.end_leftovers(records.path_of(self._run_folder, entry.record.name))
        was_asked, was_healthy = entry.kill_at < math.inf, time.time() - entry.record.started_at >= _HEALTHY_S
        entry.pidfd, entry.popen, entry.has_ended, entry.kill_at = -1, None, False, math.inf
        entry.record = replace(entry.record, pid=0, start=0, exit_code=exit_code)
        if was_asked or was_healthy:
            entry.failures = 0
        if was_asked:
            entry.next_start = now
            records.save(self._run_folder, entry.record)
        else:
            self._note_failure(entry, now)

    def _note_failure(self, entry: _Entry, now: float) -> None:
        entry.failures += 1
        entry.next_start = now + backoff_s(entry.failures)
        records.save(self._run_folder, entry.record)


def _is_as_wanted(record: Record, spec: Spec) -> bool:
    return spec.is_immutable or (record.argv == tuple(spec.command(record.port)) and spec.port in (0, record.port))
