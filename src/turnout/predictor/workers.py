"""Several processes behind one port: starts them, replaces those that die, and ends when it is told to.

Every worker is a whole predictor with a socket, a model and a prediction log of its own; the kernel deals new
connections out among their sockets. The sockets belong to this process, so what waits at a dead worker's socket is
answered by its successor. It serves nothing itself and loads no model.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn

from turnout.predictor import server
from turnout.predictor.arguments import Arguments
from turnout.predictor.metrics import Sheets
from turnout.predictor.server import Place

__all__ = ["run"]

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0


def run(arguments: Arguments, work: Callable[[Place], int]) -> int:
    """Keep `arguments.workers` processes at work until SIGTERM or SIGINT; returns the exit code.

    Args:
        work: what a worker does from its fork to its end; returns the worker's exit code.

    Raises:
        Conflict: the port is taken.
    """
    host = arguments.http_host
    server.bind(host, arguments.http_port).close()  # alone first: a shared socket would join a stranger's port
    first = server.bind(host, arguments.http_port, shared=True)
    port = first.getsockname()[1]
    more = [server.bind(host, port, shared=True) for _ in range(arguments.workers - 1)]
    grpc = _reserve(host, arguments.grpc_port)
    alive, keep_open = os.pipe()  # ends when this process does
    ready, tell_ready = os.pipe()
    os.set_blocking(ready, False)
    sheets = Sheets(arguments.workers)
    places = [
        Place(
            listener=listener,
            sheets=sheets,
            announce=lambda _: os.write(tell_ready, b"."),
            worker=index,
            workers=arguments.workers,
            grpc_port=grpc.getsockname()[1] if grpc is not None else None,
            parent=alive,
        )
        for index, listener in enumerate([first, *more])
    ]
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    return _Crew(places, work, not_for_workers=(keep_open, ready), ready=ready, arguments=arguments).run()


def _reserve(host: str, port: int | None) -> socket.socket | None:
    """A socket that keeps a port for the workers' gRPC servers, which bind it themselves."""
    return None if port is None else server.bind(host, port, shared=True)


@dataclass
class _Crew:
    """The workers, by process id."""

    places: list[Place]
    work: Callable[[Place], int]
    not_for_workers: tuple[int, ...]
    ready: int
    arguments: Arguments
    running: dict[int, Place] = field(default_factory=dict)
    waiting: list[tuple[float, Place]] = field(default_factory=list)  # when to start which again
    wait_s: float = _FIRST_WAIT_S
    announced: bool = False
    stopping: bool = False
    exit_code: int = 0

    def run(self) -> int:
        """Until the last worker has ended."""
        for place in self.places:
            self._start(place)
        while self.running or self.waiting:
            timeout_s = 0.05 if not self.announced or self.waiting else 1.0
            told = signal.sigtimedwait(_SIGNALS, timeout_s)
            if told is not None and told.si_signo != signal.SIGCHLD:
                self._stop()
            self._bury()
            self._replace()
            self._announce()
        return self.exit_code

    def _start(self, place: Place) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(place)
        self.running[pid] = place

    def _become(self, place: Place) -> NoReturn:
        """The worker's life, from its fork to its end."""
        code = 1
        try:
            for file in self.not_for_workers:
                os.close(file)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self.work(place)
        except BaseException:  # noqa: BLE001 - told here, because the exit below tells nothing
            traceback.print_exc()
        finally:
            os._exit(code)  # nothing of the parent's may run in here: no handlers, no buffers

    def _stop(self) -> None:
        self.stopping = True
        self.waiting.clear()
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)

    def _bury(self) -> None:
        """Take note of every worker that has ended."""
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            place = self.running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self.stopping:
                self.exit_code = self.exit_code or max(code, 0)
            elif not self.announced or code > 0:
                # It cannot start, or says that it cannot go on: neither would its successor.
                self.exit_code = max(code, 1)
                self._stop()
            else:
                self.waiting.append((time.monotonic() + self.wait_s, place))
                self.wait_s = min(self.wait_s * 2, _LONGEST_WAIT_S)

    def _replace(self) -> None:
        due = [place for when_s, place in self.waiting if when_s <= time.monotonic()]
        self.waiting = [(when_s, place) for when_s, place in self.waiting if place not in due]
        for place in due:
            self._start(replace(place, announce=lambda _: None))

    def _announce(self) -> None:
        """Say where it answers, once all of them do."""
        if self.announced or self.stopping:
            return
        try:
            self._ready_count += len(os.read(self.ready, 64))
        except BlockingIOError:
            return
        if self._ready_count == len(self.places):
            self.announced = True
            place = self.places[0]
            print(server.greeting(self.arguments, place.listener, place.grpc_port), flush=True)

    _ready_count: int = 0
