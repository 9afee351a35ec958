"""`turnout up`, `down` and `status`: starts the engine, ends everything that belongs to a home, says what runs.

Works on records and processes only, so that it also cleans up after an engine that was killed.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from turnout import errors
from turnout.embedded import engine, system
from turnout.embedded.home import Home, Settings
from turnout.embedded.serving import pods
from turnout.embedded.supervision import children, logfiles, ports, procfs, records
from turnout.embedded.supervision.records import Record
from turnout.errors import Failed, TurnoutError

__all__ = ["Part", "Status", "down", "status", "up"]

_POLL_S = 0.02
_ENGINE_DRAIN_S = 120.0
_PORTS_CLOSE_S = 5.0
# Whoever hangs on to requests and records of others goes last.
_STOPPING_ORDER = ((system.CONTROLLER,), (pods.ROLE, system.MLFLOW), (system.ENVOY,), (system.LEDGER,))


@dataclass(frozen=True)
class Part:
    """One process of an engine. Memory in megabytes; `pss_mb` divides pages that processes share."""

    part: str
    state: str
    pid: int
    port: int
    resident_mb: float
    pss_mb: float
    restarts: int


@dataclass(frozen=True)
class Status:
    """What runs on a home. `resolves` says which host names this machine's resolver knows.

    `held_by` names the engine; `started` is whether this very `up` has started it.
    """

    home: str
    running: bool
    parts: tuple[Part, ...]
    urls: dict[str, str]
    resolves: dict[str, bool]
    held_by: str = ""
    started: bool = False

    @property
    def resident_mb(self) -> float:
        """Memory of all parts together."""
        return sum(part.resident_mb for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "resident_mb": self.resident_mb}


def up(
    home: Path,
    *,
    gateway_port: int = 8080,
    api_port: int = 0,
    domain: str = "localhost",
    mlflow: bool = False,
    without: Collection[str] = (),
    wait_s: float = 30.0,
) -> Status:
    """Start the engine of a home and wait until everything answers; one that runs already is only reported.

    Raises:
        Conflict: a port is taken.
        Failed: the engine ended, or did not answer in time; nothing is left running.
    """
    found = Home(Path(home).absolute())
    asked = Settings(gateway_port=gateway_port, api_port=api_port, domain=domain, mlflow=mlflow, without=tuple(without))
    starting = _Starting(found, asked)
    try:
        starting.wait_ready(time.monotonic() + wait_s)
    except BaseException:
        starting.undo()
        raise
    return replace(status(found.folder), started=starting.has_started)


def down(home: Path) -> bool:
    """End everything of a home, the engine alive or not; returns when no process and no port is left.

    Returns whether anything was running.

    Raises:
        Failed: something is still there.
    """
    found = Home(Path(home).absolute())
    open_ports = {record.port for record in _all_records(found) if record.is_alive and record.port}
    was_running = _stop_engine(found)
    for roles in _STOPPING_ORDER:
        was_running |= _stop(found, [record for record in records.load(found.run) if record.role in roles])
    was_running |= _stop(found, records.load(found.run))
    for identity, _ in procfs.marked(f"{found.run}/"):  # started, but the engine was killed before it wrote a record
        children.signal_one(identity, signal.SIGKILL)
        was_running = True
    _wait_closed(open_ports)
    return was_running


def status(home: Path) -> Status:
    """What runs on a home, from its records and from the kernel."""
    found = Home(Path(home).absolute())
    holder = engine.holder(found)
    settings = found.settings()
    parts = [_part(record) for record in _all_records(found)]
    urls = {} if settings is None or holder is None else _urls(settings)
    hosts = [url.removeprefix("http://").split(":")[0] for url in urls.values() if url.startswith("http://")]
    return Status(
        home=str(found.folder),
        running=holder is not None,
        parts=tuple(parts),
        urls=urls,
        resolves={host: _resolves(host) for host in hosts if not host[0].isdigit()},
        held_by=f"pid {holder.pid}, since {holder.since}" if holder is not None else "",
    )


class _Starting:
    """One `up`: starts an engine when nobody holds the home, and waits for whoever does."""

    def __init__(self, home: Home, asked: Settings) -> None:
        self._home, self._asked = home, asked
        self._child: children.Child | None = None

    def wait_ready(self, deadline: float) -> None:
        """Return when everything answers.

        Raises:
            Conflict: the engine found a port taken, or the home held.
            Failed: the engine ended, or is not ready in time.
        """
        while self._is_to_be_started() or not _is_ready(self._home):
            if self._child is not None and self._child.popen.poll() is not None:
                raise _why_it_ended(self._home, self._child)
            if time.monotonic() > deadline:
                raise Failed(f"the engine of {self._home.folder} is not ready in time; look into {self._home.logs}")
            time.sleep(_POLL_S)

    @property
    def has_started(self) -> bool:
        """Whether the engine is ours; else another `up` was first."""
        return self._child is not None

    def undo(self) -> None:
        """Leave nothing behind of an engine that we started."""
        if self._child is not None:
            children.signal_one(self._child.identity, signal.SIGKILL)
            down(self._home.folder)

    def _is_to_be_started(self) -> bool:
        """Start an engine if there is none: it may have gone while we were waiting for it."""
        if self._child is None and engine.holder(self._home) is None:
            self._child = _start(self._home, self._asked)
            return True
        return False


def _start(home: Home, asked: Settings) -> children.Child:
    argv = (
        *(sys.executable, "-m", "turnout.embedded", "--home", str(home.folder)),
        *("--gateway-port", str(asked.gateway_port), "--api-port", str(asked.api_port), "--domain", asked.domain),
        *(("--mlflow",) if asked.mlflow else ()),
        *(("--without", ",".join(asked.without)) if asked.without else ()),
    )
    home.logs.mkdir(parents=True, exist_ok=True)
    return children.start(
        argv,
        environment=os.environ,
        folder=home.folder,
        log=logfiles.path_of(home.logs, engine.ENGINE),
        marker=records.path_of(home.folder, engine.ENGINE),
    )


def _is_ready(home: Home) -> bool:
    """Whether API, gateway and ledger answer."""
    settings = home.settings()
    if settings is None or not records.path_of(home.folder, engine.ENGINE).exists():
        return False
    answers = [_api_answers(home, settings)]
    if system.ENVOY not in settings.without:
        answers.append(ports.is_open(settings.gateway_port))
    if system.LEDGER not in settings.without:
        answers.append(
            _answers(http.client.HTTPConnection(ports.LOOPBACK, settings.ledger_port, timeout=1), "/healthz")
        )
    return all(answers)


def _api_answers(home: Home, settings: Settings) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(home.tls / "ca.crt"))
    except OSError:  # the engine is about to make it
        return False
    connection = http.client.HTTPSConnection(ports.LOOPBACK, settings.api_port, timeout=1, context=context)
    return _answers(connection, "/readyz")


def _answers(connection: http.client.HTTPConnection, path: str) -> bool:
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    return False


def _why_it_ended(home: Home, process: children.Child) -> TurnoutError:
    """The error that the engine's last line names, or one that quotes it."""
    line = logfiles.last_line(logfiles.path_of(home.logs, engine.ENGINE), offset=process.log_offset)
    name, _, message = line.partition(": ")
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    if kind is not None:
        found: TurnoutError = kind(message)
        return found
    return Failed(f"the engine of {home.folder} ended with code {process.popen.returncode}: {line}")


