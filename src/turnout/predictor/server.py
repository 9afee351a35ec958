"""One predictor process: wires the parts, listens, and ends without losing a request or a record."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import time

from turnout.errors import Conflict, Failed
from turnout.predictor import artifact
from turnout.predictor.arguments import Arguments
from turnout.predictor.batching import Batcher
from turnout.predictor.identity import Identity
from turnout.predictor.inference import Inference
from turnout.predictor.metrics import Metrics
from turnout.predictor.model import Model
from turnout.predictor.protocol import Connection, Limits, Site
from turnout.predictor.recording import Recording, record
from turnout.predictor.responses import Responses
from turnout.predictor.routes import Routes
from turnout.predictor.shipper import PULSE_S
from turnout.predictor.v1 import V1
from turnout.predictor.v2 import V2

__all__ = ["serve"]

QUIET_S = 0.3  # without a request for this long after turning not ready, the gateway has turned away
FINISH_S = 5.0  # for replies under way, and for the last records

_log = logging.getLogger("turnout.predictor")


async def serve(arguments: Arguments) -> None:
    """Load, listen and answer until SIGTERM or SIGINT; then turn not ready, answer on, ship the log and return.

    Raises:
        ModelError: the artifact is not what the digest says, or cannot be served.
        Conflict: the port or the log folder is taken.
    """
    manifest = artifact.load(arguments.model_dir, digest=arguments.digest)
    model = Model(manifest)
    listener = _bind(arguments.http_host, arguments.http_port)
    recording = _recording(arguments)
    site = _site(arguments, model, recording)
    # What has been loaded stays for ever: let the collector never walk through it again.
    gc.freeze()
    stopping = _stop_signals()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), sock=listener, backlog=1024)
    recording.start()
    print(f"turnout.predictor: {arguments.model_name} answers at {_address(listener)}", flush=True)
    housekeeping = asyncio.create_task(_keep_house(site, recording))
    await stopping.wait()
    await _drain(site, grace_s=arguments.grace_s)
    server.close()
    await _hang_up(site)
    housekeeping.cancel()
    site.batcher.close()
    recording.finish(timeout_s=FINISH_S)


def _recording(arguments: Arguments) -> Recording:
    return record(
        arguments.log_dir,
        _identity(arguments),
        ledger_url=arguments.ledger_url,
        ledger_token_file=arguments.ledger_token_file,
        policy=arguments.policy,
        loop=asyncio.get_running_loop(),
    )


def _site(arguments: Arguments, model: Model, recording: Recording) -> Site:
    version = arguments.model_name
    metrics = Metrics(model=arguments.endpoint, version=version)
    inference = Inference(model, _identity(arguments))
    batcher = Batcher(inference, recording.recorder, metrics, loop=asyncio.get_running_loop())

    def metrics_text() -> str:
        return "\n".join([*metrics.lines(), *recording.metrics(metrics.labels), ""])

    routes = Routes(
        names=tuple(dict.fromkeys((arguments.endpoint, version))),
        version=version,
        manifest=model.manifest,
        v1=V1(model.manifest),
        v2=V2(model.manifest, version=version),
        is_ready=lambda: not site.draining,
        metrics_text=metrics_text,
    )
    site = Site(
        routes=routes,
        batcher=batcher,
        responses=Responses(version=version),
        metrics=metrics,
        limits=Limits(body_bytes=arguments.max_body_bytes, request_s=arguments.request_timeout_s),
    )
    return site


def _identity(arguments: Arguments) -> Identity:
    return Identity(
        namespace=arguments.namespace,
        endpoint=arguments.endpoint,
        version=arguments.model_name,
        pod=arguments.pod,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"http://{host}:{port}: this port is taken by another process") from error
        raise Failed(f"http://{host}:{port}: cannot listen: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _keep_house(site: Site, recording: Recording) -> None:
    """Five times a second: look after the log, and let go of clients that take too long."""
    while True:
        await asyncio.sleep(PULSE_S)
        recording.pulse()
        now_s = time.monotonic()
        for connection in tuple(site.connections):
            connection.expire(now_s)


async def _drain(site: Site, *, grace_s: float) -> None:
    """Not ready from now on; answers on until requests stop coming or the grace is over."""
    site.draining = True
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < grace_s:
        if time.perf_counter() - max(started_s, site.batcher.last_request_s) > QUIET_S:
            return
        await asyncio.sleep(0.02)


async def _hang_up(site: Site) -> None:
    """Let every connection end behind the replies that it still waits for."""
    if not site.connections:
        return
    for connection in tuple(site.connections):
        connection.finish()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(site.emptied.wait(), FINISH_S)
