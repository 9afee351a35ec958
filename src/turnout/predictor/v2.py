"""The V2 (Open Inference) protocol in JSON.

A body that is no V2 request at all (not JSON, a field missing or of the wrong kind) is a 422, as KServe 0.21 answers;
a well-formed request that does not fit this model (names, datatypes, shapes, values) is a 400.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from turnout.errors import DataError, InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import Call, checked_caller_id
from turnout.predictor.tensors import DATATYPES, Array, castable, describe, flatten, to_array

__all__ = ["V2"]

_ABSENT = object()


class V2:
    """Decodes and encodes V2 for one model."""

    name = "v2"

    def __init__(self, manifest: Manifest, *, version: str) -> None:
        self._version = version
        self._inputs = {signature.name: signature for signature in manifest.inputs}
        self._outputs = {signature.name: signature for signature in manifest.outputs}
        self._answered = manifest.outputs[:1]

    def decode(self, body: bytes) -> Call:
        """One call per body; see `calls.Dialect`."""
        document = _document(body)
        feeds: dict[str, Array] = {}
        for index, entry in enumerate(_field(document, "inputs", list, where="body")):
            where = f"inputs[{index}]"
            signature = self._signature(entry, where=where)
            if signature.onnx in feeds:
                raise InputError(f"{where}.name: {signature.name} is given twice")
            feeds[signature.onnx] = _array(entry, signature, where=where)
        return Call(
            feeds=feeds,
            rows=self._rows(feeds),
            outputs=self._asked(document),
            caller_id=checked_caller_id(document.get("id"), where="id"),
        )

    def encode(self, call: Call, outputs: list[dict[str, Any]], *, model: str, prediction_id: str) -> bytes:
        """The reply names the version that answered, and carries the caller's own id if there was one."""
        reply = {
            "model_name": model,
            "model_version": self._version,
            "id": call.caller_id or prediction_id,
            "outputs": outputs,
        }
        return orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)

    def _signature(self, entry: object, *, where: str) -> Signature:
        if not isinstance(entry, dict):
            raise DataError(f"{where}: wanted an object, found {describe(entry)}")
        name = _field(entry, "name", str, where=where)
        signature = self._inputs.get(name)
        if signature is None:
            raise InputError(f"{where}.name: wanted {_any_of(self._inputs)}, found {name[:80]!r}")
        return signature

    def _rows(self, feeds: dict[str, Array]) -> int:
        if len(feeds) < len(self._inputs):
            missing = [name for name, signature in self._inputs.items() if signature.onnx not in feeds]
            raise InputError(f"inputs: wanted {', '.join(self._inputs)}; missing: {', '.join(missing)}")
        rows = {len(array) for array in feeds.values()}
        if len(rows) > 1:
            raise InputError(f"inputs: wanted the same number of rows in every input, found {sorted(rows)}")
        return rows.pop()

    def _asked(self, document: dict[str, Any]) -> tuple[Signature, ...]:
        """The outputs that the caller names; without any, only the label: most callers want nothing else."""
        if _refuses_json(document.get("parameters"), where="parameters", key="binary_data_output"):
            raise InputError("parameters.binary_data_output: this server answers in JSON")
        entries = document.get("outputs")
        if not entries:
            return self._answered
        if type(entries) is not list:
            raise DataError(f"outputs: wanted a list, found {describe(entries)}")
        return tuple(self._asked_output(entry, where=f"outputs[{index}]") for index, entry in enumerate(entries))

    def _asked_output(self, entry: object, *, where: str) -> Signature:
        if not isinstance(entry, dict):
            raise DataError(f"{where}: wanted an object, found {describe(entry)}")
        name = _field(entry, "name", str, where=where)
        if name not in self._outputs:
            raise InputError(f"{where}.name: wanted {_any_of(self._outputs)}, found {name[:80]!r}")
        if _refuses_json(entry.get("parameters"), where=f"{where}.parameters", key="binary_data"):
            raise InputError(f"{where}.parameters.binary_data: this server answers in JSON")
        return self._outputs[name]


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"body: not JSON: {error}") from error
    if type(document) is not dict:
        raise DataError(f"body: wanted an object, found {describe(document)}")
    return document


def _array(entry: dict[str, Any], signature: Signature, *, where: str) -> Array:
    declared = _field(entry, "datatype", str, where=where)
    if declared not in DATATYPES:
        raise InputError(f"{where}.datatype: wanted {signature.datatype}, found {declared[:80]!r}")
    if not castable(declared, signature.datatype):
        raise InputError(f"{where}.datatype: wanted {signature.datatype}, found {declared}")
    if _refuses_json(entry.get("parameters"), where=f"{where}.parameters", key="binary_data_size"):
        raise InputError(f"{where}.parameters.binary_data_size: this server reads tensors as JSON")
    shape = _shape(entry, signature, where=where)
    data = _field(entry, "data", list, where=where)
    flat = flatten(data, shape, where=f"{where}.data")
    return to_array(flat, shape, declared=declared, wanted=signature.datatype, where=f"{where}.data")


def _shape(entry: dict[str, Any], signature: Signature, *, where: str) -> list[int]:
    shape: list[int] = _field(entry, "shape", list, where=where)
    if not all(type(extent) is int and extent >= 0 for extent in shape):
        raise DataError(f"{where}.shape: wanted whole numbers, found {str(shape)[:80]}")
    if len(shape) != len(signature.shape) or tuple(shape[1:]) != signature.shape[1:]:
        raise InputError(f"{where}.shape: wanted {list(signature.shape)} (-1: any), found {str(shape)[:80]}")
    if math.prod(shape) > 2**31:
        raise InputError(f"{where}.shape: wanted at most 2^31 values, found {math.prod(shape)}")
    return shape


def _field(document: dict[str, Any], key: str, kind: type, *, where: str) -> Any:
    value = document.get(key, _ABSENT)
    if type(value) is not kind:
        found = "nothing" if value is _ABSENT else describe(value)
        raise DataError(f"{where}.{key}: wanted {describe(kind())}, found {found}")
    return value


def _refuses_json(parameters: object, *, where: str, key: str) -> bool:
    """Whether the parameters ask for the binary tensor extension."""
    if parameters is None:
        return False
    if not isinstance(parameters, dict):
        raise DataError(f"{where}: wanted an object, found {describe(parameters)}")
    return bool(parameters.get(key))


def _any_of(names: dict[str, Signature]) -> str:
    return " or ".join(names)
