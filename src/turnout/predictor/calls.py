"""What a decoded request is, whatever protocol it came in: the seam between protocols and the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from turnout.errors import InputError, TurnoutError
from turnout.predictor.artifact import Signature
from turnout.predictor.tensors import Array, to_json

__all__ = ["MAX_CALLER_ID", "Call", "Dialect", "checked_caller_id", "tensor"]

MAX_CALLER_ID = 256


# The classes of the hot path are not frozen: a frozen dataclass costs a microsecond to make.
@dataclass(slots=True)
class Call:
    """One decoded request: arrays by ONNX name and the outputs asked for; then the model's results, or its error."""

    feeds: dict[str, Array]
    rows: int
    outputs: tuple[Signature, ...]
    caller_id: str | None = None
    results: dict[str, Array] = field(default_factory=dict)
    error: TurnoutError | None = None


class Dialect(Protocol):
    """A protocol that a predictor speaks."""

    name: str

    def decode(self, body: bytes) -> Call:
        """Read a request's body; InputError (400) or DataError (422) says what was wanted and what was found."""

    def encode(self, call: Call, outputs: list[dict[str, Any]], *, model: str, prediction_id: str) -> bytes:
        """Write the reply's body; `outputs` are the tensors that the caller asked for, as `tensor` makes them."""


def tensor(signature: Signature, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A tensor as V2 and the prediction log write it: flat data, orjson-ready."""
    array = arrays[signature.onnx]
    return {
        "name": signature.name,
        "datatype": signature.datatype,
        "shape": list(array.shape),
        "data": to_json(array),
    }


def checked_caller_id(value: object, *, where: str) -> str | None:
    """A caller's own id, short enough to go into every record."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_CALLER_ID:
        found = f"{len(value)} characters" if isinstance(value, str) else orjson.dumps(value).decode()[:80]
        raise InputError(f"{where}: wanted a string of at most {MAX_CALLER_ID} characters, found {found}")
    return value
