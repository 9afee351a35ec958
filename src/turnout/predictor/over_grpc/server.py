"""The gRPC server: the six calls of the Open Inference Protocol, on the event loop that also speaks HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio

import turnout
from turnout.errors import Conflict, InputError, NotFound, TurnoutError
from turnout.predictor.answering import MAX_TEXT, Desk
from turnout.predictor.calls import MAX_CALLER_ID
from turnout.predictor.inference import Outcome, Request, message_of
from turnout.predictor.over_grpc import open_inference_pb2 as pb
from turnout.predictor.over_grpc.codec import GrpcV2
from turnout.predictor.repository import Repository
from turnout.predictor.routes import metadata
from turnout.predictor.served import Served
from turnout.predictor.tracing import trace_of

__all__ = ["GrpcServer"]

SERVICE = "inference.GRPCInferenceService"
Context: TypeAlias = Any  # grpc.aio.ServicerContext; grpcio comes without types

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}


class _Waiting:
    """Somebody who waits for an outcome."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._outcome: Outcome | None = None

    def answer(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def send(self) -> None:
        if not self.done.done():  # the caller may have given up
            assert self._outcome is not None
            self.done.set_result(self._outcome)


class GrpcServer:
    """Answers for the versions of a repository."""

    def __init__(self, desk: Desk, repository: Repository, *, max_body_bytes: int, max_rows: int, shared: bool) -> None:
        """`shared`: the port may be shared with other workers."""
        self.port = 0
        self._desk = desk
        self._repository = repository
        self._max_rows = max_rows
        self._dialects: dict[str, GrpcV2] = {}
        options = [
            ("grpc.max_receive_message_length", max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(shared)),
        ]
        self._server = grpc.aio.server(options=options)
        calls: dict[str, tuple[Callable[[Any, Context], Awaitable[Any]], Any, Any]] = {
            "ServerLive": (self._live, pb.ServerLiveRequest, pb.ServerLiveResponse.SerializeToString),
            "ServerReady": (self._ready, pb.ServerReadyRequest, pb.ServerReadyResponse.SerializeToString),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest, pb.ModelReadyResponse.SerializeToString),
            "ServerMetadata": (self._about, pb.ServerMetadataRequest, pb.ServerMetadataResponse.SerializeToString),
            "ModelMetadata": (self._about_model, pb.ModelMetadataRequest, pb.ModelMetadataResponse.SerializeToString),
            "ModelInfer": (self._infer, pb.ModelInferRequest, None),  # the dialect writes bytes
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                call, request_deserializer=request.FromString, response_serializer=serialize
            )
            for name, (call, request, serialize) in calls.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def open(self, host: str, port: int) -> None:
        """Listen; `port` is known from then on.

        Raises:
            Conflict: the port is taken.
        """
        try:
            self.port = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:
            raise Conflict(f"grpc://{host}:{port}: this port is taken by another process") from error
        await self._server.start()

    async def close(self, *, timeout_s: float) -> None:
        """Take no more, and wait for what is under way."""
        await self._server.stop(timeout_s)

    async def _live(self, _: pb.ServerLiveRequest, __: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, _: pb.ServerReadyRequest, __: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=not self._desk.draining)

    async def _model_ready(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        await self._find(request.name, request.version, context)
        return pb.ModelReadyResponse(ready=not self._desk.draining)

    async def _about(self, _: pb.ServerMetadataRequest, __: Context) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="turnout", version=turnout.__version__, extensions=[])

    async def _about_model(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        served = await self._find(request.name, request.version, context)
        found = metadata(request.name, served, self._repository.versions_of(request.name, request.version))
        return pb.ModelMetadataResponse(
            name=found["name"],
            versions=found["versions"],
            platform=found["platform"],
            inputs=found["inputs"],
            outputs=found["outputs"],
        )

    async def _infer(self, message: pb.ModelInferRequest, context: Context) -> bytes:
        served = await self._find(message.model_name, message.model_version, context)
        waiting = _Waiting()
        try:
            request = self._request(message, served, context)
        except InputError as error:
            await self._refuse(error, context)
        served.batcher.submit(request, waiting)
        outcome = await waiting.done
        if not outcome.prediction_id:
            code = _CODES.get(outcome.status, grpc.StatusCode.INTERNAL)
            await context.abort(code, message_of(outcome.body))
        answered = [("x-turnout-version", outcome.version.decode()), ("x-turnout-id", outcome.prediction_id)]
        more = [(name.decode(), value.decode("latin-1")) for name, value in outcome.headers]
        await context.send_initial_metadata((*answered, *more))
        return outcome.body

    def _request(self, message: pb.ModelInferRequest, served: Served, context: Context) -> Request:
        said = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        caller_id = said.get("x-turnout-caller-id", "")
        if len(caller_id) > MAX_CALLER_ID:
            raise InputError(f"x-turnout-caller-id: wanted at most {MAX_CALLER_ID} characters, found {len(caller_id)}")
        parent = said.get("traceparent", "").encode()
        request = Request(self._dialect(served), message.model_name, message, message.ByteSize(), time.perf_counter())
        request.stamp = said.get("x-turnout-assigned", "")[:MAX_TEXT] or None
        request.request_id = said.get("x-request-id", "")[:MAX_TEXT] or None
        request.caller_id = caller_id or None
        request.trace = trace_of(parent, said.get("tracestate", "").encode()) if parent else None
        return request

    def _dialect(self, served: Served) -> GrpcV2:
        found = self._dialects.get(served.version)
        if found is None or found.manifest is not served.manifest:
            found = GrpcV2(served.manifest, version=served.version, max_rows=self._max_rows)
            self._dialects[served.version] = found
        return found

    async def _find(self, name: str, version: str, context: Context) -> Served:
        try:
            return self._repository.find(name, version)
        except NotFound as error:
            await self._refuse(error, context)

    async def _refuse(self, error: TurnoutError, context: Context) -> NoReturn:
        self._desk.metrics.count_reply(error.status)
        await context.abort(_CODES[error.status], str(error))
        raise error  # never reached: to abort raises
