"""The operations of the API: one table from which routes, query checks and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.responses import Response

from turnout.ledger.api import handlers, keeping
from turnout.ledger.api.calls import Call
from turnout.ledger.api.parameters import Parameter

__all__ = ["OPERATIONS", "Operation"]

Handler: TypeAlias = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """One method on one path. `body` and `answers` (by status) name schemas of the OpenAPI document."""

    method: str
    path: str
    handler: Handler
    sentence: str
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    answers: tuple[tuple[int, str], ...] = ()
    problems: tuple[int, ...] = ()
    is_open: bool = False
    role: str = "read"


_NAMESPACE = Parameter("namespace", "Namespace of the Turnout.", default="default")
_CURSOR = Parameter("cursor", "Where the page before ended, as its answer gave it.")
_SEARCH = (
    Parameter("endpoint", "Only predictions of this endpoint."),
    _NAMESPACE,
    Parameter("version", "Only predictions of this version."),
    Parameter("labelled", "Only predictions with feedback, or only those without.", kind="boolean"),
    Parameter("since_us", "Only predictions made at this time or later.", kind="integer"),
    Parameter("until_us", "Only predictions made before this time.", kind="integer"),
    Parameter("limit", "Size of the page.", kind="integer", default=100, minimum=1, maximum=1_000),
    _CURSOR,
)
_EVIDENCE = (
    _NAMESPACE,
    Parameter("champion", "The version that owns the endpoint.", is_required=True),
    Parameter("challenger", "The version under test.", is_required=True),
    Parameter(
        "kind", "Answers and labels, or the gateway's view.", default="predictions", choices=("predictions", "gateway")
    ),
    Parameter("host", "Of the gateway's view: also requests to this host that found no ready endpoint.", default=""),
    _CURSOR,
    Parameter("since_us", "Without a cursor: where to begin.", kind="integer", default=0),
    Parameter(
        "window_us", "How long after its request a unit may still be labelled.", kind="integer", is_required=True
    ),
    Parameter("limit", "How many rows to look at.", kind="integer", default=10_000, minimum=1, maximum=50_000),
)
_PAIRS = (
    _NAMESPACE,
    Parameter("shadow", "The version that gets copies.", is_required=True),
    _CURSOR,
    Parameter("since_us", "Without a cursor: where to begin.", kind="integer", default=0),
    Parameter("window_us", "How long to wait for labels.", kind="integer", is_required=True),
    Parameter("limit", "How many copies to look at.", kind="integer", default=1_000, minimum=1, maximum=10_000),
)
_LIVE = (
    Parameter("at_us", "The time that is asked about; now when it is not given.", kind="integer"),
    Parameter("namespace", "Only endpoints of this namespace."),
    Parameter("endpoint", "Only this endpoint."),
)
_AUDIT = (
    Parameter("namespace", "Only rows of this namespace."),
    Parameter("turnout", "Only rows of this Turnout."),
    Parameter("action", "Only rows of this action."),
    Parameter("after_seq", "Only rows behind this one.", kind="integer", default=0),
    Parameter("limit", "Size of the page.", kind="integer", default=1_000, minimum=1, maximum=10_000),
)


def _feedback(method: str, sentence: str, *, problems: tuple[int, ...] = ()) -> Operation:
    return Operation(
        method,
        "/v1/predictions/{id}/feedback",
        handlers.give_feedback,
        sentence,
        body="Feedback",
        answers=((200, "FeedbackAnswer"), (201, "FeedbackAnswer"), (202, "FeedbackAnswer")),
        problems=(410, *problems),
        role="feedback",
    )


def _by_caller(method: str, sentence: str) -> Operation:
    return Operation(
        method,
        "/v1/feedback",
        handlers.give_feedback_by_caller,
        sentence,
        body="CallerFeedback",
        answers=((200, "CallerFeedbackAnswer"), (202, "CallerFeedbackAnswer")),
        problems=(409,),
        role="feedback",
    )


def _in_bulk(method: str, sentence: str) -> Operation:
    return Operation(
        method,
        "/v1/feedback/bulk",
        handlers.give_feedback_in_bulk,
        sentence,
        body="FeedbackRows",
        answers=((200, "FeedbackResults"),),
        problems=(415,),
        role="feedback",
    )


OPERATIONS = (
    _feedback("POST", "Give a prediction its first label or score; the same again changes nothing.", problems=(409,)),
    _feedback("PUT", "Set or correct the label or score of a prediction."),
    _feedback("PATCH", "Change only the given fields of a prediction's feedback.", problems=(404,)),
    Operation(
        "POST",
        "/v1/events",
        handlers.post_events,
        "Take prediction records of one log and its watermark, or a CloudEvent of KServe's logger; idempotent by id.",
        body="EventBatch",
        answers=((200, "Taken"), (202, "EventTaken")),
        problems=(409, 413),
        role="events",
    ),
    Operation(
        "GET",
        "/v1/predictions/{id}",
        handlers.get_prediction,
        "One prediction with its feedback history and outcome.",
        answers=((200, "Prediction"),),
        problems=(404, 410),
    ),
    Operation(
        "DELETE",
        "/v1/predictions/{id}",
        handlers.delete_prediction,
        "Erase a prediction's content and keys; its anonymous tuple and a tombstone in the audit stay. One that is not"
        " here is awaited and arrives erased.",
        answers=((204, ""), (202, "Awaited")),
        problems=(404, 410),
        role="erase",
    ),
    Operation(
        "GET",
        "/v1/predictions/{id}/lineage",
        handlers.get_lineage,
        "The decisions that put a version in front of this request.",
        answers=((200, "Lineage"),),
        problems=(404, 410),
    ),
    Operation(
        "GET",
        "/v1/predictions",
        handlers.list_predictions,
        "Predictions, newest first.",
        parameters=_SEARCH,
        answers=((200, "PredictionPage"),),
    ),
    _by_caller("POST", "Label every prediction that carries this caller's id and was made before."),
    _by_caller("PUT", "Set or correct the feedback of every prediction that carries this caller's id."),
    Operation(
        "GET",
        "/v1/turnouts/{name}/evidence",
        handlers.get_evidence,
        "Frozen units of two versions, in the order (time_us, id), after a cursor.",
        parameters=_EVIDENCE,
        answers=((200, "Evidence"),),
    ),
    Operation(
        "GET",
        "/v1/turnouts/{name}/pairs",
        handlers.get_pairs,
        "What a shadow answered beside what the callers got, in the order of the copies.",
        parameters=_PAIRS,
        answers=((200, "Pairs"),),
    ),
    Operation(
        "GET",
        "/v1/turnouts/{name}/state",
        handlers.get_state,
        "The controller's state and its generation.",
        parameters=(_NAMESPACE,),
        answers=((200, "State"),),
    ),
    Operation(
        "PUT",
        "/v1/turnouts/{name}/state",
        handlers.put_state,
        "Replace the state of this generation and append audit rows, in one transaction.",
        parameters=(_NAMESPACE,),
        body="StateChange",
        answers=((200, "StateWritten"),),
        problems=(409,),
        role="control",
    ),
    Operation(
        "GET",
        "/v1/turnouts/{name}/summary",
        handlers.get_summary,
        "Counts and mean outcome per version.",
        parameters=(_NAMESPACE,),
        answers=((200, "Summary"),),
    ),
    Operation(
        "GET",
        "/v1/live",
        handlers.get_live,
        "Which versions answered with which weights at a time, as the audit has it.",
        parameters=_LIVE,
        answers=((200, "Live"),),
    ),
    Operation(
        "GET",
        "/v1/audit",
        handlers.list_audit,
        "Audit rows, in the order of their chain.",
        parameters=_AUDIT,
        answers=((200, "AuditPage"),),
    ),
    Operation(
        "POST",
        "/v1/gateway-log",
        handlers.post_gateway_log,
        "Take requests of a gateway's access log and its watermark; idempotent by request id.",
        body="GatewayBatch",
        answers=((200, "Taken"),),
        problems=(413,),
        role="events",
    ),
    _in_bulk("POST", "Give first labels or scores: rows of NDJSON or CSV in, one line of result for each out."),
    _in_bulk("PUT", "Set or correct labels or scores: rows of NDJSON or CSV in, one line of result for each out."),
    _in_bulk("PATCH", "Change only the given fields: rows of NDJSON or CSV in, one line of result for each out."),
    Operation(
        "DELETE",
        "/v1/predictions",
        keeping.erase_subject,
        "Erase content and keys of all predictions of a subject, also of those still on their way.",
        parameters=(Parameter("subject", "The value of the sticky header, or as records carry it.", is_required=True),),
        answers=((200, "Erased"),),
        role="erase",
    ),
    Operation(
        "GET",
        "/v1/audit/verify",
        keeping.verify_audit,
        "Walk the whole chain of the audit and name the first row that is not what was written.",
        answers=((200, "Verification"),),
    ),
    Operation(
        "POST",
        "/v1/retention",
        keeping.retain,
        "Drop whole months before a time, except what an open rollout or a pin needs; says what it kept and why.",
        body="Retention",
        answers=((200, "Retained"),),
        role="control",
    ),
    Operation(
        "GET",
        "/v1/pins",
        keeping.list_pins,
        "The time ranges that retention leaves alone, and why.",
        answers=((200, "PinPage"),),
    ),
    Operation(
        "PUT",
        "/v1/pins/{name}",
        keeping.put_pin,
        "Keep a time range of an endpoint from retention.",
        body="Pin",
        answers=((200, "Pin"),),
        role="control",
    ),
    Operation(
        "DELETE",
        "/v1/pins/{name}",
        keeping.delete_pin,
        "Take a pin away.",
        answers=((204, ""),),
        problems=(404,),
        role="control",
    ),
    Operation(
        "GET",
        "/v1/watch",
        handlers.watch,
        "Predictions, feedback and decisions as they come, as server-sent events.",
        parameters=(_NAMESPACE, Parameter("endpoint", "Only this endpoint.")),
        answers=((200, "EventStream"),),
        problems=(429,),
    ),
    Operation(
        "GET",
        "/healthz",
        handlers.get_health,
        "Whether the ledger can write.",
        answers=((200, "Health"),),
        problems=(503,),
        is_open=True,
    ),
)
