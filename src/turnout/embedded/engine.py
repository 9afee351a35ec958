"""The engine process: one store, its reconcilers in threads, the API in front, and the processes that they keep.

    HTTPRoute, Service, Pod -> routes -> Envoy
    InferenceService -> inferenceservices -> Deployment -> deployments -> Pod -> pods -> process

The engine may be killed at any time: the processes go on, and the next engine adopts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import orjson
import uvicorn

from turnout.embedded import home as homes
from turnout.embedded import seed, system
from turnout.embedded.api import application
from turnout.embedded.api.logs import LogOptions
from turnout.embedded.collecting import GarbageReconciler
from turnout.embedded.gateway import routes, xds
from turnout.embedded.home import Home, Settings
from turnout.embedded.loops import Dispatcher, Loop
from turnout.embedded.namespaces import NamespaceReconciler
from turnout.embedded.podlogs import PodLogs
from turnout.embedded.serving import pods, probing, storage
from turnout.embedded.serving.deployments import DeploymentReconciler
from turnout.embedded.serving.inferenceservices import InferenceServiceReconciler
from turnout.embedded.store import Store
from turnout.embedded.supervision import logfiles, procfs, records
from turnout.embedded.supervision.processes import Supervisor
from turnout.errors import Conflict

__all__ = ["ENGINE", "Engine", "holder", "run"]

_log = logging.getLogger(__name__)

ENGINE = "engine"

_FIRST_LOOK_S = 10.0
# These two look at everything at each change; what changes together is one look.
_GATHER_ROUTES_S, _GATHER_GARBAGE_S = 0.01, 0.1
_DRAIN_S, _DRAIN_POLL_S = 60.0, 0.02  # as long as a route lets a request take, unless it says otherwise
_STOP_S = 35.0  # a pod's grace is thirty seconds
_LONGEST_ACCESS_LOG = 128 * 1024 * 1024
_LOG_SAMPLE_S = 1.0
_HOUSEKEEPING_S = 15.0


@dataclass(frozen=True)
class Holder:
    """The engine that holds a home."""

    pid: int
    since: str


def holder(home: Home) -> Holder | None:
    """Who holds the lock of a home; None when nobody does."""
    try:
        with home.lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read_holder(file)
    except FileNotFoundError:
        return None
    return None


def _read_holder(file: IO[bytes]) -> Holder:
    try:
        data = orjson.loads(file.read())
        return Holder(pid=data["pid"], since=data["since"])
    except (orjson.JSONDecodeError, KeyError):  # it has the lock, and writes its name in this very moment
        return Holder(pid=0, since="this moment")


@contextlib.contextmanager
def _held(home: Home) -> Iterator[None]:
    """Hold the home's lock; the kernel gives it back when the process ends, however it ends.

    Raises:
        Conflict: another engine holds it.
    """
    with home.lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = holder(home) or Holder(pid=0, since="this moment")
            raise Conflict(f"{home.folder} is held by the engine with pid {found.pid}, since {found.since}") from None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        file.write(orjson.dumps({"pid": os.getpid(), "since": since}))
        file.flush()
        yield


def run(home: Home, asked: Settings) -> None:
    """Run an engine on this home until SIGTERM or SIGINT, then drain and stop everything that it keeps.

    Raises:
        Conflict: another engine holds the home, or a port is taken.
    """
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(home):
        settings = homes.with_ports(home, asked)
        homes.prepare(home, settings)
        engine = Engine(home, settings)
        try:
            engine.start()
            records.save(home.folder, _own_record(settings))
            asyncio.run(engine.serve())
        finally:
            engine.stop()


class Engine:
    """Everything inside the engine process."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home, self._settings = home, settings
        self._store = Store(home.store)
        self._supervisor = Supervisor(run_folder=home.run, log_folder=home.logs, changed=self._on_process)
        self._pod_logs = PodLogs(home.logs, state_of=self._supervisor.state)
        self._prober = probing.Prober(self._on_process)
        self._publisher = xds.Publisher(home.envoy, log=logfiles.path_of(home.logs, system.ENVOY))
        self._route_table = routes.RouteReconciler(self._store, self._supervisor, self._publisher)
        self._pod_reconciler = pods.PodReconciler(
            self._store,
            self._supervisor,
            self._prober,
            folders=pods.Folders(
                run=home.run,
                logs=home.logs,
                pods=home.pods,
                places=storage.Places(volumes=home.volumes, artifacts=home.artifacts),
            ),
            environment=system.environment_of_pods(home, settings),
            is_served=self._route_table.is_served,
        )
        self._routes = Loop(self._route_table, name="routes", gather_s=_GATHER_ROUTES_S)
        self._pods = Loop(self._pod_reconciler, name="pods")
        self._deployments = Loop(DeploymentReconciler(self._store), name="deployments")
        services = InferenceServiceReconciler(self._store, domain=settings.domain)
        self._services = Loop(services, name="inferenceservices", failed=services.note_failure)
        garbage = Loop(GarbageReconciler(self._store), name="garbage", gather_s=_GATHER_GARBAGE_S)
        authority = (home.tls / "ca.crt").read_text(encoding="ascii")
        namespaces = Loop(NamespaceReconciler(self._store, authority=authority), name="namespaces")
        self._loops = (self._pods, self._deployments, self._services, self._routes, garbage, namespaces)
        self._dispatcher = Dispatcher(self._store, self._loops)

    def start(self) -> None:
        """Adopt what runs, bring the views up to date with it, then start what is missing."""
        seed.seed(self._store, self._home, self._settings)
        self._supervisor.adopt()
        wanted = system.specs(self._home, self._settings)
        for spec in wanted:
            if spec.name != system.ENVOY:
                self._supervisor.ensure(spec)
        self._pod_reconciler.replace_lost()
        self._dispatcher.start()
        # What serves is known before the route table is made of it; and Envoy starts with that table, not an old one.
        for loop in self._loops:
            loop.start()
            if not loop.wait_first_look(_FIRST_LOOK_S):
                _log.warning("the first look of the loop %s takes longer than %s s", loop, _FIRST_LOOK_S)
        for spec in wanted:
            if spec.name == system.ENVOY:
                self._supervisor.ensure(spec)
        for name in self._supervisor.unclaimed():
            if "." not in name:  # a system process that is no longer wanted; the pods' loop ends pods
                self._supervisor.stop(name)

    async def serve(self) -> None:
        """Answer the API until a signal says to stop; stop everything while it still answers."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        server = _Server(self._server_configuration())
        serving = asyncio.create_task(server.serve())
        housekeeping = asyncio.create_task(self._keep_house())
        watching_logs = asyncio.create_task(self._watch_logs())
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (housekeeping, watching_logs, waiting):
            task.cancel()
        await asyncio.to_thread(self._drain)
        server.should_exit = True
        await serving

    def stop(self) -> None:
        """Release everything; the processes have been stopped before, or go on without us."""
        self._stop_loops()
        self._supervisor.close()
        self._prober.close()
        self._store.close()
        records.forget(self._home.folder, ENGINE)

    def _server_configuration(self) -> uvicorn.Config:
        token = self._home.token.read_text(encoding="ascii")
        return uvicorn.Config(
            application(self._store, token=token, read_log=self._read_log),
            host="127.0.0.1",
            port=self._settings.api_port,
            ssl_certfile=str(self._home.tls / "server.crt"),
            ssl_keyfile=str(self._home.tls / "server.key"),
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )

    def _on_process(self, name: str) -> None:
        """A process has started, ended, or become ready: look at its pod, and at where requests may go."""
        if "." in name:
            self._pod_logs.note_start(name)
            self._pods.enqueue(pods.pod_of(name))
        self._routes.enqueue(routes.EVERYTHING)

    def _read_log(self, namespace: str, pod: str, wanted: LogOptions) -> Iterator[bytes]:
        """What a pod's process, or one of its initializers, has written."""
        name = pods.process_of(namespace, pod)
        if wanted.container:
            name = f"{name}.{wanted.container}"
        return self._pod_logs.read(name, wanted, now=time.time())

    async def _watch_logs(self) -> None:
        while True:
            await asyncio.to_thread(self._pod_logs.sample, now=time.time())
            await asyncio.sleep(_LOG_SAMPLE_S)

    async def _keep_house(self) -> None:
        """Keep the access log short: move it aside once and let Envoy begin another. The ledger reads it to its end."""
        path = self._home.envoy / "access.log"
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            if path.exists() and path.stat().st_size > _LONGEST_ACCESS_LOG:
                path.replace(path.with_name("access.log.1"))
                await asyncio.to_thread(self._publisher.admin.get, "/reopen_logs", method="POST")

    def _stop_loops(self) -> None:
        self._dispatcher.stop()
        for loop in self._loops:
            loop.stop()

    def _drain(self) -> None:
        """Stop everything in the order in which it can be missed: no request and no record is lost on the way."""
        self._stop_loops()
        self._stop_role(system.CONTROLLER)
        self._publisher.admin.get("/drain_listeners?graceful&skip_exit", method="POST")
        deadline = time.monotonic() + _DRAIN_S
        while self._publisher.admin.active_requests() and time.monotonic() < deadline:
            time.sleep(_DRAIN_POLL_S)
        for role in (pods.ROLE, system.MLFLOW, system.ENVOY, system.LEDGER):
            self._stop_role(role)

    def _stop_role(self, role: str) -> None:
        names = [state.name for state in self._supervisor.states() if state.role == role]
        for name in names:
            self._supervisor.stop(name)
        if not self._supervisor.wait_gone(names, timeout_s=_STOP_S):
            _log.warning("still there after %s s: %s", _STOP_S, ", ".join(names))


def _own_record(settings: Settings) -> records.Record:
    """The engine's own record, beside those of its processes: nobody supervises the supervisor."""
    identity = procfs.identify(os.getpid())
    start, boot = (identity.start, identity.boot) if identity is not None else (0, "")
    return records.Record(
        name=ENGINE,
        role=ENGINE,
        argv=tuple(sys.argv),
        port=settings.api_port,
        pid=os.getpid(),
        start=start,
        boot=boot,
        started_at=time.time(),
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
