"""A closed-loop load generator for HTTP/1.1 on loopback: a fixed number of connections, bounded in time."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

__all__ = ["Load", "run"]


@dataclass(frozen=True)
class Load:
    """What one run saw."""

    requests: int
    failed: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return (self.requests - self.failed) / self.seconds


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, request: bytes, deadline: float) -> None:
        self._request = request
        self._deadline = deadline
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.requests = self.failed = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by class.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.requests += 1
        self.failed += self._parser.get_status_code() != 200
        if time.perf_counter() < self._deadline:
            self._parser = httptools.HttpResponseParser(self)
            assert self._transport is not None
            self._transport.write(self._request)
        else:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def _run(host: str, port: int, request: bytes, connections: int, seconds: float) -> Load:
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(request, began + seconds), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    elapsed = time.perf_counter() - began
    for transport, _ in made:
        transport.close()
    return Load(sum(p.requests for _, p in made), sum(p.failed for _, p in made), elapsed)


def run(port: int, request: bytes, *, connections: int = 8, seconds: float = 3.0) -> Load:
    """Load 127.0.0.1:port for some seconds."""
    if sys.version_info >= (3, 12):
        return uvloop.run(_run("127.0.0.1", port, request, connections, seconds))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run("127.0.0.1", port, request, connections, seconds))
