"""Everything that goes wrong, as a problem document (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from turnout.errors import InputError, TurnoutError, Unavailable

__all__ = ["HANDLERS", "TooLarge", "TooMany", "UnknownKind", "problem"]


class TooLarge(InputError):
    """The body is larger than this call takes."""

    status = 413


class UnknownKind(InputError):
    """The body is of a kind that this call does not read."""

    status = 415


class TooMany(Unavailable):
    """The caller asks for more than its share."""

    status = 429


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(orjson.dumps(content), status, headers=dict(headers or {}), media_type="application/problem+json")


def _on_turnout_error(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, TurnoutError) else 500
    headers = {"retry-after": str(math.ceil(error.retry_after_s))} if isinstance(error, Unavailable) else None
    return problem(status, str(error), headers=headers)


def _on_http_exception(request: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    if status == HTTPStatus.NOT_FOUND:
        return problem(status, f"there is nothing at {request.url.path}; /openapi.json lists what there is")
    return problem(status, f"{request.method} {request.url.path}: {HTTPStatus(status).phrase}", headers=headers)


def _on_mistake(_: Request, __: Exception) -> Response:
    """A mistake of ours: the server's log has the traceback, the caller learns no more than that."""
    return problem(500, "the ledger made a mistake; its log has the details")


HANDLERS: dict[Any, Any] = {
    TurnoutError: _on_turnout_error,
    HTTPException: _on_http_exception,
    Exception: _on_mistake,
}
