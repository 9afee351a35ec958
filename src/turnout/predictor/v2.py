"""The V2 (Open Inference) protocol: JSON, and JSON with raw tensors behind it (the binary tensor extension).

A body that is no V2 request at all (not JSON, a field missing or of the wrong kind) is a 422, as KServe 0.21 answers;
a well-formed request that does not fit this model (names, datatypes, shapes, values) is a 400.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from turnout.errors import DataError, InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import MAX_ROWS, Call, TensorWriter, Text, checked_caller_id, checked_rows
from turnout.predictor.raw_tensors import from_raw, to_raw
from turnout.predictor.tensors import DATATYPES, Array, OneRow, castable, describe, flatten, says_no_bool, to_array

__all__ = ["V2", "Tensors"]

_ABSENT = object()
_NONE: frozenset[str] = frozenset()
_KEPT, _KEPT_BYTES = 64, 2048  # headers of requests with raw tensors


class Tensors:
    """What V2 requests of one model must name, whichever encoding they come in."""

    def __init__(self, manifest: Manifest, *, max_rows: int) -> None:
        self.inputs = {signature.name: signature for signature in manifest.inputs}
        self.outputs = {signature.name: signature for signature in manifest.outputs}
        self.answered = manifest.outputs[:1]  # without a wish, only the label: most callers want nothing else
        self._max_rows = max_rows
        self._shapes = {signature.name: list(signature.shape[1:]) for signature in manifest.inputs}
        self._types = {signature.name: [int] * len(signature.shape) for signature in manifest.inputs}
        self.one_row = {signature.name: OneRow.of(signature.datatype, signature.shape) for signature in manifest.inputs}

    def input(self, name: str, *, where: str) -> Signature:
        """The input of this name."""
        return _named(self.inputs, name, where=where)

    def output(self, name: str, *, where: str) -> Signature:
        """The output of this name."""
        return _named(self.outputs, name, where=where)

    def datatype(self, declared: str, signature: Signature, *, where: str) -> str:
        """A datatype that this input can be given."""
        if declared not in DATATYPES or not castable(declared, signature.datatype):
            raise InputError(f"{where}.datatype: wanted {signature.datatype}, found {declared[:80]!r}")
        return declared

    def shape(self, shape: list[int], signature: Signature, *, where: str) -> list[int]:
        """A shape that this input can have."""
        if len(shape) != len(signature.shape) or tuple(shape[1:]) != signature.shape[1:] or shape[0] < 0:
            raise InputError(f"{where}.shape: wanted {list(signature.shape)} (-1: any), found {str(shape)[:80]}")
        checked_rows(shape[0], self._max_rows, where=f"{where}.shape")
        return shape

    def plain(self, entry: Any) -> Signature | None:
        """The input that a tensor of JSON is for, if it is as most are: right in everything but perhaps its data.

        One look instead of one for every field that could be wrong, which takes 3 us more.
        """
        if type(entry) is not dict or type(name := entry.get("name")) is not str:
            return None
        signature, shape = self.inputs.get(name), entry.get("shape")
        if (
            signature is None
            or type(shape) is not list
            or list(map(type, shape)) != self._types[name]
            or shape[1:] != self._shapes[name]
            or not 0 <= shape[0] <= self._max_rows
            or entry.get("datatype") != signature.datatype
        ):
            return None
        return signature

    def rows(self, feeds: Mapping[str, Array]) -> int:
        """How many rows all inputs have."""
        if len(feeds) == len(self.inputs) == 1:
            return len(next(iter(feeds.values())))
        if len(feeds) < len(self.inputs):
            missing = [name for name, signature in self.inputs.items() if signature.onnx not in feeds]
            raise InputError(f"inputs: wanted {', '.join(self.inputs)}; missing: {', '.join(missing)}")
        rows = {len(array) for array in feeds.values()}
        if len(rows) > 1:
            raise InputError(f"inputs: wanted the same number of rows in every input, found {sorted(rows)}")
        return rows.pop()


# What the JSON of a request says but for the values: its inputs by ONNX name, each with its tensor and the words for
# where that is; the outputs that it asks for and which of them as raw bytes; the caller's id; whether there is neither
# `true` nor `false` in it. A tuple, because anything with names costs 0.3 us more.
_Inputs = dict[str, tuple[Signature, dict[str, Any], str]]
_Asked = tuple[_Inputs, tuple[Signature, ...], frozenset[str], str | None, bool]


class V2:
    """Decodes and encodes V2 for one model."""

    name = "v2"

    def __init__(self, manifest: Manifest, *, version: str, max_rows: int = MAX_ROWS) -> None:
        self._version = orjson.dumps(version)
        self._writers = {signature.name: TensorWriter(signature) for signature in manifest.outputs}
        self._tensors = Tensors(manifest, max_rows=max_rows)
        self._one_row = self._tensors.one_row[manifest.inputs[0].name] if len(manifest.inputs) == 1 else None
        self._headers: dict[bytes, tuple[_Asked, _Block | None]] = {}

    def decode(self, body: bytes, *, header_length: int = 0) -> Call:
        """One call per body; see `calls.Dialect`."""
        raw = None
        if header_length:
            if header_length > len(body):
                found = f"wanted at most the body's {len(body)} bytes, found {header_length}"
                raise InputError(f"inference-header-content-length: {found}")
            asked, block = self._header(body[:header_length])
            if block is not None and len(body) - header_length == block.size:
                return Call({}, block.rows, asked[1], asked[3], asked[2], body[header_length:])
            raw = _Raw(memoryview(body)[header_length:])
        else:
            asked = self._read(body)
        inputs, outputs, binary, caller_id, without_bools = asked
        if raw is None and (row := self._one_row_of(inputs, without_bools=without_bools)) is not None:
            return Call({}, 1, outputs, caller_id, binary, row)
        feeds: dict[str, Array] = {}
        for onnx, (signature, entry, where) in inputs.items():
            feeds[onnx] = self._array(entry, signature, raw, where=where, without_bools=without_bools)
        if raw is not None:
            raw.check_empty()
        return Call(feeds, self._tensors.rows(feeds), outputs, caller_id, binary)

    def _header(self, text: bytes) -> tuple[_Asked, _Block | None]:
        """The JSON in front of raw tensors. Clients send the same one over and over: reading it takes 6 us."""
        found = self._headers.get(text)
        if found is None:
            asked = self._read(text)
            found = asked, _Block.of(asked) if len(self._tensors.inputs) == 1 else None
            if asked[3] is None and len(text) <= _KEPT_BYTES:
                if len(self._headers) >= _KEPT:
                    self._headers.clear()
                self._headers[text] = found
        return found

    def _read(self, text: bytes) -> _Asked:
        """Everything but the values, checked."""
        document = _document(text)
        inputs: _Inputs = {}
        for index, entry in enumerate(_field(document, "inputs", list, where="body")):
            where = f"inputs[{index}]"
            signature = self._tensors.plain(entry) or self._checked(entry, where=where)
            if signature.onnx in inputs:
                raise InputError(f"{where}.name: {signature.name} is given twice")
            inputs[signature.onnx] = signature, entry, where
        outputs, binary = self._outputs(document)
        caller_id = document.get("id")
        if caller_id is not None:
            caller_id = checked_caller_id(caller_id, where="id")
        return inputs, outputs, binary, caller_id, says_no_bool(text)

    def encode(self, call: Call, outputs: list[Text], *, model: str, prediction_id: str) -> tuple[bytes, int]:
        """The reply names the version that answered, and carries the caller's own id if there was one."""
        raw: list[bytes] = []
        tensors = outputs[0][1] if len(outputs) == 1 else b",".join([tensor for _, tensor in outputs])
        if call.binary:
            tensors, raw = self._with_raw(call, outputs)
        text = b'{"model_name":%b,"model_version":%b,"id":%b,"outputs":[%b]}' % (
            orjson.dumps(model),
            self._version,
            orjson.dumps(call.caller_id or prediction_id),
            tensors,
        )
        return (b"".join((text, *raw)), len(text)) if raw else (text, 0)

    def _with_raw(self, call: Call, outputs: list[Text]) -> tuple[bytes, list[bytes]]:
        """The outputs' JSON, without the values of those that are asked for as raw bytes; and these bytes."""
        tensors, raw = [tensor for _, tensor in outputs], []
        for index, signature in enumerate(call.outputs):
            if signature.name in call.binary:
                array = call.results[signature.onnx]
                raw.append(to_raw(array))
                tensors[index] = self._writers[signature.name].describe(array, size_bytes=len(raw[-1]))
        return b",".join(tensors), raw

    def _checked(self, entry: Any, *, where: str) -> Signature:
        """The input that this tensor is for; what is wrong with everything but its data is said here."""
        if not isinstance(entry, dict):
            raise DataError(f"{where}: wanted an object, found {describe(entry)}")
        signature = self._tensors.input(_field(entry, "name", str, where=where), where=where)
        self._tensors.datatype(_field(entry, "datatype", str, where=where), signature, where=where)
        self._tensors.shape(_shape(entry, where=where), signature, where=where)
        return signature

    def _array(
        self, entry: dict[str, Any], signature: Signature, raw: _Raw | None, *, where: str, without_bools: bool
    ) -> Array:
        declared, shape, wanted = entry["datatype"], entry["shape"], signature.datatype
        if "parameters" in entry and (size := _parameter(entry, "binary_data_size", int, where=where)) is not None:
            if "data" in entry:
                raise InputError(f"{where}: wanted data or parameters.binary_data_size, found both")
            if raw is None:
                wish = "wanted the header inference-header-content-length, found none"
                raise InputError(f"{where}.parameters.binary_data_size: {wish}")
            return from_raw(raw.take(size, where=where), shape, declared=declared, wanted=wanted, where=where)
        data = _field(entry, "data", list, where=where)
        if without_bools and shape[0] == 1 and declared == wanted and (one := self._tensors.one_row[signature.name]):
            found = one.array(data)
            if found is not None:
                return found
        where = f"{where}.data"
        flat = flatten(data, shape, where=where)
        return to_array(flat, shape, declared=declared, wanted=wanted, where=where, without_bools=without_bools)

    def _one_row_of(self, inputs: _Inputs, *, without_bools: bool) -> bytes | None:
        """The one row of the one table that most requests of such a model are; None for others."""
        one = self._one_row
        if one is None or not without_bools or len(inputs) != 1:
            return None
        ((signature, entry, _),) = inputs.values()
        if entry["shape"][0] != 1 or entry["datatype"] != signature.datatype or "parameters" in entry:
            return None
        return one.block(entry.get("data"))

    def _outputs(self, document: dict[str, Any]) -> tuple[tuple[Signature, ...], frozenset[str]]:
        """The outputs that the caller names, and which of them as raw bytes."""
        if "outputs" not in document and "parameters" not in document:
            return self._tensors.answered, _NONE
        all_binary = _parameter(document, "binary_data_output", bool, where="body") or False
        entries = document.get("outputs")
        if not entries:
            outputs = self._tensors.answered
            return outputs, frozenset(output.name for output in outputs) if all_binary else _NONE
        if type(entries) is not list:
            raise DataError(f"outputs: wanted a list, found {describe(entries)}")
        found: dict[str, Signature] = {}
        binary = set()
        for index, entry in enumerate(entries):
            where = f"outputs[{index}]"
            if not isinstance(entry, dict):
                raise DataError(f"{where}: wanted an object, found {describe(entry)}")
            signature = self._tensors.output(_field(entry, "name", str, where=where), where=where)
            if signature.name in found:
                raise InputError(f"{where}.name: {signature.name} is asked for twice")
            found[signature.name] = signature
            wish = _parameter(entry, "binary_data", bool, where=where)
            if all_binary if wish is None else wish:
                binary.add(signature.name)
        return tuple(found.values()), frozenset(binary)


