"""The two HTTP layers that a server can have, behind the same three verbs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Protocol

from turnout.predictor.answering import Desk
from turnout.predictor.protocol import Connection, Limits, Site
from turnout.predictor.responses import Responses

__all__ = ["Front", "OwnFront"]


class Front(Protocol):
    """An HTTP layer."""

    async def open(self, listener: socket.socket) -> None:
        """Listen, and answer from now on."""

    def pulse(self) -> None:
        """Called several times a second."""

    async def close(self, *, timeout_s: float) -> None:
        """Take no more, and return when what is under way has been answered or the time is over."""


class OwnFront:
    """Our own HTTP/1.1; see `protocol`."""

    def __init__(self, desk: Desk, responses: Responses, limits: Limits) -> None:
        self._site = Site(desk=desk, responses=responses, limits=limits)
        self._server: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        """Listen, and answer from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self._site), sock=listener, backlog=1024)

    def pulse(self) -> None:
        """Let go of clients that take too long."""
        now_s = time.monotonic()
        for connection in tuple(self._site.connections):
            connection.expire(now_s)

    async def close(self, *, timeout_s: float) -> None:
        """Let every connection end behind the replies that it still waits for."""
        assert self._server is not None
        self._server.close()
        if not self._site.connections:
            return
        for connection in tuple(self._site.connections):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._site.emptied.wait(), timeout_s)
