"""What this server answers, as an OpenAPI 3.1 document made from the signatures of the versions that it serves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

import turnout
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.served import Served

__all__ = ["document"]

_JSON_TYPES = {"BOOL": "boolean", "BYTES": "string", "FP16": "number", "FP32": "number", "FP64": "number"}
_ERRORS = {
    400: "The request does not fit the model, or its headers contradict each other.",
    408: "The request did not arrive in time.",
    413: "The body is too long, or has too many rows.",
    415: "The body is compressed, or a batch of CloudEvents.",
    422: "The body is no V2 request.",
    431: "The headers are too long.",
    500: "A mistake of the server's.",
    503: "Not ready, too busy, or the ledger does not acknowledge the record.",
}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def document(versions: Iterable[Served]) -> bytes:
    """The document, as JSON."""
    paths: dict[str, Any] = {
        "/": _read("Whether the process is alive."),
        "/v1/models": _read("The names that this server answers to."),
        "/v2": _read("The server's name, version and extensions."),
        "/v2/health/live": _read("Whether the process is alive."),
        "/v2/health/ready": _read("Whether it takes requests.", 503),
        "/v2/models": _read("The names that this server answers to."),
        "/v2/repository/index": {
            "post": _operation(
                "The versions that are loaded, and those that could be.",
                body=_content({"type": "object", "properties": {"ready": {"type": "boolean"}}}),
                answer={"type": "array"},
                errors=(400,),
            )
        },
        "/metrics": {"get": {"summary": "Metrics for Prometheus.", "responses": {"200": {"description": "Text."}}}},
    }
    for served in versions:
        for name in served.names:
            paths |= _model(name, served)
    info = {"title": "Turnout predictor", "version": turnout.__version__}
    schemas = {"Error": _ERROR}
    return orjson.dumps({"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}})


def _model(name: str, served: Served) -> dict[str, Any]:
    manifest = served.manifest
    infer = {
        "post": _operation(
            "Predict (V2, the Open Inference Protocol).",
            body=_content(_v2_request(manifest)) | {"application/octet-stream": {}},
            answer=_v2_answer(manifest),
        )
    }
    return {
        f"/v1/models/{name}": _read("Whether the model is ready.", 503),
        f"/v1/models/{name}:predict": {
            "get": _operation("Predict one row, for a browser.", query=_query(manifest), answer=_v1_answer(manifest)),
            "post": _operation("Predict (V1).", body=_content(_v1_request(manifest)), answer=_v1_answer(manifest)),
        },
        f"/v2/models/{name}": _read("The model's signature."),
        f"/v2/models/{name}/ready": _read("Whether the model is ready.", 503),
        f"/v2/models/{name}/infer": infer,
        f"/v2/models/{name}/versions/{served.version}": _read("The version's signature."),
        f"/v2/models/{name}/versions/{served.version}/ready": _read("Whether the version is ready.", 503),
        f"/v2/models/{name}/versions/{served.version}/infer": infer,
    }


def _read(summary: str, *errors: int) -> dict[str, Any]:
    return {"get": _operation(summary, answer={"type": "object"}, errors=errors)}


def _operation(
    summary: str,
    *,
    answer: dict[str, Any],
    body: dict[str, Any] | None = None,
    query: list[dict[str, Any]] | None = None,
    errors: Iterable[int] = tuple(_ERRORS),
) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary}
    if body is not None:
        found["requestBody"] = {"required": True, "content": body}
    if query is not None:
        found["parameters"] = query
    failures = {
        str(code): {"description": _ERRORS[code], "content": _content({"$ref": "#/components/schemas/Error"})}
        for code in errors
    }
    found["responses"] = {"200": {"description": "OK", "content": _content(answer)}, **failures}
    return found


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _v1_request(manifest: Manifest) -> dict[str, Any]:
    types = _feature_types(manifest)
    by_name = {
        "type": "object",
        "required": list(manifest.features),
        "additionalProperties": False,
        "properties": {name: _nullable(kind) for name, kind in types.items()},
    }
    row: dict[str, Any] = by_name
    if len(manifest.inputs) == 1:
        row = {"anyOf": [_array_of(manifest.inputs[0], manifest.inputs[0].shape[1:]), by_name]}
    return {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": {"type": "array", "items": row}},
    }


def _v1_answer(manifest: Manifest) -> dict[str, Any]:
    return {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}}


def _v2_request(manifest: Manifest) -> dict[str, Any]:
    outputs = {"name": {"enum": [output.name for output in manifest.outputs]}, "parameters": {"type": "object"}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "maxLength": 256},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": {"anyOf": [_tensor(signature) for signature in manifest.inputs]}},
            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": outputs}},
        },
    }


def _v2_answer(manifest: Manifest) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"anyOf": [_tensor(signature) for signature in manifest.outputs]}},
        },
    }


def _tensor(signature: Signature) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": signature.name},
            "datatype": {"type": "string", "description": f"{signature.datatype}, or what fits into it"},
            "shape": {"type": "array", "items": {"type": "integer"}, "description": str(list(signature.shape))},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }


def _query(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": True, "schema": {"type": kind}}
        for name, kind in _feature_types(manifest).items()
    ]


def _feature_types(manifest: Manifest) -> dict[str, str]:
    columns = {signature.name: signature.datatype for signature in manifest.inputs}
    only = manifest.inputs[0].datatype
    return {name: _JSON_TYPES.get(columns.get(name, only), "integer") for name in manifest.features}


def _array_of(signature: Signature, extents: tuple[int, ...]) -> dict[str, Any]:
    if not extents:
        return _nullable(_JSON_TYPES.get(signature.datatype, "integer"))
    inner = _array_of(signature, extents[1:])
    return {"type": "array", "minItems": extents[0], "maxItems": extents[0], "items": inner}


def _nullable(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]} if kind == "number" else {"type": kind}