@dataclass(frozen=True, slots=True)
class _Block:
    """One table of numbers, as the model wants them, is all that follows the JSON: taken at once, 3 us sooner."""

    rows: int
    size: int

    @staticmethod
    def of(asked: _Asked) -> _Block | None:
        """For requests that ask so; None for others."""
        ((signature, entry, _),) = asked[0].values()
        datatype = DATATYPES[signature.datatype]
        if entry["datatype"] != datatype.name or not datatype.code or "data" in entry:
            return None
        parameters = entry.get("parameters")
        found = parameters.get("binary_data_size") if type(parameters) is dict else None
        size = math.prod(entry["shape"]) * datatype.dtype.itemsize
        return _Block(entry["shape"][0], size) if type(found) is int and found == size else None


class _Raw:
    """The bytes behind the JSON, dealt out in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, size: int, *, where: str) -> memoryview:
        left = len(self._data) - self._taken
        if not 0 <= size <= left:
            raise InputError(f"{where}.parameters.binary_data_size: wanted at most the {left} bytes left, found {size}")
        self._taken += size
        return self._data[self._taken - size : self._taken]

    def check_empty(self) -> None:
        if self._taken < len(self._data):
            raise InputError(f"body: {len(self._data) - self._taken} bytes belong to no input")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"body: not JSON: {error}") from error
    if type(document) is not dict:
        raise DataError(f"body: wanted an object, found {describe(document)}")
    return document


def _shape(entry: dict[str, Any], *, where: str) -> list[int]:
    shape: list[int] = _field(entry, "shape", list, where=where)
    if not all(type(extent) is int and extent >= 0 for extent in shape):
        raise DataError(f"{where}.shape: wanted whole numbers, found {str(shape)[:80]}")
    return shape


def _field(document: dict[str, Any], key: str, kind: type, *, where: str) -> Any:
    value = document.get(key, _ABSENT)
    if type(value) is not kind:
        found = "nothing" if value is _ABSENT else describe(value)
        raise DataError(f"{where}.{key}: wanted {describe(kind())}, found {found}")
    return value


def _parameter(owner: dict[str, Any], key: str, kind: type, *, where: str) -> Any:
    """One of an object's parameters; None without it. Those that nobody here knows are ignored, as V2 demands."""
    parameters = owner.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise DataError(f"{where}.parameters: wanted an object, found {describe(parameters)}")
    value = parameters.get(key)
    if value is not None and type(value) is not kind:
        raise DataError(f"{where}.parameters.{key}: wanted {describe(kind())}, found {describe(value)}")
    return value


def _named(names: Mapping[str, Signature], name: str, *, where: str) -> Signature:
    signature = names.get(name)
    if signature is None:
        raise InputError(f"{where}.name: wanted {' or '.join(names)}, found {name[:80]!r}")
    return signature
