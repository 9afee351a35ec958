"""The OpenAPI document, made from the table of operations and the schemas here."""

from __future__ import annotations

import re
from typing import Any

import turnout
from turnout.ledger.api.operations import OPERATIONS, Operation

__all__ = ["document"]

_DESCRIPTION = """\
Every prediction, every label and every decision of the Turnouts of one installation.

Times are microseconds since 1970. Errors are problem documents (RFC 9457). A write is answered when it is on disk, and
may be repeated: records are idempotent by id, feedback by what it says."""
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_TIME = {"type": "integer", "minimum": 0, "description": "Microseconds since 1970."}
_COUNT = {"type": "integer", "minimum": 0}
_UNIT = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_ANYTHING = {"type": "object"}
_SCALAR = {"type": ["string", "number", "boolean"]}
_LABEL = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}
_MAYBE_LABEL = {"anyOf": [_LABEL, {"type": "null"}], "description": "The current true label."}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_WORD = {"label": _LABEL, "score": _UNIT, "comment": _MAYBE_TEXT, "by": _MAYBE_TEXT}
_REJECTED = _list(_object({"index": _COUNT, "id": _MAYBE_TEXT, "reason": _TEXT}))
_PLACE = {"namespace": _TEXT, "endpoint": _TEXT, "version": _TEXT}
_KNOWN = {"outcome": _UNIT, "labelled": {"type": "boolean"}, "late": {"type": "boolean"}}
_HISTORY = _list({"type": "object", "properties": _WORD | {"arrived_us": _TIME, "outcome": _UNIT}})
_AUDIT_ROW = {"seq": _COUNT, "time_us": _TIME, "namespace": _TEXT, "turnout": _TEXT, "actor": _TEXT, "action": _TEXT}
_RECORD = {"id": _TEXT, "time_us": _TIME} | _PLACE
_SENT = {"inputs": _list(_of("Tensor")), "outputs": _list(_of("Tensor"))}
_TAGS = {"stamp": _MAYBE_TEXT, "request_id": _MAYBE_TEXT, "caller_id": _MAYBE_TEXT, "shadow": {"type": "boolean"}}

_SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": _object({"type": _TEXT, "title": _TEXT, "status": _COUNT, "detail": _TEXT}),
    "Health": _object({"status": _TEXT}),
    "Tensor": _object({"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT), "data": _list({})}),
    "PackedTensor": _object(
        {"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT)}
        | {"base64": {"type": "string", "description": "The numbers' bytes, little-endian."}}
    ),
    "Record": _object(
        _RECORD | {"inputs": _list({"anyOf": [_of("Tensor"), _of("PackedTensor")]}), "outputs": _list(_of("Tensor"))},
        **_TAGS,
    ),
    "EventBatch": _object(
        {"log": _TEXT} | _PLACE | {"watermark_us": _TIME, "events": _list(_of("Record"))},
        final={"type": "boolean"},
        dropped=_list(_of("Gap")),
        withdrawn=_list(_TEXT),
    ),
    "Gap": _object({"from_us": _TIME, "to_us": _TIME, "events": _COUNT}),
    "GatewayRequest": _object(
        {"request_id": _TEXT, "time_us": _TIME, "duration_us": _COUNT, "code": _COUNT},
        stamp=_MAYBE_TEXT,
        id=_MAYBE_TEXT,
        host=_MAYBE_TEXT,
        flags=_MAYBE_TEXT,
    ),
    "GatewayBatch": _object(
        {"log": _TEXT, "watermark_us": _TIME, "events": _list(_of("GatewayRequest"))}, final={"type": "boolean"}
    ),
    "Taken": _object({"accepted": _COUNT, "duplicates": _COUNT, "late": _COUNT, "rejected": _REJECTED}),
    "Feedback": {"type": "object", "properties": _WORD, "additionalProperties": False, "minProperties": 1},
    "FeedbackAnswer": _object(
        {
            "id": _TEXT,
            "status": {"enum": ["created", "corrected", "unchanged"]},
            "pending": {"type": "boolean", "description": "The record has not arrived yet."},
            "feedback": {"type": "object", "properties": _WORD | {"arrived_us": _TIME}},
            "outcome": _UNIT,
        }
    ),
    "CallerFeedback": _object({"caller_id": _TEXT}, namespace=_MAYBE_TEXT, endpoint=_MAYBE_TEXT, **_WORD),
    "CallerFeedbackAnswer": _object(
        {
            "predictions": _list(_object({"id": _TEXT, "status": _TEXT})),
            "refused": _list(_object({"id": _TEXT, "reason": _TEXT})),
        }
    ),
    "Prediction": _object(_RECORD | _SENT | _KNOWN | {"feedback": _HISTORY}, **_TAGS),
    "PredictionPage": _object(
        {"predictions": _list(_object(_RECORD | _SENT | _KNOWN, label=_MAYBE_LABEL, **_TAGS)), "cursor": _MAYBE_TEXT}
    ),
    "Lineage": _object(
        _RECORD
        | {"rev": _MAYBE_TEXT, "stamp": _MAYBE_TEXT, "outcome": _UNIT}
        | {"weights": {"anyOf": [_of("AuditRow"), {"type": "null"}]}}
        | {"decision": {"anyOf": [_of("AuditRow"), {"type": "null"}]}, "audit": _list(_of("AuditRow"))}
    ),
    "Unit": _object(
        {"id": _TEXT, "time_us": _TIME, "version": _TEXT, "rev": _TEXT},
        y=_UNIT,
        delay_us={"type": ["integer", "null"]},
        subject=_TEXT,
        error={"enum": [0, 1]},
        duration_us=_COUNT,
    ),
    "Evidence": _object(
        {
            "units": _list(_of("Unit")),
            "cursor": _TEXT,
            "more": {"type": "boolean", "description": "Another page is ready now."},
            "watermark_us": _TIME,
            "waiting_for": _list(_TEXT),
            "revs": {"type": "object", "additionalProperties": _of("Weights")},
            "dropped": {"type": "object", "additionalProperties": _COUNT},
            "homeless": _list(_object({"id": _TEXT, "time_us": _TIME})),
        }
    ),
    "Pairs": _object(
        {
            "pairs": _list(
                _object(
                    {"id": _TEXT, "shadow_id": _TEXT, "time_us": _TIME, "version": _TEXT, "agree": {"type": "boolean"}},
                    y=_UNIT,
                    shadow_y=_UNIT,
                    duration_us={"type": ["integer", "null"]},
                    shadow_duration_us={"type": ["integer", "null"]},
                )
            ),
            "cursor": _TEXT,
            "more": {"type": "boolean", "description": "Another page is ready now."},
        }
    ),
    "Weights": {"type": "object", "additionalProperties": _COUNT},
    "State": _object({"generation": _COUNT, "state": {"type": ["object", "null"]}}),
    "StateChange": _object(
        {"if_generation": _COUNT, "state": _ANYTHING},
        audit=_list(_object({"action": _TEXT, "actor": _TEXT}, data=_ANYTHING)),
    ),
    "StateWritten": _object({"generation": _COUNT, "audit": _list(_of("AuditRow"))}),
    "AuditRow": _object(_AUDIT_ROW | {"data": _ANYTHING, "previous": _TEXT, "digest": _TEXT}),
    "Live": _object(
        {
            "at_us": _TIME,
            "now_us": _TIME,
            "endpoints": _list(
                _object(
                    {"namespace": _TEXT, "endpoint": _TEXT, "rev": _TEXT, "weights": _of("Weights")}
                    | {"since_us": _TIME, "seq": _COUNT, "digest": _TEXT},
                    champion=_MAYBE_TEXT,
                    until_us={"type": ["integer", "null"], "description": "When the weights were changed next."},
                    decision={"anyOf": [_of("AuditRow"), {"type": "null"}]},
                )
            ),
        }
    ),
    "FeedbackRows": {"type": "string", "description": "Rows with id and the fields of Feedback: NDJSON, or CSV."},
    "FeedbackResults": {"type": "string", "description": "NDJSON: row, id, status (of HTTP), detail if refused."},
    "EventStream": {"type": "string"},
    "EventTaken": _object({"status": {"enum": ["waiting", "recorded", "duplicate"]}}, id=_TEXT),
    "Awaited": _object({"status": {"enum": ["pending"]}}),
    "Erased": _object({"erased": _COUNT}),
    "Verification": _object({"rows": _COUNT, "problem": _MAYBE_TEXT, "intact": {"type": "boolean"}}),
    "Retention": _object({"before_us": _TIME}, dry_run={"type": "boolean"}),
    "Retained": _object(
        {
            "drop": _list(_TEXT),
            "keep": _list(_object({"month": _TEXT, "reasons": _list(_TEXT)})),
            "always": {"type": "object", "additionalProperties": _TEXT},
            "dry_run": {"type": "boolean"},
        }
    ),
    "PinPage": _object({"pins": _list(_of("Pin"))}),
    "Pin": _object(
        {"endpoint": _TEXT, "reason": _TEXT, "since_us": _TIME, "until_us": _TIME}, namespace=_TEXT, version=_MAYBE_TEXT
    ),
    "AuditPage": _object({"rows": _list(_of("AuditRow"))}),
    "Summary": _object(
        {
            "versions": {
                "type": "object",
                "additionalProperties": _object(
                    dict.fromkeys(("predictions", "labelled", "shadow", "late", "errors"), _COUNT)
                    | {"mean_outcome": _UNIT}
                ),
            },
            "predictions": _COUNT,
            "labelled": _COUNT,
        }
    ),
}

_KINDS = {
    "FeedbackRows": ("application/x-ndjson", "text/csv"),
    "FeedbackResults": ("application/x-ndjson",),
    "EventStream": ("text/event-stream",),
}


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnout ledger", "version": turnout.__version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    variables = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{operation.handler.__name__}",
        "summary": operation.sentence,
        "parameters": variables + [parameter.schema() for parameter in operation.parameters],
        "responses": {str(status): _answer(schema) for status, schema in operation.answers} | _problems(operation),
        "security": [] if operation.is_open else [{"token": []}],
    }
    if operation.body:
        content = {kind: {"schema": _of(operation.body)} for kind in _KINDS.get(operation.body, ("application/json",))}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(schema: str) -> dict[str, Any]:
    kinds = _KINDS.get(schema, ("application/json",))
    content = {"content": {kind: {"schema": _of(schema)} for kind in kinds}} if schema else {}
    return {"description": schema or "Done."} | content


def _problems(operation: Operation) -> dict[str, Any]:
    always = set() if operation.is_open else {400, 401, 403, 429, 503, 507}
    content = {"application/problem+json": {"schema": _of("Problem")}}
    return {
        str(status): {"description": "A problem document.", "content": content}
        for status in sorted(always | set(operation.problems))
    }
