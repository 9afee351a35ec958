"""The ASGI application: routes from the table of operations, behind one door that asks for the token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.ledger.api import openapi, parameters
from turnout.ledger.api.handlers import Call
from turnout.ledger.api.operations import OPERATIONS, Operation
from turnout.ledger.api.problems import HANDLERS, problem
from turnout.ledger.store import Store

__all__ = ["application"]

_DOCUMENT = "/openapi.json"


def application(store: Store, *, token: str) -> ASGIApp:
    """The ledger's API over a store, for those who know the token."""
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    routes = [
        Route(path, _endpoint(store, operations), methods=[operation.method for operation in operations])
        for path, operations in by_path.items()
    ]
    routes.append(Route(_DOCUMENT, _describe, methods=["GET"]))
    open_paths = frozenset({_DOCUMENT} | {operation.path for operation in OPERATIONS if operation.is_open})
    return _Door(Starlette(routes=routes, exception_handlers=HANDLERS), token=token, open_paths=open_paths)


def _endpoint(store: Store, operations: list[Operation]) -> Callable[[Request], Awaitable[Response]]:
    by_method = {operation.method: operation for operation in operations}

    async def endpoint(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        query = parameters.read(operation.parameters, request.query_params)
        return await operation.handler(Call(store=store, request=request, query=query))

    return endpoint


async def _describe(_: Request) -> Response:
    return Response(orjson.dumps(openapi.document()), media_type="application/json")


class _Door:
    """Lets nobody past without the token, not even to learn which paths there are."""

    def __init__(self, app: ASGIApp, *, token: str, open_paths: frozenset[str]) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode()
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths and not self._is_known(scope):
            refusal = problem(401, "wanted the ledger's token as Authorization: Bearer", headers=_CHALLENGE)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._authorization)


_CHALLENGE = {"www-authenticate": 'Bearer realm="turnout-ledger"'}
