"""KServe's V1 protocol: `{"instances": [...]}` -> `{"predictions": [...]}`.

Rows are lists in the order of the model's features, or objects by feature name; a model of several inputs (one per
column of a table) takes objects only. Every mistake is a 400: that is what KServe answers where it does not fall over.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson

from turnout.errors import InputError
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import MAX_ROWS, Call, Text, TooLarge
from turnout.predictor.tensors import Array, OneRow, describe, flatten, says_no_bool, to_array

__all__ = ["V1", "V1Query"]


class V1:
    """Decodes and encodes V1 for one model."""

    name = "v1"

    def __init__(self, manifest: Manifest, *, max_rows: int = MAX_ROWS) -> None:
        self._inputs = manifest.inputs
        self._features = manifest.features
        self._known = frozenset(manifest.features)
        self._answered = manifest.outputs[:1]
        self._max_rows = max_rows
        only = manifest.inputs[0]
        self._one_row = OneRow.of(only.datatype, only.shape) if len(manifest.inputs) == 1 else None

    def decode(self, body: bytes, *, header_length: int = 0) -> Call:
        """One call per body; see `calls.Dialect`."""
        if header_length:
            raise InputError("inference-header-content-length: raw tensors are for V2; V1 is JSON only")
        instances = _instances(body)
        without_bools = says_no_bool(body)
        if len(instances) == 1 and without_bools and self._one_row is not None:
            block = self._one_row.block(instances[0])
            if block is not None:
                return Call({}, 1, self._answered, block=block)
        return self.call(instances, without_bools=without_bools)

    def encode(self, call: Call, outputs: list[Text], *, model: str, prediction_id: str) -> tuple[bytes, int]:
        """The first output's values, one per row."""
        return b'{"predictions":%b}' % outputs[0][0], 0

    def call(self, instances: list[Any], *, without_bools: bool = False) -> Call:
        """The call that these rows ask for; see `tensors.to_array` for `without_bools`."""
        rows = len(instances)
        if rows > self._max_rows:
            raise TooLarge(f"instances: wanted at most {self._max_rows} rows in one request, found {rows}")
        by_name = rows > 0 and type(instances[0]) is dict
        if len(self._inputs) > 1:
            feeds = self._columns(instances, by_name=by_name, without_bools=without_bools)
        else:
            signature = self._inputs[0]
            table = self._rows_by_name(instances) if by_name else instances
            feeds = {signature.onnx: _table(table, signature, without_bools=without_bools)}
        return Call(feeds, rows, self._answered)

    def _columns(self, instances: list[Any], *, by_name: bool, without_bools: bool) -> dict[str, Array]:
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
                without_bools=without_bools,
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


class V1Query:
    """One row from a URL (`:predict?sepal_length=5.1&...`), so that a browser's address bar can ask."""

    name = "v1"

    def __init__(self, v1: V1, manifest: Manifest) -> None:
        self._v1 = v1
        self.encode = v1.encode
        columns = {signature.name: signature.datatype for signature in manifest.inputs}
        only = manifest.inputs[0].datatype
        self._datatypes = {feature: columns.get(feature, only) for feature in manifest.features}

    def decode(self, body: bytes, *, header_length: int = 0) -> Call:
        """One call per query; see `calls.Dialect`."""
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=10_000)
        except ValueError as error:
            raise InputError(f"query: not UTF-8, or too long: {error}") from error
        row: dict[str, Any] = {}
        for name, text in pairs:
            if name in row:
                raise InputError(f"query: {name[:80]} is given twice")
            row[name] = self._value(name, text)
        return self._v1.call([row])

    def _value(self, name: str, text: str) -> object:
        """The text as JSON would write it for this feature."""
        datatype = self._datatypes.get(name, "BYTES")  # an unknown name is told with all the others, by V1
        if datatype == "BYTES":
            return text
        try:
            value = orjson.loads(text or "null")
        except orjson.JSONDecodeError as error:
            raise InputError(f"query: {name}: wanted {datatype}, found {text[:80]!r}") from error
        return bool(value) if datatype == "BOOL" and value in (0, 1) else value


def _instances(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"body: not JSON: {error}") from error
    if type(document) is dict and type(instances := document.get("instances")) is list:
        return instances
    if type(document) is not dict:
        raise InputError(f'body: wanted an object with "instances", found {describe(document)}')
    if "instances" not in document:
        raise InputError(f'body: wanted "instances", found {", ".join(map(repr, document)) or "nothing"}'[:500])
    raise InputError(f"instances: wanted a list of rows, found {describe(document['instances'])}")


def _table(rows: list[Any], signature: Signature, *, without_bools: bool) -> Array:
    # Said here, because a flat list would be taken for the values of a single row further down.
    if rows and len(signature.shape) > 1 and type(rows[0]) is not list:
        raise InputError(f"instances[0]: wanted a list of {signature.shape[-1]} values, found {describe(rows[0])}")
    shape = (len(rows), *signature.shape[1:])
    flat = flatten(rows, shape, where="instances") if rows else rows
    datatype = signature.datatype
    return to_array(flat, shape, declared=datatype, wanted=datatype, where="instances", without_bools=without_bools)
