"""CloudEvents 1.0 over HTTP, in binary mode (attributes as headers) and in structured mode (one JSON object)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from turnout.errors import InputError
from turnout.ledger.foreign import TYPES, ForeignEvent
from turnout.ledger.records import is_name

__all__ = ["STRUCTURED", "is_cloud_event", "parse"]

STRUCTURED = "application/cloudevents+json"


def is_cloud_event(headers: Mapping[str, str]) -> bool:
    """Whether a request carries an event, and not a batch of records."""
    return "ce-id" in headers or headers.get("content-type", "").startswith(STRUCTURED)


def parse(headers: Mapping[str, str], body: bytes, *, now_us: int) -> ForeignEvent:
    """The event of a request.

    Raises:
        InputError: with the attribute that is wrong.
    """
    if "ce-id" in headers:
        attributes: dict[str, Any] = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
        data = body
    else:
        attributes, data = _structured(body)
    kind = attributes.get("type")
    if kind not in TYPES:
        raise InputError(f"type: wanted one of {', '.join(TYPES)}, found {kind!r}")
    for name in ("id", "inferenceservicename"):
        if not is_name(attributes.get(name)):
            raise InputError(f"{name}: wanted a name, found {attributes.get(name)!r}")
    namespace = attributes.get("namespace") or "default"
    if not is_name(namespace):
        raise InputError(f"namespace: wanted a name, found {namespace!r}")
    return ForeignEvent(
        event_id=attributes["id"],
        service=attributes["inferenceservicename"],
        namespace=namespace,
        is_response=TYPES[kind],
        time_us=_time_us(attributes.get("time"), now_us=now_us),
        body=data,
    )


def _structured(body: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError("the body must be a JSON object")
    if "data_base64" in found:
        try:
            return found, base64.b64decode(found["data_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise InputError("data_base64: this is no base64") from error
    return found, orjson.dumps(found.get("data"))


def _time_us(text: object, *, now_us: int) -> int:
    """When it happened; now if the event does not say."""
    if text is None:
        return now_us
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise InputError(f"time: wanted RFC 3339, found {text!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1_000_000))
