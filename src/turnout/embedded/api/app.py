"""The ASGI application: who asks, what for, and how the answer travels.

Verbs run in threads, because a write waits for the disk; watches stay in the event loop and cost one task each.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from urllib.parse import parse_qs

import orjson
import yaml
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.embedded.api import discovery, errors, logs, openapi, options, reading, routes, rules, verbs, watching
from turnout.embedded.api.calls import Call, Reply
from turnout.embedded.api.errors import ApiError
from turnout.embedded.api.logs import ReadLog
from turnout.embedded.kinds import KINDS
from turnout.embedded.store import Store
from turnout.errors import TurnoutError

__all__ = ["application"]

_log = logging.getLogger(__name__)

_OPEN = frozenset({"version", "healthz", "livez", "readyz"})  # first steps of paths that need no token
_BUILT_IN_GROUPS = frozenset(f"apis/{kind.group}" for kind in KINDS.values() if kind.group and not kind.custom)
_BODY_MOST = 3 * 1024 * 1024  # bytes, as in Kubernetes
_Endpoint = Callable[[Request], Awaitable[Response]]


def application(store: Store, *, token: str, read_log: ReadLog) -> ASGIApp:
    """The API over `store`; every caller with `token` may do everything.

    Raises:
        SpecError: a definition has a rule that the engine does not know.
    """
    _check_rules()
    return _Application(store, token=token, read_log=read_log)


@cache
def _check_rules() -> None:
    """The kinds do not change while a process lives."""
    for kind in KINDS.values():
        rules.check_known(kind.schema)


class _Application:
    def __init__(self, store: Store, *, token: str, read_log: ReadLog) -> None:
        self._store, self._read_log = store, read_log
        self._token = token.encode()
        self._log_threads = logs.limiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            self._check_caller(request)
            return await self._dispatch(request)
        except TurnoutError as problem:
            return _refusal(problem)
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001 (the outermost loop: a fault is logged and answered, and the engine goes on)
            _log.exception("%s %s failed", request.method, request.url.path)
            message = "an error on the server has prevented the request from succeeding"
            return _json(errors.failure(500, message, reason="InternalError"), code=500)

    def _check_caller(self, request: Request) -> None:
        """Refuse a wrong token (401) and, except for open paths, none (403: Kubernetes' anonymous user)."""
        given = request.headers.get("authorization", "")
        if given:
            scheme, _, token = given.partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token):
                return
            raise errors.unauthorized()
        if _first_step(request.url.path) not in _OPEN:
            raise _anonymous(request)

    async def _dispatch(self, request: Request) -> Response:
        path = request.url.path
        if _first_step(path) in _OPEN:
            return _open(request)
        if path.startswith("/openapi/"):
            return await run_in_threadpool(_openapi, path)
        target = routes.resolve(path)
        if target is None:
            return _undiscovered(request)
        call = Call(
            method=request.method,
            target=target,
            query=parse_qs(request.url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await _body(request),
        )
        if call.method == "GET" and target.name is None and options.flag(call.query, "watch"):
            watch = watching.opened(call)
            return StreamingResponse(watching.stream(self._store, watch), headers={"Content-Type": "application/json"})
        if target.subresource == "log" and target.kind.kind == "Pod" and call.method == "GET":
            return await self._logs(call)
        return await self._verb(call)

    async def _verb(self, call: Call) -> Response:
        try:
            reply = await run_in_threadpool(verbs.handle, self._store, call)
        except TurnoutError as problem:
            response = _refusal(problem)
        else:
            response = _yaml(reply) if reading.wants_yaml(call) else _json(reply.body, code=reply.code)
        for warning in call.warnings:
            quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.raw_headers.append((b"warning", f'299 - "{quoted}"'.encode("latin-1", "replace")))
        return response

    async def _logs(self, call: Call) -> Response:
        wanted = await run_in_threadpool(logs.wanted, self._store, call)
        pieces = self._read_log(call.target.namespace or "", call.target.name or "", wanted)
        return StreamingResponse(logs.stream(pieces, wanted, self._log_threads), headers={"Content-Type": "text/plain"})


async def _body(request: Request) -> bytes:
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > _BODY_MOST:
            message = f"Request entity too large: limit is {_BODY_MOST}"
            raise ApiError(413, message, reason="RequestEntityTooLarge", details={})
    return bytes(received)


def _anonymous(request: Request) -> ApiError:
    user, target = 'User "system:anonymous"', routes.resolve(request.url.path)
    if target is None:
        return errors.forbidden(
            f'forbidden: {user} cannot {request.method.lower()} path "{request.url.path}"', details={}
        )
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method)
    verb = verb or ("get" if target.name else "list")
    where = f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
    resource, name = target.kind.resource, f' "{target.name}"' if target.name else ""
    what = f'cannot {verb} resource "{target.kind.plural}" in API group "{target.kind.group}"'
    details = errors.about(target.kind, target.name or "")
    return errors.forbidden(f"{resource}{name} is forbidden: {user} {what}{where}", details=details)


def _first_step(path: str) -> str:
    return path.strip("/").partition("/")[0]


def _open(request: Request) -> Response:
    path = request.url.path
    if _first_step(path) != "version":
        return _text("ok")
    if path.strip("/") != "version":
        return _nothing_there()
    if request.method != "GET":
        raise errors.method_not_allowed()
    return _json(discovery.VERSION)


def _openapi(path: str) -> Response:
    parts = path.strip("/").split("/")[1:]
    if parts == ["v2"]:
        return Response(openapi.v2(), media_type="application/json")
    if parts == ["v3"]:
        return _json(openapi.index())
    group = parts[2] if parts[:2] == ["v3", "apis"] and len(parts) == 4 else ""
    known = bool(group) or (parts[:2] == ["v3", "api"] and len(parts) == 3)
    document = openapi.v3(group, parts[-1]) if known else None
    return Response(status_code=404) if document is None else Response(document, media_type="application/json")


def _undiscovered(request: Request) -> Response:
    """A discovery document, or that there is nothing: a Status in groups of Kubernetes' own, else plain text."""
    path, accept = request.url.path, request.headers.get("accept", "")
    found = discovery.answer(path, accept)
    if found is not None:
        if request.method != "GET" and path.strip("/") not in ("", "apis"):  # these two answer whatever the verb
            raise errors.method_not_allowed()
        aggregated = discovery.is_aggregated(path, accept)
        return _json(found, content_type=discovery.AGGREGATED if aggregated else "application/json")
    group = "/".join(path.strip("/").split("/")[:2])
    if group.startswith("api/") or group in _BUILT_IN_GROUPS:
        raise errors.no_resource()
    return _nothing_there()


def _refusal(problem: TurnoutError) -> Response:
    return _json(errors.status_of(problem), code=problem.status)


def _yaml(reply: Reply) -> Response:
    text = yaml.dump(reply.body, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=True)
    return Response(text, status_code=reply.code, headers={"Content-Type": "application/yaml"})


def _json(body: object, *, code: int = 200, content_type: str = "application/json") -> Response:
    return Response(orjson.dumps(body), status_code=code, headers={"Content-Type": content_type})


def _text(text: str, *, code: int = 200) -> Response:
    return Response(text, status_code=code, headers={"Content-Type": "text/plain; charset=utf-8"})


def _nothing_there() -> Response:
    return _text("404 page not found\n", code=404)
