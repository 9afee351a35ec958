"""Where a Prometheus server asks a process what it does, and a kubelet whether it lives.

A port of its own: HTTPRoutes bring everybody to the one that callers use, and a NetworkPolicy knows ports, not paths.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector, disable_created_metrics

from turnout.errors import Failed, InputError

__all__ = ["DURATION_BUCKETS_S", "MonitoringPort", "read_address", "registry"]

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ASKER_S = 10.0  # whoever has not asked by then is hung up on
_log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series a counter, for which nobody asks


def registry() -> CollectorRegistry:
    """One with what the kernel knows of this process: memory, processor time, open files."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


def read_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`.

    Raises:
        InputError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise InputError(f"--metrics: wanted host:port, found {text!r}")
    return host, int(port)


class MonitoringPort:
    """Answers `GET /metrics` and `GET /healthz` from a thread of its own between `start` and `stop`."""

    def __init__(
        self, metrics: CollectorRegistry, address: tuple[str, int], *, is_healthy: Callable[[], bool] = lambda: True
    ) -> None:
        try:
            self._server = _Server(address, _handler(metrics, is_healthy))
        except OSError as error:
            raise Failed(f"cannot listen on {address[0]}:{address[1]}: {os.strerror(error.errno or 0)}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="monitoring", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        _log.info("metrics: http://%s:%d/metrics", self._server.server_address[0], self.port)

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    """Not http.server's own, which asks the name service for its name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An answer that failed: the asker has gone, or a mistake of ours."""
        _log.warning("metrics: no answer to %s", client_address, exc_info=True)


def _handler(metrics: CollectorRegistry, is_healthy: Callable[[], bool]) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        registry = metrics
        timeout = _ASKER_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                super().do_GET()
            elif path == "/healthz":
                self._say(HTTPStatus.OK if is_healthy() else HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                self._say(HTTPStatus.NOT_FOUND)

        def _say(self, status: HTTPStatus) -> None:
            body = f"{status.phrase}\n".encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
