"""Requests in, replies and records out: decode, one run of the model for all of them, encode. No I/O.

Rows of all requests are stacked, because a run costs little more for fifty rows than for one. A request that cannot be
decoded, or that the model refuses, fails alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from turnout.errors import Failed, TurnoutError
from turnout.predictor.artifact import Signature
from turnout.predictor.calls import Call, Dialect, TensorWriter
from turnout.predictor.events import STRUCTURED, Event
from turnout.predictor.identity import Identity
from turnout.predictor.ids import new_ids
from turnout.predictor.model import Servable
from turnout.predictor.raw_tensors import little_endian_of
from turnout.predictor.recorded import RecordWriter
from turnout.predictor.tensors import DATATYPES, Array
from turnout.predictor.tracing import Trace

__all__ = ["JSON", "LARGE_BYTES", "RAW", "Inference", "Outcome", "Processed", "Request", "error_body", "message_of"]

JSON, RAW = b"application/json", b"application/octet-stream"
LARGE_BYTES = 64 * 1024  # above this one request is a batch of its own, and would hold up its neighbours


class Request:
    """One request for a prediction, as the HTTP layer hands it over. Why it is no dataclass: see `calls.Call`."""

    header_length: int = 0  # of the JSON before raw tensors; 0: there are none
    stamp: str | None = None
    subject: str | None = None
    request_id: str | None = None
    caller_id: str | None = None
    trace: Trace | None = None
    event: Event | None = None

    def __init__(self, dialect: Dialect, model: str, body: Any, size_bytes: int, arrived_s: float) -> None:
        """`arrived_s` is by `time.perf_counter`."""
        self.dialect = dialect
        self.model = model
        self.body = body
        self.size_bytes = size_bytes
        self.arrived_s = arrived_s


class Outcome:
    """A reply, and the record of it; a refused request has no record."""

    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()  # beside those that every reply has

    def __init__(
        self,
        status: int,
        body: bytes,
        prediction_id: str = "",
        record: bytes = b"",
        rows: int = 0,
        version: bytes = b"",
    ) -> None:
        """`record` is its JSON from behind the time: the log gives the time when it writes."""
        self.status = status
        self.body = body
        self.prediction_id = prediction_id
        self.record = record
        self.rows = rows
        self.version = version


@dataclass(slots=True)
class Processed:
    """The outcomes of a batch, in the order of its requests, and how long each phase took for all of them."""

    outcomes: list[Outcome]
    decode_s: float = 0.0
    predict_s: float = 0.0
    encode_s: float = 0.0


class Inference:
    """Answers requests for one model."""

    def __init__(self, model: Servable, identity: Identity) -> None:
        self._model = model
        self._inputs = model.manifest.inputs
        self._label = model.manifest.outputs[0]
        self._version = identity.version.encode()
        self._outputs = {signature.name: TensorWriter(signature) for signature in model.manifest.outputs}
        self._writer = RecordWriter(identity, model.manifest.inputs)

    def process(self, requests: Sequence[Request]) -> Processed:
        """One outcome per request."""
        began_s = time.perf_counter()
        attempts: list[Call | TurnoutError] = []
        for request in requests:
            try:
                attempts.append(request.dialect.decode(request.body, header_length=request.header_length))
            except TurnoutError as error:
                attempts.append(error)
        decoded_s = time.perf_counter()
        self._predict([attempt for attempt in attempts if type(attempt) is Call])
        predicted_s = time.perf_counter()
        outcomes = []
        for request, attempt, name in zip(requests, attempts, new_ids(len(requests)), strict=True):
            if type(attempt) is Call and attempt.error is None:
                outcomes.append(self._answer(request, attempt, name, predicted_s))
            else:
                outcomes.append(self._refusal(attempt.error if isinstance(attempt, Call) else attempt))
        return Processed(
            outcomes,
            decode_s=decoded_s - began_s,
            predict_s=predicted_s - decoded_s,
            encode_s=time.perf_counter() - predicted_s,
        )

    def _predict(self, calls: list[Call]) -> None:
        """Fill in the results of every call; when the model refuses the batch, find out whose values they were."""
        if not calls:
            return
        try:
            self._run(calls)
        except TurnoutError as error:
            if len(calls) == 1:
                calls[0].error = error
                return
            for call in calls:
                self._predict([call])

    def _run(self, calls: list[Call]) -> None:
        """One run for the rows of all calls; each gets its slice of every output that anybody asked for."""
        wanted = self._union(calls)
        rows = sum([call.rows for call in calls])
        names = [signature.onnx for signature in wanted]
        arrays = (
            self._model.run(self._stack(calls, rows), names) if rows else [_empty(signature) for signature in wanted]
        )
        for name, array in zip(names, arrays, strict=True):
            if len(array) != rows:
                raise Failed(f"the model answered {len(array)} rows in {name} for {rows} rows")
            start = 0
            for call in calls:
                call.results[name] = array[start : start + call.rows]
                start += call.rows

    def _stack(self, calls: list[Call], rows: int) -> dict[str, Array]:
        """The rows of all calls, one array per input."""
        blocks = [call.block for call in calls if call.block is not None]
        if len(blocks) == len(calls):
            (only,) = self._inputs
            shape = (rows, *only.shape[1:])
            return {only.onnx: np.ndarray(shape, little_endian_of(only.datatype), b"".join(blocks))}
        if len(calls) == 1:
            return calls[0].feeds
        return {one.onnx: np.concatenate([call.feed(one) for call in calls]) for one in self._inputs}

    def _union(self, calls: list[Call]) -> Sequence[Signature]:
        """The label, then every other output that some call asked for."""
        wanted = {self._label.name: self._label}
        for call in calls:
            if len(call.outputs) > 1 or call.outputs[0] is not self._label:
                wanted |= {signature.name: signature for signature in call.outputs}
        return list(wanted.values())

    def _answer(self, request: Request, call: Call, prediction_id: str, now_s: float) -> Outcome:
        results = call.results
        # Each output is written once, for the reply and for the record.
        outputs = []
        for signature in call.outputs:
            outputs.append(self._outputs[signature.name].write(results[signature.onnx]))
        body, header_length = request.dialect.encode(call, outputs, model=request.model, prediction_id=prediction_id)
        label = self._label
        if call.outputs[0] is not label:
            # In the record the label comes first, asked for or not: feedback is compared with it.
            others = [text for text, one in zip(outputs, call.outputs, strict=True) if one is not label]
            outputs = [self._outputs[label.name].write(results[label.onnx]), *others]
        record = self._writer.write(request, call, outputs, duration_us=int((now_s - request.arrived_s) * 1e6))
        outcome = Outcome(200, body, prediction_id, record, call.rows, self._version)
        if header_length or request.trace is not None or request.event is not None:
            _dress(outcome, request, header_length=header_length)
        return outcome

    def _refusal(self, error: TurnoutError | None) -> Outcome:
        assert error is not None
        return Outcome(error.status, error_body(str(error)), version=self._version)


def error_body(message: str) -> bytes:
    """The body of every reply that is not a prediction, in V1 and in V2."""
    return orjson.dumps({"error": message})


def message_of(body: bytes) -> str:
    """What `error_body` was told."""
    return str(orjson.loads(body)["error"])


def _dress(outcome: Outcome, request: Request, *, header_length: int) -> None:
    """What replies carry that few callers ask for."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if header_length:
        outcome.content_type = RAW
        headers += ((b"inference-header-content-length", b"%d" % header_length),)
    if request.trace is not None:
        headers += request.trace.answered(outcome.prediction_id)
    if request.event is not None:
        outcome.body, more = request.event.answered(
            outcome.body, outcome.prediction_id, model=request.model, is_json=not header_length
        )
        headers += more
        if request.event.structured:
            outcome.content_type = STRUCTURED
    outcome.headers = headers


def _empty(signature: Signature) -> Array:
    return np.empty((0, *signature.shape[1:]), dtype=DATATYPES[signature.datatype].dtype)
