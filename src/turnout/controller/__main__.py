"""`python -m turnout.controller`: lead, look at everything, and reconcile each Turnout at its own pace."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from turnout import monitoring, settings
from turnout.controller import guarding
from turnout.controller.aliases import Aliases
from turnout.controller.leasing import Leadership
from turnout.controller.measuring import Metrics, Result
from turnout.controller.observing import World
from turnout.controller.probing import HttpGateway, Prober
from turnout.controller.reconciling import Controller
from turnout.errors import Conflict, Failed, InputError, NotFound, TurnoutError, Unavailable
from turnout.kube import discovery
from turnout.kube.client import Kube, connect
from turnout.ledger.client import LedgerClient
from turnout.monitoring import MonitoringPort

log = logging.getLogger("turnout.controller")

_STUCK_S = 300.0  # a loop that stands for so long stands for good: each of its calls gives up much sooner
_AT_ONCE = 32  # Turnouts reconciled at the same time; they wait for servers, not for the processor


def look(kube: Kube, domain: str) -> World:
    """List everything once for all Turnouts."""

    def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
        return {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in objects}

    turnouts = kube.list("Turnout")
    is_sticky = any(((obj.get("spec") or {}).get("sticky") or {}).get("header") for obj in turnouts)
    return World(
        turnouts=turnouts,
        versions=by_name(kube.list("InferenceService")),
        routes=by_name(kube.list("HTTPRoute")),
        policies=by_name(_policies(kube)) if is_sticky else None,
        domain=domain,
        now_us=time.time_ns() // 1000,
    )


def _policies(kube: Kube) -> list[dict[str, Any]]:
    try:
        return kube.list("BackendTrafficPolicy")
    except NotFound:
        return []  # another gateway than Envoy's


class Rounds:
    """Starts a reconcile per Turnout and round. One that is slow misses rounds; one that fails is tried again."""

    def __init__(self, controller: Controller, metrics: Metrics) -> None:
        self._controller, self._metrics = controller, metrics
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="reconcile")
        self._running: dict[str, Future[None]] = {}

    def go(self, world: World, *, term: int) -> None:
        """One round; waits for nobody."""
        for turnout in world.turnouts:
            name = f"{turnout['metadata']['namespace']}/{turnout['metadata']['name']}"
            running = self._running.get(name)
            if running is None or running.done():
                self._running[name] = self._pool.submit(self._one, name, dict(turnout), world, term)

    def stop(self) -> None:
        """Let those that run come to their end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, name: str, turnout: dict[str, Any], world: World, term: int) -> None:
        began_s = time.perf_counter()
        result = self._ended(name, turnout, world, term)
        self._metrics.count_reconcile(result, duration_s=time.perf_counter() - began_s)

    def _ended(self, name: str, turnout: dict[str, Any], world: World, term: int) -> Result:
        try:
            self._controller.reconcile(turnout, world, term=term)
        except Conflict as error:
            log.info("%s: somebody was faster, next round: %s", name, error)
            return "conflict"
        except TurnoutError as error:
            log.warning("%s: %s", name, error)
            return "error"
        except Exception:  # the outer loop: one Turnout's bug must not stop the others; it is logged with its trace
            log.exception("%s: reconcile failed", name)
            return "bug"
        return "done"


def run(stop: threading.Event, arguments: argparse.Namespace, metrics: Metrics | None = None) -> None:
    """Lead and reconcile until told to stop; wait out an API server that is away."""
    metrics = metrics or Metrics()
    kube, addresses = _connect(stop, arguments.interval, metrics)
    if kube is None or addresses is None:
        return
    leadership = Leadership(kube, arguments.name, duration_s=arguments.lease)
    controller = Controller(
        kube,
        LedgerClient(addresses.ledger_url, lambda: discovery.ledger_token(kube)),
        Aliases(addresses.mlflow_uri),
        Prober(HttpGateway(addresses.gateway_url)),
        metrics,
    )
    rounds = Rounds(controller, metrics)
    while not stop.is_set():
        is_done = False
        try:
            if term := leadership.hold():
                world = look(kube, addresses.domain)
                rounds.go(world, term=term)
                guarding.release_orphans(world, kube)
            is_done = True
        except TurnoutError as error:
            log.warning("%s", error)
        metrics.count_round(is_leading=bool(leadership.term), is_done=is_done)
        stop.wait(arguments.interval)
    rounds.stop()
    try:
        leadership.release()
    except TurnoutError as error:
        log.info("the lease was not given back: %s", error)


def _connect(
    stop: threading.Event, interval_s: float, metrics: Metrics
) -> tuple[Kube | None, discovery.Addresses | None]:
    while not stop.is_set():
        try:
            kube = connect()
            return kube, discovery.discover(kube)
        except Unavailable as error:
            log.warning("%s", error)
            metrics.count_round(is_leading=False, is_done=False)
            stop.wait(max(interval_s, error.retry_after_s))
    return None, None


def main() -> int:
    """Run until SIGTERM; the exit code."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=settings.read("TURNOUT_LOG_LEVEL"), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with _measured(arguments.metrics) as metrics:
            log.info("controller starts")
            run(stop, arguments, metrics)
            log.info("controller stops")
    except (Failed, InputError) as error:
        print(f"turnout.controller: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnout.controller", description="The Turnout controller.")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two rounds (default: 0.5)")
    parser.add_argument("--lease", type=float, default=15.0, help="seconds after which a silent leader is replaced")
    parser.add_argument("--name", default=socket.gethostname(), help="of this replica (default: the host name)")
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="where to answer /metrics for Prometheus and /healthz for a kubelet; none unless it is given",
    )
    return parser


@contextmanager
def _measured(address: str | None) -> Iterator[Metrics]:
    """Metrics, and a port that shows them when there is an address for it."""
    registry = monitoring.registry()
    metrics = Metrics(registry)
    if not address:
        yield metrics
        return
    port = MonitoringPort(
        registry, monitoring.read_address(address), is_healthy=lambda: metrics.has_turned(within_s=_STUCK_S)
    )
    port.start()
    try:
        yield metrics
    finally:
        port.stop()


if __name__ == "__main__":
    sys.exit(main())
