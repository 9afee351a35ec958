"""What a decoded request is, whatever protocol it came in: the seam between protocols and the model."""

from __future__ import annotations

import binascii
from typing import Any, Protocol

import numpy as np
import orjson

from turnout.errors import InputError, TurnoutError
from turnout.predictor.artifact import Signature
from turnout.predictor.raw_tensors import little_endian, little_endian_of
from turnout.predictor.tensors import DATATYPES, Array, to_json

__all__ = [
    "MAX_CALLER_ID",
    "MAX_ROWS",
    "Call",
    "Dialect",
    "TensorWriter",
    "Text",
    "TooLarge",
    "checked_caller_id",
    "checked_rows",
]

MAX_CALLER_ID = 256
MAX_ROWS = 100_000
_KNOWN = 1024  # classes whose text is kept


class TooLarge(InputError):
    """More than one request may ask for."""

    status = 413


# The classes of the hot path set what every request has; what few have is a default of the class. As dataclasses, which
# set everything every time, the three of them cost a microsecond of every request.
class Call:
    """One decoded request: arrays by ONNX name and the outputs asked for; then the model's results, or its error.

    A model of one table of numbers may be given it as a `block` instead: its values as little-endian bytes in row-major
    order. Blocks are joined for the model and recorded as they are, which takes 1 us less than making arrays of them.
    """

    error: TurnoutError | None = None

    def __init__(
        self,
        feeds: dict[str, Array],
        rows: int,
        outputs: tuple[Signature, ...],
        caller_id: str | None = None,
        binary: frozenset[str] = frozenset(),
        block: bytes | None = None,
    ) -> None:
        """`binary` are the names of the outputs that are answered as raw bytes; with a `block` there are no feeds."""
        self.feeds = feeds
        self.block = block
        self.rows = rows
        self.outputs = outputs
        self.caller_id = caller_id
        self.binary = binary
        self.results: dict[str, Array] = {}

    def feed(self, signature: Signature) -> Array:
        """The values of one input, of shape [rows, ...]."""
        if self.block is None:
            return self.feeds[signature.onnx]
        return np.ndarray((self.rows, *signature.shape[1:]), little_endian_of(signature.datatype), self.block)


class Dialect(Protocol):
    """A protocol that a predictor speaks."""

    name: str

    def decode(self, body: Any, *, header_length: int = 0) -> Call:
        """Read a request's body; InputError (400, 413) or DataError (422) says what was wanted and what was found.

        Args:
            body: bytes as they came, or the message that a protocol's own library has parsed.
            header_length: how much of the body is JSON, where raw tensors follow; 0: all of it.
        """

    def encode(self, call: Call, outputs: list[Text], *, model: str, prediction_id: str) -> tuple[bytes, int]:
        """The reply's body, and how much of it is JSON if raw tensors follow (else 0).

        `outputs` are the tensors that the caller asked for, as `TensorWriter` writes them.
        """


Text = tuple[bytes, bytes]
"""A tensor as JSON, once without and once with what describes it: its flat data, and the object around them."""


class TensorWriter:
    """Writes tensors of one signature as V2 and the prediction log do.

    A template, because making a dictionary of a tensor and writing that takes twice as long.
    """

    def __init__(self, signature: Signature) -> None:
        kind = DATATYPES[signature.datatype].dtype.kind
        self.onnx = signature.onnx
        self.is_number = kind in "fiu"
        self._named = orjson.dumps({"name": signature.name, "datatype": signature.datatype})[:-1]
        inner = signature.shape[1:]
        self._inner = b"".join([b",%d" % extent for extent in inner]) if all(extent >= 0 for extent in inner) else None
        self._one_row = b'%b,"shape":[1%b],"base64":"' % (self._named, self._inner or b"")
        # One whole number or string is most often one of few classes, which need not be written anew: 1 us.
        self._written: dict[object, Text] | None = None if kind == "f" else {}

    def write(self, array: Array) -> Text:
        """With its values as JSON."""
        known = self._written
        if known is None or array.size != 1:
            return self._write(array)
        value = array.item()
        found = known.get(value)
        if found is None:
            found = self._write(array)
            if len(known) < _KNOWN:
                known[value] = found
        return found

    def _write(self, array: Array) -> Text:
        data = orjson.dumps(to_json(array), option=orjson.OPT_SERIALIZE_NUMPY)
        return data, b'%b,"shape":[%b],"data":%b}' % (self._named, self._extents(array), data)

    def write_base64(self, array: Array) -> bytes:
        """With its numbers as base64 of their little-endian bytes: a fifth of the time of writing them out."""
        base64 = binascii.b2a_base64(little_endian(array).data, newline=False)
        return b'%b,"shape":[%b],"base64":"%b"}' % (self._named, self._extents(array), base64)

    def write_block(self, block: bytes, rows: int) -> bytes:
        """The same for a table whose bytes are at hand."""
        base64 = binascii.b2a_base64(block, newline=False)
        if rows == 1:
            return self._one_row + base64 + b'"}'
        return b'%b,"shape":[%d%b],"base64":"%b"}' % (self._named, rows, self._inner or b"", base64)

    def describe(self, array: Array, *, size_bytes: int) -> bytes:
        """Without its values, which follow as so many raw bytes."""
        more = b'"parameters":{"binary_data_size":%d}' % size_bytes
        return b'%b,"shape":[%b],%b}' % (self._named, self._extents(array), more)

    def _extents(self, array: Array) -> bytes:
        inner = self._inner
        if inner is None:
            return b",".join([b"%d" % extent for extent in array.shape])
        return b"%d%b" % (len(array), inner)


def checked_caller_id(value: object, *, where: str) -> str | None:
    """A caller's own id, short enough to go into every record."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_CALLER_ID:
        found = f"{len(value)} characters" if isinstance(value, str) else orjson.dumps(value).decode()[:80]
        raise InputError(f"{where}: wanted a string of at most {MAX_CALLER_ID} characters, found {found}")
    return value


def checked_rows(rows: int, limit: int, *, where: str) -> int:
    """A number of rows that one request may have."""
    if rows > limit:
        raise TooLarge(f"{where}: wanted at most {limit} rows in one request, found {rows}")
    return rows