def _stop_engine(home: Home) -> bool:
    """SIGTERM, and wait until it has drained; whether there was one."""
    held = engine.holder(home)
    if held is None or not (identity := procfs.identify(held.pid)):
        return False
    children.signal_one(identity, signal.SIGTERM)
    if not children.wait_for_exit(identity, timeout_s=_ENGINE_DRAIN_S):
        children.signal_one(identity, signal.SIGKILL)
    return True


def _all_records(home: Home) -> list[Record]:
    """The engine's first, then the system's, then the pods'."""
    own = [record for record in records.load(home.folder) if record.is_alive]
    others = records.load(home.run)
    return [*own, *sorted(others, key=lambda record: (record.role == pods.ROLE, record.name))]


def _stop(home: Home, found: Sequence[Record]) -> bool:
    """SIGTERM to all, SIGKILL to whom that does not end in time, and no record left; whether any of them ran."""
    alive = [record for record in found if record.is_alive]
    for record in alive:
        children.signal_group(record.identity, signal.SIGTERM)
    for record in alive:
        if not children.wait_for_exit(record.identity, timeout_s=record.grace_s):
            children.signal_group(record.identity, signal.SIGKILL)
    for record in found:
        children.end_leftovers(records.path_of(home.run, record.name))
        records.forget(home.run, record.name)
    return bool(alive)


def _wait_closed(open_ports: Collection[int]) -> None:
    deadline = time.monotonic() + _PORTS_CLOSE_S
    while held := [port for port in open_ports if ports.is_open(port)]:
        if time.monotonic() > deadline:
            raise Failed(f"ports {held} are still open, though nothing of this home is left")
        time.sleep(_POLL_S)


def _part(record: Record) -> Part:
    memory = procfs.memory(record.pid) if record.is_alive else None
    state = "Running" if memory is not None else ("Dead" if record.pid else "BackOff")
    return Part(
        part=record.name,
        state=state,
        pid=record.pid if memory is not None else 0,
        port=record.port,
        resident_mb=memory.rss_mb if memory is not None else 0.0,
        pss_mb=memory.pss_mb if memory is not None else 0.0,
        restarts=record.restarts,
    )


def _urls(settings: Settings) -> dict[str, str]:
    gateway = f"{settings.domain}:{settings.gateway_port}"
    found = {
        "api": f"https://{ports.LOOPBACK}:{settings.api_port}",
        "gateway": f"http://{ports.LOOPBACK}:{settings.gateway_port}",
    }
    if system.LEDGER not in settings.without:
        found["ledger"] = f"http://ledger.{gateway}"
    if settings.mlflow:
        found["mlflow"] = f"http://mlflow.{gateway}"
    return found


def _resolves(host: str) -> bool:
    """Whether programs that ask the system's resolver reach this machine by the name."""
    with contextlib.suppress(OSError):
        return any(str(entry[4][0]) in ("127.0.0.1", "::1") for entry in socket.getaddrinfo(host, None))
    return False
