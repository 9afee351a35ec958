"""V2 requests and replies as protobuf messages, with numbers one by one or as raw bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from turnout.errors import InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import MAX_ROWS, Call, Text, checked_caller_id
from turnout.predictor.over_grpc import open_inference_pb2 as pb
from turnout.predictor.raw_tensors import from_raw, to_raw
from turnout.predictor.tensors import DATATYPES, Array, cast
from turnout.predictor.v2 import Tensors

__all__ = ["GrpcV2"]

# Where the protocol keeps the values of a datatype; FP16 has no place and comes as raw bytes only.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class GrpcV2:
    """Decodes and encodes V2 over gRPC for one model."""

    name = "grpc"

    def __init__(self, manifest: Manifest, *, version: str, max_rows: int = MAX_ROWS) -> None:
        self.manifest = manifest
        self._version = version
        self._tensors = Tensors(manifest, max_rows=max_rows)

    def decode(self, body: pb.ModelInferRequest, *, header_length: int = 0) -> Call:
        """One call per message; see `calls.Dialect`."""
        raw = body.raw_input_contents
        if raw and len(raw) != len(body.inputs):
            raise InputError(f"raw_input_contents: wanted one for each of {len(body.inputs)} inputs, found {len(raw)}")
        feeds: dict[str, Array] = {}
        for index, entry in enumerate(body.inputs):
            where = f"inputs[{index}]"
            signature = self._tensors.input(entry.name, where=where)
            if signature.onnx in feeds:
                raise InputError(f"{where}.name: {signature.name} is given twice")
            feeds[signature.onnx] = self._array(entry, signature, raw[index] if raw else None, where=where)
        outputs = self._asked(body)
        return Call(
            feeds=feeds,
            rows=self._tensors.rows(feeds),
            outputs=outputs,
            caller_id=checked_caller_id(body.id, where="id"),
            # Who asks in raw bytes is answered in raw bytes.
            binary=frozenset(output.name for output in outputs) if raw else frozenset(),
        )

    def encode(self, call: Call, outputs: list[Text], *, model: str, prediction_id: str) -> tuple[bytes, int]:
        """The reply names the version that answered, and carries the caller's own id if there was one."""
        reply = pb.ModelInferResponse(model_name=model, model_version=self._version, id=call.caller_id or prediction_id)
        for signature in call.outputs:
            array = call.results[signature.onnx]
            entry = reply.outputs.add(name=signature.name, datatype=signature.datatype, shape=array.shape)
            if call.binary:
                reply.raw_output_contents.append(to_raw(array))
            else:
                _fill(entry.contents, array, signature.datatype)
        return reply.SerializeToString(), 0

    def _array(
        self, entry: pb.ModelInferRequest.InferInputTensor, signature: Signature, raw: bytes | None, *, where: str
    ) -> Array:
        declared = self._tensors.datatype(entry.datatype, signature, where=where)
        shape = self._tensors.shape(list(entry.shape), signature, where=where)
        wanted = signature.datatype
        if raw is not None:
            if entry.HasField("contents"):
                raise InputError(f"{where}: wanted contents or raw_input_contents, found both")
            return from_raw(memoryview(raw), shape, declared=declared, wanted=wanted, where=where)
        if declared not in _CONTENTS:
            raise InputError(f"{where}: {declared} comes as raw_input_contents only")
        values = getattr(entry.contents, _CONTENTS[declared])
        if len(values) != int(np.prod(shape)):
            raise InputError(
                f"{where}.contents.{_CONTENTS[declared]}: wanted {int(np.prod(shape))} values for shape {shape}, "
                f"found {len(values)}"
            )
        if declared == "BYTES":
            return _texts(values, where=where).reshape(shape)
        found = np.array(values, dtype=_wide(declared))
        # Through the declared type first: small integers travel in wide fields.
        narrow = cast(found, declared=declared, wanted=declared, where=where)
        return cast(narrow, declared=declared, wanted=wanted, where=where).reshape(shape)

    def _asked(self, body: pb.ModelInferRequest) -> tuple[Signature, ...]:
        if not body.outputs:
            return self._tensors.answered
        found: dict[str, Signature] = {}
        for index, entry in enumerate(body.outputs):
            where = f"outputs[{index}]"
            signature = self._tensors.output(entry.name, where=where)
            if signature.name in found:
                raise InputError(f"{where}.name: {signature.name} is asked for twice")
            found[signature.name] = signature
        return tuple(found.values())


def _wide(declared: str) -> Any:
    """The type of the field that a datatype travels in."""
    dtype = DATATYPES[declared].dtype
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return np.dtype(f"{dtype.kind}4")
    return dtype


def _texts(values: Any, *, where: str) -> Array:
    array = np.empty(len(values), dtype=np.object_)
    try:
        array[:] = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}.contents.bytes_contents: not UTF-8: {error.reason}") from error
    return array


def _fill(contents: pb.InferTensorContents, array: Array, datatype: str) -> None:
    values = array.reshape(-1).tolist()
    if datatype == "BYTES":
        values = [str(value).encode() for value in values]
    getattr(contents, _CONTENTS[datatype]).extend(values)
