"""One request on its way through a handler: its query, its body, and the store behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from turnout.errors import InputError
from turnout.ledger.api.measuring import Metrics
from turnout.ledger.api.problems import TooLarge, problem
from turnout.ledger.store import Store

__all__ = ["Call", "as_json", "parsed"]

T = TypeVar("T")

_BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Call:
    """One request, with its query already read."""

    store: Store
    request: Request
    query: dict[str, Any]
    metrics: Metrics

    @property
    def path(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.path_params

    def refusal(self, namespace: str | None) -> Response | None:
        """The answer to a caller who may not ship records of this namespace (None: of the gateway); else None."""
        holder = (self.request.scope.get("state") or {}).get("holder")
        if holder is None or holder.namespace in ("", namespace):
            return None
        own = holder.namespace
        what = f"records of namespace {namespace}" if namespace is not None else "the gateway's log"
        return problem(403, f"{holder.name} may ship predictions of namespace {own}, not {what}")

    @property
    def place(self) -> dict[str, str]:
        """Namespace and name of the Turnout that the call is about."""
        return {"namespace": self.query["namespace"], "turnout": self.path["name"]}

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads of the database."""
        return await asyncio.wrap_future(self.store.read(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` answers, after it is committed."""
        return await asyncio.wrap_future(self.store.write(work))

    async def compute(self, work: Callable[[], T]) -> T:
        """What `work` answers; it takes too long for the event loop."""
        return await asyncio.wrap_future(self.store.compute(work))

    async def body(self, *, limit: int = _BODY_BYTES) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it has more than `limit` bytes; no more than those are read.
        """
        if int(self.request.headers.get("content-length", 0)) > limit:
            raise TooLarge(f"the body may have {limit} bytes at most")
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise TooLarge(f"the body may have {limit} bytes at most")
            parts.append(part)
        return b"".join(parts)


def as_json(content: Any, status: int = 200) -> Response:
    """An answer."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


def parsed(body: bytes) -> Any:
    """A body's JSON.

    Raises:
        InputError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error
