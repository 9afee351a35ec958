"""Tensors whose numbers come as base64 of their bytes (little-endian), as predictors write them.

They are stored as they come, because text would cost a predictor and this process more than the rest of a record does;
who asks gets numbers. So the two forms differ for those who send and for nobody who reads.
"""

from __future__ import annotations

import binascii
import math
from typing import Any

__all__ = ["BASE64", "problem", "unpacked"]

BASE64 = "base64"
_DTYPES = {
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}


def problem(tensor: dict[str, Any]) -> str | None:
    """What is wrong with the numbers of a tensor that has `base64`, or None.

    >>> problem({"datatype": "INT8", "shape": [1, 3], "base64": "AQID"}) is None
    True
    >>> problem({"datatype": "INT8", "shape": [2], "base64": "AQID"})
    'base64: wanted 2 bytes, found 3'
    """
    dtype = _DTYPES.get(tensor["datatype"])
    if dtype is None:
        return f"base64: wanted numbers, found {tensor['datatype']!r}"
    shape = tensor["shape"]
    if "data" in tensor or not all(type(length) is int and length >= 0 for length in shape):
        return "base64: wanted a shape of whole numbers and no data besides"
    try:
        found = len(binascii.a2b_base64(tensor[BASE64], strict_mode=True))
    except (binascii.Error, TypeError, ValueError):
        return "base64: this is no base64"
    wanted = math.prod(shape) * int(dtype[-1])
    return None if found == wanted else f"base64: wanted {wanted} bytes, found {found}"


def unpacked(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tensors with their numbers in `data`: lists, or arrays that orjson writes as short as they are."""
    return [_unpacked(tensor) if BASE64 in tensor else tensor for tensor in tensors]


def _unpacked(tensor: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # only who is asked for such a record pays for it

    flat = np.frombuffer(binascii.a2b_base64(tensor[BASE64]), dtype=_DTYPES[tensor["datatype"]])
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    data = native if native.dtype in (np.float32, np.float64) else native.tolist()
    return {name: value for name, value in tensor.items() if name != BASE64} | {"data": data}
