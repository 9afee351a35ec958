"""The same answers as an ASGI application: the fallback for whoever trusts a well-known HTTP server more than ours.

`--server asgi` runs it under uvicorn, at about a third of the speed; any other ASGI server can take `Application` too.
What the HTTP server below does is its own business (reading requests, keeping connections, limiting headers); limits
of size and time hold here as they do in `protocol`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from turnout.predictor.answering import ONCE, Desk, answer
from turnout.predictor.inference import Outcome
from turnout.predictor.protocol import Limits
from turnout.predictor.responses import RETRY
from turnout.predictor.routes import Page, problem

__all__ = ["Application", "AsgiFront"]

Message = MutableMapping[str, Any]
Reply = tuple[int, list[tuple[bytes, bytes]], bytes]


class _Exchange:
    """One request; its reply is a future."""

    def __init__(self, desk: Desk, version: bytes) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._desk = desk
        self._version = version
        self._found: Reply | None = None

    def answer(self, outcome: Outcome) -> None:
        """Take a prediction, or the reason why there is none; the batcher has counted it."""
        if not outcome.prediction_id:
            self._found = self._page(Page(outcome.status, outcome.body, version=outcome.version))
            return
        headers = [
            (b"content-type", outcome.content_type),
            (b"x-turnout-version", outcome.version),
            (b"x-turnout-id", outcome.prediction_id.encode()),
            *outcome.headers,
        ]
        self._found = (outcome.status, headers, outcome.body)

    def answer_page(self, page: Page) -> None:
        """Take any other reply."""
        self._desk.metrics.count_reply(page.status)
        self._found = self._page(page)

    def send(self) -> None:
        """Wake the task that waits; it may have gone with its client."""
        if self._found is not None and not self.reply.done():
            self.reply.set_result(self._found)

    def _page(self, page: Page) -> Reply:
        more = (RETRY,) if page.status == 503 else ()
        headers = [(b"content-type", page.content_type), (b"x-turnout-version", page.version or self._version)]
        return page.status, [*headers, *page.headers, *more], page.body


class Application:
    """The desk, spoken to in ASGI."""

    def __init__(self, desk: Desk, *, version: str, limits: Limits) -> None:
        self._desk = desk
        self._version = version.encode()
        self._limits = limits

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request; there is nothing to do at start and end."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(self._desk, self._version)
        complaint = await self._handle(scope, receive, exchange)
        if complaint is not None:
            exchange.answer_page(complaint)
            exchange.send()
        status, headers, body = await exchange.reply
        closing = [(b"connection", b"close")] if complaint is not None or self._desk.draining else []
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length, *closing]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _handle(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], exchange: _Exchange
    ) -> Page | None:
        """Give the request to the desk, or say why not."""
        headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]):
            names = [name for name, _ in scope["headers"]]
            for name in ONCE:
                if names.count(name) > 1:
                    return problem(400, f"{name.decode()}: wanted one, found two")
        try:
            async with asyncio.timeout(self._limits.request_s):
                body = await self._body(receive)
        except TimeoutError:
            return problem(408, f"request: wanted all of it within {self._limits.request_s:g} s")
        if body is None:
            return problem(413, f"body: wanted at most {self._limits.body_bytes} bytes")
        url = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            url = b"%b?%b" % (url, scope["query_string"])
        answer(self._desk, exchange, method=scope["method"].encode(), url=url, headers=headers, body=body)
        return None

    async def _body(self, receive: Callable[[], Awaitable[Message]]) -> bytes | None:
        """The whole body; None when it is too long."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > self._limits.body_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the process that it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AsgiFront:
    """The application under uvicorn; see `fronts.Front`."""

    def __init__(self, desk: Desk, *, version: str, limits: Limits) -> None:
        config = uvicorn.Config(
            Application(desk, version=version, limits=limits),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=int(limits.idle_s),
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def open(self, listener: socket.socket) -> None:
        """Listen, and answer from now on."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn tells it by this flag only
            await asyncio.sleep(0.005)

    def pulse(self) -> None:
        """uvicorn looks after its connections by itself."""

    async def close(self, *, timeout_s: float) -> None:
        """Take no more, and wait for what is under way."""
        assert self._task is not None
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, timeout_s)
