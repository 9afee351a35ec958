"""KServe's V1 protocol: `{"instances": [...]}` -> `{"predictions": [...]}`.

Rows are lists in the order of the model's features, or objects by feature name; a model of several inputs (one per
column of a table) takes objects only. Every mistake is a 400: that is what KServe answers where it does not fall over.
"""

from __future__ import annotations

from typing import Any

import orjson

from turnout.errors import InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import Call
from turnout.predictor.tensors import Array, describe, flatten, to_array

__all__ = ["V1"]


class V1:
    """Decodes and encodes V1 for one model."""

    name = "v1"

    def __init__(self, manifest: Manifest) -> None:
        self._inputs = manifest.inputs
        self._features = manifest.features
        self._known = frozenset(manifest.features)
        self._answered = manifest.outputs[:1]

    def decode(self, body: bytes) -> Call:
        """One call per body; see `calls.Dialect`."""
        instances = _instances(body)
        by_name = bool(instances) and type(instances[0]) is dict
        if len(self._inputs) > 1:
            feeds = self._columns(instances, by_name=by_name)
        else:
            signature = self._inputs[0]
            rows = self._rows_by_name(instances) if by_name else instances
            feeds = {signature.onnx: _table(rows, signature)}
        return Call(feeds=feeds, rows=len(instances), outputs=self._answered)

    def encode(self, call: Call, outputs: list[dict[str, Any]], *, model: str, prediction_id: str) -> bytes:
        """The first output's values, one per row."""
        return orjson.dumps({"predictions": outputs[0]["data"]}, option=orjson.OPT_SERIALIZE_NUMPY)

    def _columns(self, instances: list[Any], *, by_name: bool) -> dict[str, Array]:
        if instances and not by_name:
            names = ", ".join(self._features)
            raise InputError(f"instances[0]: wanted an object with {names}, found {describe(instances[0])}")
        self._check_names(instances)
        return {
            signature.onnx: to_array(
                [row[signature.name] for row in instances],
                (len(instances), *signature.shape[1:]),
                declared=signature.datatype,
                wanted=signature.datatype,
                where=f"instances: {signature.name}",
            )
            for signature in self._inputs
        }

    def _rows_by_name(self, instances: list[Any]) -> list[list[Any]]:
        self._check_names(instances)
        return [[row[feature] for feature in self._features] for row in instances]

    def _check_names(self, instances: list[Any]) -> None:
        for index, row in enumerate(instances):
            if type(row) is not dict:
                raise InputError(f"instances[{index}]: wanted an object like the rows before, found {describe(row)}")
            if row.keys() != self._known:
                missing = ", ".join(sorted(self._known - row.keys())) or "none"
                unknown = ", ".join(sorted(row.keys() - self._known)) or "none"
                raise InputError(
                    f"instances[{index}]: wanted the model's features; missing: {missing}; unknown: {unknown}"
                )


def _instances(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"body: not JSON: {error}") from error
    if type(document) is not dict:
        raise InputError(f'body: wanted an object with "instances", found {describe(document)}')
    if "instances" not in document:
        raise InputError(f'body: wanted "instances", found {", ".join(map(repr, document)) or "nothing"}'[:500])
    instances = document["instances"]
    if type(instances) is not list:
        raise InputError(f"instances: wanted a list of rows, found {describe(instances)}")
    return instances


def _table(rows: list[Any], signature: Signature) -> Array:
    # Said here, because a flat list would be taken for the values of a single row further down.
    if rows and len(signature.shape) > 1 and type(rows[0]) is not list:
        raise InputError(f"instances[0]: wanted a list of {signature.shape[-1]} values, found {describe(rows[0])}")
    shape = (len(rows), *signature.shape[1:])
    flat = flatten(rows, shape, where="instances") if rows else rows
    return to_array(flat, shape, declared=signature.datatype, wanted=signature.datatype, where="instances")
