"""Tensors as raw bytes: the binary tensor extension of V2, and `raw_input_contents` over gRPC.

Numbers are little-endian in row-major order, truth values one byte each, strings each behind four bytes of length.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from turnout.errors import InputError
from turnout.predictor.tensors import DATATYPES, Array, cast

__all__ = ["from_raw", "little_endian", "little_endian_of", "to_raw"]

_IS_LITTLE = sys.byteorder == "little"
_LENGTH = struct.Struct("<I")
_LITTLE = {name: datatype.dtype.newbyteorder("<") for name, datatype in DATATYPES.items()}


def from_raw(data: memoryview, shape: Sequence[int], *, declared: str, wanted: str, where: str) -> Array:
    """Raw bytes of a declared datatype as an array of the datatype that the model wants.

    Raises:
        InputError: the bytes do not hold what the shape says, or a value does not fit.
    """
    count = math.prod(shape)
    if declared == "BYTES":
        return _strings(data, count, where=where).reshape(shape)
    dtype = _LITTLE[declared]
    if len(data) != count * dtype.itemsize:
        raise InputError(
            f"{where}: wanted {count * dtype.itemsize} bytes for shape {list(shape)} of {declared}, found {len(data)}"
        )
    if declared == wanted != "BOOL":
        # A copy, because onnxruntime wants numbers aligned, and behind JSON of any length they seldom are.
        return np.ndarray(shape, dtype, bytes(data))
    if declared == "BOOL":
        octets = np.frombuffer(data, dtype=np.uint8)
        if octets.size and octets.max() > 1:
            raise InputError(f"{where}: wanted BOOL as bytes of 0 or 1, found {octets.max()}")
        found = octets.astype(np.bool_)
    else:
        found = np.frombuffer(data, dtype)
    return cast(found, declared=declared, wanted=wanted, where=where).reshape(shape)


def to_raw(array: Array) -> bytes:
    """An array of any datatype as raw bytes."""
    if array.dtype.kind == "O":
        return b"".join(_LENGTH.pack(len(text)) + text for text in (str(value).encode() for value in array.flat))
    return little_endian(array).tobytes()


def little_endian(array: Array) -> Array:
    """An array of numbers in the byte order of the protocol: on most machines itself."""
    return array if _IS_LITTLE else array.astype(array.dtype.newbyteorder("<"))


def little_endian_of(datatype: str) -> np.dtype[Any]:
    """numpy's twin of a datatype, in the byte order of the protocol."""
    return _LITTLE[datatype]


def _strings(data: memoryview, count: int, *, where: str) -> Array:
    found: list[str] = []
    offset = 0
    try:
        while offset < len(data):
            (size,) = _LENGTH.unpack_from(data, offset)
            offset += _LENGTH.size
            if size > len(data) - offset:
                raise InputError(f"{where}: string {len(found)}: wanted {size} bytes, found {len(data) - offset}")
            found.append(str(data[offset : offset + size], "utf-8"))
            offset += size
    except struct.error as error:
        raise InputError(f"{where}: string {len(found)}: wanted four bytes of length before it") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: string {len(found)}: not UTF-8: {error.reason}") from error
    if len(found) != count:
        raise InputError(f"{where}: wanted {count} strings, found {len(found)}")
    array = np.empty(count, dtype=np.object_)
    array[:] = found
    return array
