"""One predictor process: wires the parts, listens, and ends without losing a request or a record."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnout.errors import Conflict, Failed, InputError
from turnout.predictor import metrics, openapi
from turnout.predictor.answering import Desk
from turnout.predictor.arguments import Arguments
from turnout.predictor.fronts import Front, OwnFront
from turnout.predictor.identity import Identity
from turnout.predictor.jsonlog import AccessLog
from turnout.predictor.metrics import Sheets
from turnout.predictor.model import Load
from turnout.predictor.protocol import Limits
from turnout.predictor.repository import Repository
from turnout.predictor.responses import Responses
from turnout.predictor.routes import Routes
from turnout.predictor.served import Ledger, Serving, serve_version
from turnout.predictor.shipper import PULSE_S

if TYPE_CHECKING:
    from turnout.predictor.over_grpc.server import GrpcServer

__all__ = ["Place", "alone", "bind", "greeting", "serve"]

QUIET_S = 0.3  # without a request for this long after turning not ready, the gateway has turned away
FINISH_S = 5.0  # for replies under way, and for the last records

_log = logging.getLogger("turnout.predictor")


@dataclass(frozen=True)
class Place:
    """Where a process stands among the workers of one server."""

    listener: socket.socket
    sheets: Sheets
    announce: Callable[[int | None], object]  # called when it answers, with the port of gRPC
    worker: int = 0
    workers: int = 1
    grpc_port: int | None = None
    parent: int | None = None  # a file that ends when the process above is gone


async def serve(arguments: Arguments, place: Place, load: Load) -> None:
    """Load, listen and answer until SIGTERM or SIGINT; then turn not ready, answer on, ship the log and return.

    Raises:
        ModelError: the artifact is not what the digest says, or cannot be served.
        Conflict: the port or the log folder is taken.
    """
    stopping = _stop_signals(place)
    desk, repository = _open(arguments, place, load)
    # What has been loaded stays for ever: let the collector never walk through it again. What a request leaves behind
    # has no cycles, so that looking for some after every few requests, as is usual, costs 4 % and finds nothing.
    gc.freeze()
    gc.set_threshold(50_000)
    front = _front(arguments, desk)
    main = repository.main
    main.recording.start()
    await front.open(place.listener)
    grpc = await _grpc(arguments, place, desk, repository)
    place.announce(grpc.port if grpc is not None else None)
    housekeeping = asyncio.create_task(_keep_house(front, repository))
    await stopping.wait()
    await _drain(desk, repository, grace_s=arguments.grace_s)
    await front.close(timeout_s=FINISH_S)
    if grpc is not None:
        await grpc.close(timeout_s=FINISH_S)
    housekeeping.cancel()
    repository.close(timeout_s=FINISH_S)


def alone(arguments: Arguments, sheets: Sheets) -> Place:
    """The place of a process that is the whole server.

    Raises:
        Conflict: the port is taken.
    """
    listener = bind(arguments.http_host, arguments.http_port)
    place = Place(
        listener=listener,
        sheets=sheets,
        announce=lambda grpc_port: print(greeting(arguments, listener, grpc_port), flush=True),
        grpc_port=arguments.grpc_port,
    )
    return place


def greeting(arguments: Arguments, listener: socket.socket, grpc_port: int | None) -> str:
    """The line that says where the server answers."""
    host, port = listener.getsockname()[:2]
    where = f"http://{host}:{port}" + (f" and grpc://{host}:{grpc_port}" if grpc_port is not None else "")
    return f"turnout.predictor: {arguments.model_name} answers at {where}"


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that owns the address and does not listen yet: who comes too early is refused and does not wait.

    Args:
        shared: several sockets may have it, and the kernel deals new connections out among those that listen.

    Raises:
        Conflict: somebody else has the port.
        Failed: this machine does not have the address.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"http://{host}:{port}: this port is taken by another process") from error
        raise Failed(f"http://{host}:{port}: cannot listen: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _open(arguments: Arguments, place: Place, load: Load) -> tuple[Desk, Repository]:
    """Load the version and lay out everything that answers for it."""
    serving = Serving(
        ledger=Ledger(arguments.ledger_url, arguments.ledger_token_file, arguments.policy),
        log_dir=arguments.log_dir,
        max_rows=arguments.max_rows,
        gathers=arguments.batching,
        access_log=AccessLog(version=arguments.model_name) if arguments.access_log else None,
        loop=asyncio.get_running_loop(),
        load=load,
        worker=place.worker,
    )
    identity = Identity(
        namespace=arguments.namespace,
        endpoint=arguments.endpoint,
        version=arguments.model_name,
        pod=arguments.pod,
    )
    model = load(arguments.model_dir, digest=arguments.digest)
    main = serve_version(model, identity, serving, sheets=place.sheets, is_main=True)
    repository = Repository(main, serving, folder=arguments.repository, workers=place.workers)

    def metrics_text() -> str:
        return "\n".join([*metrics.together(served.metrics_lines() for served in repository.served.values()), ""])

    routes = Routes(
        is_ready=lambda: not desk.draining,
        metrics_text=metrics_text,
        openapi=lambda: openapi.document(repository.served.values()),
        acts=repository.acts(),
        named_act=repository.named_act,
    )
    repository.show_on(routes)
    desk = Desk(routes=routes, metrics=main.metrics, event_replies=arguments.event_replies)
    return desk, repository


def _front(arguments: Arguments, desk: Desk) -> Front:
    limits = Limits(
        body_bytes=arguments.max_body_bytes,
        request_s=arguments.request_timeout_s,
        connections=min(arguments.max_connections, _raise_open_files() - 100),
    )
    version = arguments.model_name
    if arguments.server == "own":
        return OwnFront(desk, Responses(version=version), limits)
    try:
        from turnout.predictor.asgi import AsgiFront
    except ImportError as error:
        raise InputError(f"--server asgi: wanted the package uvicorn, which is not installed: {error}") from error
    return AsgiFront(desk, version=version, limits=limits)


async def _grpc(arguments: Arguments, place: Place, desk: Desk, repository: Repository) -> GrpcServer | None:
    """The gRPC server, if there is to be one. Its libraries are loaded only then: they cost 40 MB."""
    if place.grpc_port is None:
        return None
    try:
        from turnout.predictor.over_grpc.server import GrpcServer
    except ImportError as error:
        raise InputError(f"--grpc_port: wanted the extra turnout[grpc], which is not installed: {error}") from error
    found = GrpcServer(
        desk,
        repository,
        max_body_bytes=arguments.max_body_bytes,
        max_rows=arguments.max_rows,
        shared=place.workers > 1,
    )
    await found.open(arguments.http_host, place.grpc_port)
    return found


def _raise_open_files() -> int:
    """As many open files as the system allows; connections beyond would not be refused but wait for ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _stop_signals(place: Place) -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if place.parent is not None:
        parent = place.parent

        def orphaned() -> None:
            loop.remove_reader(parent)
            stopping.set()

        loop.add_reader(parent, orphaned)
    return stopping


async def _keep_house(front: Front, repository: Repository) -> None:
    """Five times a second: look after the logs, and let go of clients that take too long."""
    while True:
        await asyncio.sleep(PULSE_S)
        repository.pulse()
        front.pulse()


async def _drain(desk: Desk, repository: Repository, *, grace_s: float) -> None:
    """Not ready from now on; answers on until requests stop coming or the grace is over."""
    desk.draining = True
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < grace_s:
        if time.perf_counter() - max(started_s, repository.last_request_s) > QUIET_S:
            return
        await asyncio.sleep(0.02)
