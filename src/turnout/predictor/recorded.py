"""The record of an answered request.

Numbers are kept as base64 of their little-endian bytes: writing 64 of them as text costs 2 us, a tenth of the whole
request, and 64,000 take longer than predicting a thousand rows. The ledger gives them out as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from turnout.predictor.artifact import Signature
from turnout.predictor.calls import Call, TensorWriter, Text
from turnout.predictor.identity import Identity
from turnout.predictor.tensors import Array

if TYPE_CHECKING:
    from turnout.predictor.inference import Request

__all__ = ["RecordWriter"]

_NOTHING_SAID = b'"stamp":null,"request_id":null,"caller_id":null,"shadow":false'


class RecordWriter:
    """Writes the records of one version: JSON from behind the time, which the log gives when it writes."""

    def __init__(self, identity: Identity, inputs: tuple[Signature, ...]) -> None:
        self._version = identity.version
        self._whose = orjson.dumps(
            {
                "namespace": identity.namespace,
                "endpoint": identity.endpoint,
                "version": identity.version,
                "pod": identity.pod,
            }
        )[1:-1]
        self._inputs = tuple(map(TensorWriter, inputs))

    def write(self, request: Request, call: Call, outputs: list[Text], *, duration_us: int) -> bytes:
        """What was asked and answered; see the ledger's `records` for the fields.

        A template, because making a dictionary of a record and writing that takes three times as long (1 us).
        """
        if call.block is not None:
            inputs = self._inputs[0].write_block(call.block, call.rows)
        else:
            inputs = b",".join([self._input(one, call.feeds[one.onnx]) for one in self._inputs])
        is_silent = request.stamp is None and request.request_id is None and request.trace is None
        if is_silent and request.caller_id is None and call.caller_id is None:
            said = _NOTHING_SAID
        else:
            said = self._said(request, call)
        return b'%b,"protocol":"%b","rows":%d,"inputs":[%b],"outputs":[%b],"duration_us":%d,%b}' % (
            self._whose,
            request.dialect.name.encode(),
            call.rows,
            inputs,
            outputs[0][1] if len(outputs) == 1 else b",".join([tensor for _, tensor in outputs]),
            duration_us,
            said,
        )

    def _said(self, request: Request, call: Call) -> bytes:
        """What the gateway and the caller said about the request."""
        stamp, caller_id = request.stamp, request.caller_id or call.caller_id
        # A mirrored copy arrives with the stamp of the version that answers the caller.
        is_shadow = stamp is not None and stamp.partition(";")[0] != self._version
        said = b'"stamp":%b,"request_id":%b,"caller_id":%b,"shadow":%b' % (
            b"null" if stamp is None else orjson.dumps(stamp),
            b"null" if request.request_id is None else orjson.dumps(request.request_id),
            b"null" if caller_id is None else orjson.dumps(caller_id),
            b"true" if is_shadow else b"false",
        )
        if request.subject is not None:
            said += b',"subject":%b' % orjson.dumps(request.subject)
        if request.trace is not None:
            said += b",%b" % orjson.dumps(request.trace.recorded())[1:-1]
        return said

    def _input(self, writer: TensorWriter, array: Array) -> bytes:
        """Strings and truth values stay what they are."""
        return writer.write_base64(array) if writer.is_number else writer.write(array)[1]
