"""One request, whichever HTTP layer read it: find its route, check its headers, hand it to whoever answers.

`protocol` (our own HTTP/1.1) and `asgi` (any ASGI server) both end here, so they answer alike.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from turnout.errors import InputError, TurnoutError
from turnout.predictor import events
from turnout.predictor.batching import Waiting
from turnout.predictor.calls import MAX_CALLER_ID, Dialect
from turnout.predictor.inference import JSON, RAW, Request
from turnout.predictor.metrics import Metrics
from turnout.predictor.routes import Act, Infer, Page, Route, Routes, problem
from turnout.predictor.subjects import subject
from turnout.predictor.tracing import trace_of

__all__ = ["MAX_TEXT", "ONCE", "Desk", "Exchange", "answer"]

MAX_TEXT = 256  # stamp and request id, made by the gateway, go into every record

# Twice one of these could mean two things to two programs: a proxy may have judged by one, and we would act on the
# other. The parsers refuse a second content-length; llhttp takes any codings before a last one that is chunked.
ONCE = frozenset(
    {
        b"content-encoding",
        b"content-type",
        b"host",
        b"inference-header-content-length",
        b"transfer-encoding",
        b"x-turnout-assigned",
        b"x-turnout-caller-id",
    }
)

_RARE = frozenset(
    {
        b"ce-specversion",
        b"content-encoding",
        b"traceparent",
        b"x-turnout-caller-id",
    }
)
_TOLD = _RARE | {b"inference-header-content-length", b"x-request-id", b"x-turnout-assigned"}
_OFTEN = frozenset({b"", JSON, RAW})  # types of content about which there is nothing to be asked

_log = logging.getLogger("turnout.predictor")


class Exchange(Waiting, Protocol):
    """One request and its reply: the seam between an HTTP layer and whoever answers."""

    def answer_page(self, page: Page) -> None:
        """Take a reply that is no prediction, and send nothing yet."""


@dataclass
class Desk:
    """What answering needs, whoever asks."""

    routes: Routes
    metrics: Metrics
    event_replies: events.Replies = field(default_factory=events.Replies)
    draining: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # under way; the loop keeps only weak references


class _Refused(TurnoutError):
    """The headers say that this request cannot be answered; `status` is the instance's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def answer(
    desk: Desk, exchange: Exchange, *, method: bytes, url: bytes, headers: Mapping[bytes, bytes], body: bytes
) -> None:
    """Answer now, or let the exchange be answered later. Header names are in lower case."""
    route = desk.routes.find(url)
    if type(route) is Infer:
        dialect: Dialect | None = None
        if method == b"POST":
            dialect = route.dialect
        elif method == b"GET" and route.query is not None:
            dialect, body = route.query, url.partition(b"?")[2]
        if dialect is not None:
            request = Request(dialect, route.model, body, len(body), time.perf_counter())
            if headers.get(b"content-type", b"") not in _OFTEN or not _TOLD.isdisjoint(headers):
                try:
                    _add_told(request, headers, desk.event_replies)
                except TurnoutError as error:
                    exchange.answer_page(problem(error.status, str(error)))
                    exchange.send()
                    return
            route.batcher.submit(request, exchange)
            return
    if type(route) is Act and method == b"POST":
        _act(desk, route, exchange, body)
        return
    exchange.answer_page(_page(desk, route, method, url))
    exchange.send()


def _page(desk: Desk, route: Route | None, method: bytes, url: bytes) -> Page:
    if route is None:
        return desk.routes.not_found(url)
    if isinstance(route, Infer | Act) or method not in {b"GET", b"HEAD"}:
        message = f"method: wanted {route.allow.decode()}, found {method[:40].decode(errors='replace')}"
        return problem(405, message, (b"allow", route.allow))
    return route.page()


def _act(desk: Desk, route: Act, exchange: Exchange, body: bytes) -> None:
    async def act() -> None:
        try:
            page = await route.run(body)
        except Exception:  # noqa: BLE001 - a mistake of ours must answer this caller and leave the server alone
            _log.exception("a call failed")
            page = problem(500, "internal error")
        exchange.answer_page(page)
        exchange.send()

    task = asyncio.get_running_loop().create_task(act())
    desk.tasks.add(task)
    task.add_done_callback(desk.tasks.discard)


def _add_told(request: Request, headers: Mapping[bytes, bytes], event_replies: events.Replies) -> None:
    """What the headers say about the request."""
    get = headers.get
    content_type = get(b"content-type", b"")
    if (stamp := get(b"x-turnout-assigned")) is not None:
        request.stamp = _text(stamp)
        request.subject = subject(request.stamp, get)
    if (request_id := get(b"x-request-id")) is not None:
        request.request_id = _text(request_id)
    if (length := get(b"inference-header-content-length")) is not None:
        request.header_length = _header_length(length, content_type)
    if content_type not in _OFTEN or not _RARE.isdisjoint(headers):
        _add_rare(request, headers, event_replies)


def _add_rare(request: Request, headers: Mapping[bytes, bytes], event_replies: events.Replies) -> None:
    """What few requests say: one look at their names tells those that say none of it."""
    get = headers.get
    caller_id = get(b"x-turnout-caller-id", b"")
    if len(caller_id) > MAX_CALLER_ID:
        raise InputError(f"x-turnout-caller-id: wanted at most {MAX_CALLER_ID} characters, found {len(caller_id)}")
    encoding = get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise _Refused(415, f"content-encoding: wanted none, found {encoding[:40].decode('latin-1')}")
    content_type = get(b"content-type", b"")
    if b"ce-specversion" in headers:
        request.event = events.binary_event(headers, event_replies)
    elif content_type.startswith(events.BATCH):
        raise _Refused(415, "content-type: wanted one CloudEvent, found a batch of them")
    elif content_type.startswith(events.STRUCTURED):
        request.event, request.body = events.structured_event(request.body, event_replies)
    if (parent := get(b"traceparent")) is not None:
        request.trace = trace_of(parent, get(b"tracestate", b""))
    request.caller_id = _text(caller_id)


def _header_length(value: bytes, content_type: bytes) -> int:
    """How much of the body is JSON, in front of the raw tensors."""
    if content_type.startswith(b"application/json"):
        raise InputError("content-type: wanted application/octet-stream for raw tensors, found application/json")
    if not value.isdigit() or not (length := int(value[:20])) > 0:
        raise InputError(
            f"inference-header-content-length: wanted a number of bytes, found {value[:40].decode('latin-1')!r}"
        )
    return length


def _text(value: bytes | None) -> str | None:
    return value[:MAX_TEXT].decode("latin-1") if value else None
