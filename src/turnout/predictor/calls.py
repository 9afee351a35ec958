"""What a decoded request is, whatever protocol it came in: the seam between protocols and the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from turnout.errors import InputError, TurnoutError
from turnout.predictor.artifact import Signature
from turnout.predictor.tensors import Array, to_json

__all__ = ["MAX_CALLER_ID", "MAX_ROWS", "Call", "Dialect", "TooLarge", "checked_caller_id", "checked_rows", "tensor"]

MAX_CALLER_ID = 256
MAX_ROWS = 100_000


class TooLarge(InputError):
    """More than one request may ask for."""

    status = 413


# The classes of the hot path are not frozen: a frozen dataclass costs a microsecond to make.
@dataclass(slots=True)
class Call:
    """One decoded request: arrays by ONNX name and the outputs asked for; then the model's results, or its error."""

    feeds: dict[str, Array]
    rows: int
    outputs: tuple[Signature, ...]
    caller_id: str | None = None
    binary: frozenset[str] = frozenset()  # names of the outputs that are answered as raw bytes
    results: dict[str, Array] = field(default_factory=dict)
    error: TurnoutError | None = None


class Dialect(Protocol):
    """A protocol that a predictor speaks."""

    name: str

    def decode(self, body: Any, *, header_length: int = 0) -> Call:
        """Read a request's body; InputError (400, 413) or DataError (422) says what was wanted and what was found.

        Args:
            body: bytes as they came, or the message that a protocol's own library has parsed.
            header_length: how much of the body is JSON, where raw tensors follow; 0: all of it.
        """

    def encode(self, call: Call, outputs: list[dict[str, Any]], *, model: str, prediction_id: str) -> tuple[bytes, int]:
        """The reply's body, and how much of it is JSON if raw tensors follow (else 0).

        `outputs` are the tensors that the caller asked for, as `tensor` makes them.
        """


def tensor(signature: Signature, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A tensor as V2 and the prediction log write it: flat data, orjson-ready."""
    array = arrays[signature.onnx]
    return {"name": signature.name, "datatype": signature.datatype, "shape": array.shape, "data": to_json(array)}


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
