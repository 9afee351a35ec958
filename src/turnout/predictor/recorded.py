"""How a large tensor waits in the prediction log, and how it leaves it.

The ledger reads numbers, but writing 64,000 of them as text takes longer than predicting a thousand rows. So a large
request's inputs are kept as base64 of their bytes, at a tenth of the time, and become numbers when they are shipped,
by the shipper's thread: after the reply instead of before it.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from turnout.predictor.artifact import Signature
from turnout.predictor.calls import tensor
from turnout.predictor.raw_tensors import to_raw
from turnout.predictor.tensors import DATATYPES, Array, to_json

__all__ = ["expanded", "packed_tensor"]

_PACKED = b'"base64":"'


def packed_tensor(signature: Signature, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A tensor for the log; strings and truth values stay what they are."""
    array = arrays[signature.onnx]
    if array.dtype.kind not in "fiu":
        return tensor(signature, arrays)
    return {
        "name": signature.name,
        "datatype": signature.datatype,
        "shape": list(array.shape),
        "base64": binascii.b2a_base64(to_raw(array), newline=False).decode(),
    }


def expanded(record: bytes) -> bytes:
    """A record as the ledger reads it: every tensor with its numbers in `data`."""
    if _PACKED not in record:
        return record
    document = orjson.loads(record)
    document["inputs"] = [_unpacked(entry) for entry in document["inputs"]]
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _unpacked(entry: dict[str, Any]) -> dict[str, Any]:
    if "base64" not in entry:
        return entry
    dtype = DATATYPES[entry["datatype"]].dtype.newbyteorder("<")
    array = np.frombuffer(binascii.a2b_base64(entry["base64"]), dtype=dtype)
    rest = {key: value for key, value in entry.items() if key != "base64"}
    return {**rest, "data": to_json(array.astype(dtype.newbyteorder("="), copy=False))}
