"""The ASGI application: routes from the table of operations, behind one door that asks for the token."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.errors import TurnoutError
from turnout.ledger.api import openapi, parameters
from turnout.ledger.api.accounts import Accounts
from turnout.ledger.api.calls import Call
from turnout.ledger.api.measuring import ROUTE, Measured, Metrics
from turnout.ledger.api.operations import OPERATIONS, Operation
from turnout.ledger.api.problems import HANDLERS, problem
from turnout.ledger.api.tokens import Holder, Tokens
from turnout.ledger.store import Store

__all__ = ["application"]

_DOCUMENT = "/openapi.json"


def application(
    store: Store,
    *,
    token: str = "",
    tokens: Tokens | None = None,
    accounts: Accounts | None = None,
    metrics: Metrics | None = None,
) -> ASGIApp:
    """The ledger's API over a store: for the holders of `tokens`, or of the one `token` that may do everything.

    `accounts`: the ServiceAccounts of a cluster, for whoever has none of ours. `metrics`: where replies are counted.
    """
    metrics = metrics or Metrics()
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    routes = [
        Route(path, _endpoint(store, operations, metrics), methods=[operation.method for operation in operations])
        for path, operations in by_path.items()
    ]
    routes.append(Route(_DOCUMENT, _describe, methods=["GET"]))
    open_paths = frozenset({_DOCUMENT} | {operation.path for operation in OPERATIONS if operation.is_open})
    inside = Starlette(routes=routes, exception_handlers=HANDLERS)
    door = _Door(inside, tokens=tokens or Tokens(token), accounts=accounts, open_paths=open_paths)
    return Measured(door, metrics)


def _endpoint(store: Store, operations: list[Operation], metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    by_method = {operation.method: operation for operation in operations}

    async def endpoint(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        request.scope[ROUTE] = (operation.method, operation.path)
        holder = request.scope.get("state", {}).get("holder")
        if not operation.is_open and (holder is None or operation.role not in holder.roles):
            return problem(403, f"{request.method} {operation.path} wants a token with the role {operation.role}")
        query = parameters.read(operation.parameters, request.query_params)
        return await operation.handler(Call(store=store, request=request, query=query, metrics=metrics))

    return endpoint


async def _describe(_: Request) -> Response:
    return Response(orjson.dumps(openapi.document()), media_type="application/json")


class _Door:
    """Lets nobody past without a token, not even to learn which paths there are, and nobody past their pace."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens, accounts: Accounts | None, open_paths: frozenset[str]) -> None:
        self._app = app
        self._tokens = tokens
        self._accounts = accounts
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            holder = await self._holder(scope)
        except TurnoutError as error:
            refusal = problem(503, f"nobody can say whose token this is: {error}", headers={"retry-after": "1"})
            await refusal(scope, receive, send)
            return
        if holder is None:
            refusal = problem(401, "wanted a token of the ledger as Authorization: Bearer", headers=_CHALLENGE)
            await refusal(scope, receive, send)
        elif wait_s := self._tokens.wait_s(holder):
            headers = {"retry-after": str(math.ceil(wait_s))}
            refusal = problem(429, f"{holder.name} calls more often than it may", headers=headers)
            await refusal(scope, receive, send)
        else:
            scope["state"] = {"holder": holder}
            await self._app(scope, receive, send)

    async def _holder(self, scope: Scope) -> Holder | None:
        kind, _, token = _authorization(scope).partition(" ")
        if kind.lower() != "bearer":
            return None
        holder = self._tokens.holder(token)
        if holder is None and self._accounts is not None:
            return await self._accounts.holder(token)
        return holder


def _authorization(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return str(given.decode("latin-1"))


_CHALLENGE = {"www-authenticate": 'Bearer realm="turnout-ledger"'}
