from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.registry import Collector

from turnout import monitoring
from turnout.errors import Failed, InputError
from turnout.monitoring import MonitoringPort

LOOPBACK = ("127.0.0.1", 0)


class Shown:
    """A port over a registry with one counter, well until somebody says otherwise."""

    def __init__(self) -> None:
        self.registry, self.is_healthy = monitoring.registry(), True
        Counter("turnout_things_total", "Things.", registry=self.registry).inc(3)
        self.port = MonitoringPort(self.registry, LOOPBACK, is_healthy=lambda: self.is_healthy)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port.port}{path}")


@pytest.fixture
def shown() -> Iterator[Shown]:
    made = Shown()
    made.port.start()
    yield made
    made.port.stop()


def test_metrics_are_shown_as_prometheus_reads_them_with_those_of_the_process(shown: Shown) -> None:
    reply = shown.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert "turnout_things_total 3.0" in reply.text
    assert "process_resident_memory_bytes" in reply.text


def test_health_is_what_the_process_says_of_itself(shown: Shown) -> None:
    assert (shown.get("/healthz").status_code, shown.get("/healthz").text) == (200, "OK\n")
    shown.is_healthy = False
    assert shown.get("/healthz").status_code == 503


@pytest.mark.parametrize("path", ["/", "/v1/predictions", "/metrics/more"])
def test_there_is_nothing_else(shown: Shown, path: str) -> None:
    assert shown.get(path).status_code == 404


def test_a_mistake_in_a_metric_breaks_one_answer_and_is_logged(shown: Shown, caplog: pytest.LogCaptureFixture) -> None:
    class Mistaken(Collector):
        def collect(self) -> Iterator[object]:  # type: ignore[override]
            raise RuntimeError("a mistake of ours")

    mistaken = Mistaken()
    shown.registry.register(mistaken)
    with caplog.at_level(logging.WARNING), pytest.raises(httpx.RemoteProtocolError):
        shown.get("/metrics")
    assert "a mistake of ours" in caplog.text
    shown.registry.unregister(mistaken)
    assert shown.get("/metrics").status_code == 200


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(LOOPBACK) as taken:
        address = taken.getsockname()
        with pytest.raises(Failed, match=rf"cannot listen on 127.0.0.1:{address[1]}: Address already in use"):
            MonitoringPort(CollectorRegistry(), address)


def test_a_port_that_was_never_started_can_be_stopped() -> None:
    MonitoringPort(CollectorRegistry(), LOOPBACK).stop()


def test_an_address_is_a_host_and_a_port() -> None:
    assert monitoring.read_address("0.0.0.0:9090") == ("0.0.0.0", 9090)


@pytest.mark.parametrize("text", ["", "9090", ":9090", "here:", "here:http", "here:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--metrics: wanted host:port, found '"):
        monitoring.read_address(text)
