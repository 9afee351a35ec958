"""Refusals as Kubernetes words them: a Status object with the code, reason and causes that clients switch on.

The texts are part of the protocol: kubectl prints them, and tools look into them. They follow Kubernetes 1.34.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from turnout.embedded.kinds import Kind
from turnout.errors import TurnoutError

__all__ = [
    "ApiError",
    "Cause",
    "about",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "failure",
    "forbidden",
    "forbidden_value",
    "go_quote",
    "go_value",
    "invalid",
    "invalid_options",
    "invalid_patch",
    "invalid_value",
    "method_not_allowed",
    "no_resource",
    "not_acceptable",
    "not_found",
    "required",
    "status_of",
    "too_large_resource_version",
    "unauthorized",
    "unsupported_media_type",
    "unsupported_value",
]


class ApiError(TurnoutError):
    """A request that is answered with a Status of failure."""

    def __init__(self, code: int, message: str, *, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = code
        self.body = failure(code, message, reason=reason, details=details)


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with an object: where, of what sort, and in which words."""

    field: str
    reason: str
    message: str

    @property
    def blocks_rules(self) -> bool:
        """Whether an object with this fault is too broken for the rules that compare its fields."""
        return self.reason in _BLOCKING


_BLOCKING = {
    "FieldValueRequired",
    "FieldValueTypeInvalid",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueNotSupported",
}
_RULES_UNCHECKED = Cause(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


def failure(code: int, message: str, *, reason: str = "", details: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Status object that says no."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    return {**body, "code": code}


def status_of(error: TurnoutError) -> dict[str, Any]:
    """The Status of any of our errors; an ApiError carries its own."""
    if isinstance(error, ApiError):
        return error.body
    return failure(error.status, str(error), reason="Expired" if error.status == 410 else "InternalError")


def about(kind: Kind, name: str, *, as_kind: bool = False) -> dict[str, Any]:
    """The details that name an object; without empty fields, as in Kubernetes."""
    details = {"name": name, "group": kind.group, "kind": kind.kind if as_kind else kind.plural}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> ApiError:
    """404 for an object."""
    return ApiError(404, f'{kind.resource} "{name}" not found', reason="NotFound", details=about(kind, name))


def no_resource() -> ApiError:
    """404 for a path below a group that exists."""
    return ApiError(404, "the server could not find the requested resource", reason="NotFound", details={})


def already_exists(kind: Kind, name: str, *, is_dying: bool = False) -> ApiError:
    """409 for a name that is taken, perhaps by an object that is on its way out."""
    text = f'{"object is being deleted: " if is_dying else ""}{kind.resource} "{name}" already exists'
    return ApiError(409, text, reason="AlreadyExists", details=about(kind, name))


def conflict(kind: Kind, name: str, message: str) -> ApiError:
    """409 for a write over a state that its writer has not seen."""
    prefix = f'Operation cannot be fulfilled on {kind.resource} "{name}": '
    text = message if message.startswith(prefix) else prefix + message
    return ApiError(409, text, reason="Conflict", details=about(kind, name))


def bad_request(message: str) -> ApiError:
    """400 for what cannot be understood."""
    return ApiError(400, message, reason="BadRequest")


def forbidden(message: str, *, details: dict[str, Any] | None = None) -> ApiError:
    """403 for what is understood and not allowed."""
    return ApiError(403, message, reason="Forbidden", details=details)


def unauthorized() -> ApiError:
    """401 for a wrong token."""
    return ApiError(401, "Unauthorized", reason="Unauthorized")


def method_not_allowed(
    message: str = "the server does not allow this method on the requested resource",
) -> ApiError:
    """405 for a verb that the resource does not have."""
    return ApiError(405, message, reason="MethodNotAllowed", details={})


def not_acceptable(message: str, *, details: dict[str, Any] | None = None) -> ApiError:
    """406 for an answer in a form that there is not."""
    return ApiError(406, message, reason="NotAcceptable", details=details)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415 for a body in a format that the resource does not take."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, message, reason="UnsupportedMediaType")


def expired(message: str) -> ApiError:
    """410 for history that is no longer kept."""
    return ApiError(410, message, reason="Expired")


def too_large_resource_version(wanted: int, current: int) -> ApiError:
    """504 for a state that is not there yet."""
    message = f"Too large resource version: {wanted}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, f"Timeout: {message}", reason="Timeout", details={"causes": causes, "retryAfterSeconds": 1})


def invalid(kind: Kind, name: str, causes: Sequence[Cause], *, has_rules: bool = False) -> ApiError:
    """422 for an object that breaks its schema or rules, with one cause per fault."""
    found = [*causes, _RULES_UNCHECKED] if has_rules and any(cause.blocks_rules for cause in causes) else causes
    title = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return _invalid(f'{title} "{name}"', about(kind, name, as_kind=True), found)


def invalid_options(options: str, *causes: Cause) -> ApiError:
    """422 for query parameters; `options` is the type that holds them: PatchOptions, ListOptions."""
    return _invalid(f'{options}.meta.k8s.io ""', {"group": "meta.k8s.io", "kind": options}, causes)


def invalid_patch(patched: Any, message: str) -> ApiError:
    """422 for a patch whose result is refused; Kubernetes quotes the whole result."""
    quoted = go_quote(orjson.dumps(patched).decode())
    cause = Cause("patch", "FieldValueInvalid", f"Invalid value: {quoted}: {message}")
    return _invalid(' ""', {}, [cause])


def _invalid(title: str, details: dict[str, Any], causes: Sequence[Cause]) -> ApiError:
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return ApiError(422, f"{title} is invalid: {text}", reason="Invalid", details={**details, "causes": listed})


def required(field: str, message: str = "") -> Cause:
    """A value that must be there and is not."""
    return Cause(field, "FieldValueRequired", "Required value" + (f": {message}" if message else ""))


def invalid_value(field: str, value: Any, message: str) -> Cause:
    """A value that is not allowed."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {go_value(value)}: {message}")


def forbidden_value(field: str, message: str) -> Cause:
    """A field that must not be set, or not be changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {message}")


def unsupported_value(field: str, value: Any, supported: Sequence[str]) -> Cause:
    """A value that is not one of the few."""
    texts = ", ".join(go_quote(text) for text in supported)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {go_value(value)}: supported values: {texts}")


def go_value(value: Any) -> str:
    """A value as Go's field errors print it: texts quoted, everything else as JSON."""
    return go_quote(value) if isinstance(value, str) else orjson.dumps(value).decode()


_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def go_quote(text: str) -> str:
    """A text as Go's %q prints it."""
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
