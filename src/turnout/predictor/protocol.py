"""HTTP/1.1 on llhttp: bytes to requests, and replies back in the order in which their requests came.

The parser is llhttp (what Node runs), strict: ambiguous lengths, bare line feeds and folded headers are 400 and the
connection closes. This module adds what a parser cannot know: limits of size and time, the order of pipelined replies,
and who closes when.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import httptools

from turnout.predictor.answering import ONCE, Desk, answer
from turnout.predictor.inference import Outcome
from turnout.predictor.responses import CONTINUE, Responses
from turnout.predictor.routes import Page, problem

__all__ = ["Connection", "Limits", "Site"]

# Headers about the connection itself. Most requests have none of them, and one look says so.
_TELLING = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True)
class Limits:
    """What one connection may take."""

    body_bytes: int = 16 * 1024 * 1024
    head_bytes: int = 32 * 1024
    pipelined: int = 256
    request_s: float = 30.0
    # Longer than the hour for which Envoy keeps idle connections: whoever closes first should be the client, or its
    # next request runs into the closing.
    idle_s: float = 3700.0
    linger_s: float = 2.0
    connections: int = 10_000


@dataclass
class Site:
    """What all connections of a server share."""

    desk: Desk
    responses: Responses
    limits: Limits
    connections: set[Connection] = field(default_factory=set)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)  # draining, and the last connection has gone


class Exchange:
    """One request and its reply: the seam between a connection and whoever answers."""

    __slots__ = ("_connection", "is_head", "keep_alive", "reply")

    def __init__(self, connection: Connection, keep_alive: bool, is_head: bool = False) -> None:
        self._connection = connection
        self.keep_alive = keep_alive
        self.is_head = is_head
        self.reply: bytes | None = None

    def answer(self, outcome: Outcome) -> None:
        """Take a prediction, or the reason why there is none; the batcher has counted it."""
        responses = self._connection.site.responses
        if outcome.prediction_id:
            self.reply = responses.prediction(outcome, keep_alive=self.keep_alive)
        else:
            page = Page(outcome.status, outcome.body, version=outcome.version)
            self.reply = responses.page(page, keep_alive=self.keep_alive)

    def answer_page(self, page: Page) -> None:
        """Take any other reply."""
        site = self._connection.site
        site.desk.metrics.count_reply(page.status)
        self.reply = site.responses.page(page, keep_alive=self.keep_alive, without_body=self.is_head)

    def send(self) -> None:
        """Send every reply of this connection whose turn it is."""
        self._connection.send()


class Connection(asyncio.Protocol):
    """One client. The `on_...` methods are called by the parser, in the order of the bytes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._desk = site.desk
        self._limits = site.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchanges: deque[Exchange] = deque()
        self._closing = False  # nothing more is read; closes behind the last reply
        self._refused = False  # the client may still be sending what was refused: linger before closing
        self._client_done = False
        self._reading_paused = False
        self._write_blocked_since_s = 0.0
        self._last_active_s = time.monotonic()
        self._started_s = 0.0  # when the request that is still arriving began; 0 between requests
        self._in_head = True  # what comes next belongs to a head
        self._begin()

    # --- the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports share no class with asyncio's
        self.site.connections.add(self)
        if len(self.site.connections) > self._limits.connections:
            self._refuse(503, f"connections: wanted at most {self._limits.connections}")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._closing = True
        self.site.connections.discard(self)
        if self.site.desk.draining and not self.site.connections:
            self.site.emptied.set()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._taken_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request itself is answered (without a body, `_unreadable`); what follows is another protocol.
            self._closing = True
            self.send()
        except httptools.HttpParserError as error:
            if not self._closing:  # llhttp also complains about bytes behind the last request, which nobody reads
                self._refuse(400, f"not HTTP/1.1: {error}")
        if self._url and not self._closing:  # only the beginning of a request has come, which is rare
            self._started_s = self._started_s or time.monotonic()
            if self._in_head and self._taken_bytes > self._limits.head_bytes:
                self._refuse(431, f"headers: wanted at most {self._limits.head_bytes} bytes")

    def eof_received(self) -> bool:
        """The client sends no more; True keeps the socket open for the replies that it still waits for."""
        self._client_done = True
        self._closing = True
        return bool(self._exchanges)

    def pause_writing(self) -> None:
        self._write_blocked_since_s = time.monotonic()
        self._regulate()

    def resume_writing(self) -> None:
        self._write_blocked_since_s = 0.0
        self._regulate()

    # --- the parser calls ---

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self._headers:
            self._repeated_bytes += len(name) + len(value)
            if name in ONCE:
                self._twice = name
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._closing:
            return
        headers, limits = self._headers, self._limits
        # What was taken bounds the head, so that the heads of most requests need not be measured.
        if self._taken_bytes > limits.head_bytes and (found := self._head_bytes()) > limits.head_bytes:
            self._refuse(431, f"headers: wanted at most {limits.head_bytes} bytes, found {found}")
        elif int(headers.get(b"content-length", b"0")) > limits.body_bytes:
            self._refuse_body()
        elif not _TELLING.isdisjoint(headers) or b"host" not in headers or self._twice:
            self._is_plain = False
            self._heed()

    def _heed(self) -> None:
        """Act on the headers that are about the connection itself."""
        if (ambiguity := self._ambiguity()) is not None:
            self._refuse(400, ambiguity)
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            # In the queue like a reply: the client of a pipelined request must not take it for an earlier one's.
            interim = Exchange(self, True)
            interim.reply = CONTINUE
            self._exchanges.append(interim)
            self.send()

    def on_body(self, body: bytes) -> None:
        if self._closing:
            return
        self._body_bytes += len(body)
        self._body.append(body)
        if self._body_bytes > self._limits.body_bytes:
            self._refuse_body()

    def on_message_complete(self) -> None:
        if self._closing:
            return
        url, headers, body, is_plain = self._url, self._headers, self._body, self._is_plain
        self._begin()
        parser, desk, exchanges = self._parser, self._desk, self._exchanges
        method = parser.get_method()
        keep_alive = parser.should_keep_alive() and not desk.draining
        if keep_alive and not is_plain:
            keep_alive = self._keeps_alive(headers)
        exchange = Exchange(self, keep_alive, method == b"HEAD")
        exchanges.append(exchange)
        self._closing = not keep_alive
        if not is_plain and b"upgrade" in headers and method == b"POST":
            # The parser leaves the body of such a request to the other protocol.
            exchange.answer_page(problem(400, "upgrade: this server speaks HTTP/1.1; send the request without it"))
            exchange.send()
        else:
            whole = body[0] if len(body) == 1 else b"".join(body)
            answer(desk, exchange, method=method, url=url, headers=headers, body=whole)
        if len(exchanges) > self._limits.pipelined:
            self._regulate()

    # --- the server calls ---

    def send(self) -> None:
        """Write the replies at the head of the queue; a later one never overtakes an earlier one."""
        exchanges, transport = self._exchanges, self._transport
        ready: list[bytes] = []
        while exchanges and (reply := exchanges[0].reply) is not None:
            exchanges.popleft()
            ready.append(reply)
        if transport is None or transport.is_closing():
            return
        if ready:
            self._last_active_s = time.monotonic()
            transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if self._reading_paused:
            self._regulate()
        if self._closing and not exchanges:
            self._hang_up(transport)

    def expire(self, now_s: float) -> None:
        """Called every second or so: nobody may hold a connection by sending or reading slowly."""
        if self._transport is None:
            return
        limits = self._limits
        if self._closing and not self._exchanges:
            if now_s - self._last_active_s > limits.linger_s:
                self._transport.abort()
        elif self._write_blocked_since_s and now_s - self._write_blocked_since_s > limits.request_s:
            self._transport.abort()
        elif self._started_s and not self._closing and now_s - self._started_s > limits.request_s:
            self._refuse(408, f"request: wanted all of it within {limits.request_s:g} s")
        elif not self._started_s and not self._exchanges and now_s - self._last_active_s > limits.idle_s:
            self._transport.close()

    def finish(self) -> None:
        """The server ends: close behind the replies that are under way."""
        self._closing = True
        self.send()

    # --- steps ---

    def _begin(self) -> None:
        """Forget the last request."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._taken_bytes = 0  # of this request and whatever came with it: a header without end is never a header
        self._repeated_bytes = 0
        self._twice = b""
        self._in_head = True
        self._is_plain = True  # its headers say nothing about the connection
        self._started_s = 0.0

    def _head_bytes(self) -> int:
        """The size of the head, without what separates its parts."""
        return (
            len(self._url) + self._repeated_bytes + sum(len(name) + len(self._headers[name]) for name in self._headers)
        )

    def _keeps_alive(self, headers: dict[bytes, bytes]) -> bool:
        if b"upgrade" in headers:
            return False
        # HTTP/1.0 would need a header in the reply; it is rare enough to be closed instead.
        return b"connection" not in headers or self._parser.get_http_version() != "1.0"

    def _ambiguity(self) -> str | None:
        """What in these headers could be understood in two ways."""
        if self._twice:
            return f"{self._twice.decode()}: wanted one, found two"
        if b"host" not in self._headers and self._parser.get_http_version() != "1.0":
            return "host: wanted one, found none"
        if (coding := self._headers.get(b"transfer-encoding")) is not None:
            if self._parser.get_http_version() == "1.0":
                return "transfer-encoding: wanted HTTP/1.1, found HTTP/1.0"
            if coding.lower() != b"chunked":  # llhttp takes `gzip, chunked` too, and nobody here would unpack it
                return f"transfer-encoding: wanted chunked, found {coding[:80].decode('latin-1')}"
        return None

    def _refuse_body(self) -> None:
        self._refuse(413, f"body: wanted at most {self._limits.body_bytes} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Answer in turn and read no further."""
        self._closing = True
        self._refused = True
        self._body = []
        exchange = Exchange(self, False)
        exchange.answer_page(problem(status, message))
        self._exchanges.append(exchange)
        self.send()

    def _regulate(self) -> None:
        """Read no more than is answered, and than the client reads."""
        wanted = bool(self._write_blocked_since_s) or len(self._exchanges) > self._limits.pipelined // 2
        transport = self._transport
        if transport is None or transport.is_closing() or wanted == self._reading_paused:
            return
        self._reading_paused = wanted
        if wanted:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _hang_up(self, transport: asyncio.Transport) -> None:
        if self._refused and not self._client_done and transport.can_write_eof():
            # Closing at once would reset the connection under a client that is still sending, and take the reply
            # with it. `expire` closes for good.
            self._refused = False
            transport.write_eof()
        else:
            transport.close()
