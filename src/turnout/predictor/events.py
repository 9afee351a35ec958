"""CloudEvents 1.0 around a prediction, in binary mode (`ce-` headers) and structured mode (one JSON object).

Who asks with an event is answered with an event of the same mode, with the type and source that KServe gives it and
under the same settings (CE_TYPE, CE_SOURCE, CE_MERGE).
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from turnout.errors import InputError

__all__ = ["BATCH", "STRUCTURED", "Event", "Replies", "binary_event", "structured_event"]

STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch"
_REQUIRED = ("id", "source", "specversion", "type")
_OWN = frozenset({"id", "time", "data", "data_base64", "datacontenttype"})


@dataclass(frozen=True)
class Replies:
    """What the events of the replies say; see `arguments.ENVIRONMENT`."""

    type: str = "io.kserve.inference.response"
    source: str = ""
    merge: bool = False


@dataclass(slots=True)
class Event:
    """What is left of a request's event, once its data is taken out."""

    structured: bool
    replies: Replies
    attributes: dict[str, str]

    def answered(
        self, body: bytes, prediction_id: str, *, model: str, is_json: bool
    ) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        """The body and the headers of the reply."""
        kept = {key: value for key, value in self.attributes.items() if key not in _OWN} if self.replies.merge else {}
        attributes = {
            **kept,
            "specversion": "1.0",
            "id": prediction_id,
            "type": self.replies.type,
            "source": self.replies.source or f"io.kserve.inference.{model}",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        if not self.structured:
            return body, tuple((f"ce-{key}".encode(), value.encode()) for key, value in attributes.items())
        if not is_json:
            attributes |= {
                "datacontenttype": "application/octet-stream",
                "data_base64": base64.b64encode(body).decode(),
            }
            return orjson.dumps(attributes), ()
        head = orjson.dumps({**attributes, "datacontenttype": "application/json"})[:-1]
        return b'%b,"data":%b}' % (head, body), ()


def binary_event(headers: Mapping[bytes, bytes], replies: Replies) -> Event:
    """The event whose attributes are headers.

    Raises:
        InputError: an attribute that every event has is missing.
    """
    attributes = {
        name[3:].decode("latin-1"): value.decode("latin-1") for name, value in headers.items() if name[:3] == b"ce-"
    }
    missing = [f"ce-{key}" for key in _REQUIRED if not attributes.get(key)]
    return Event(structured=False, replies=replies, attributes=_checked(attributes, missing))


def structured_event(body: bytes, replies: Replies) -> tuple[Event, bytes]:
    """The event that the body is, and its data as a request's body.

    Raises:
        InputError: the body is no CloudEvent in JSON, or has no data.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"body: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError("body: wanted a CloudEvent as an object")
    missing = [key for key in _REQUIRED if not isinstance(document.get(key), str) or not document[key]]
    attributes = {key: value for key, value in document.items() if isinstance(value, str)}
    event = Event(structured=True, replies=replies, attributes=_checked(attributes, missing))
    if "data" in document:
        return event, orjson.dumps(document["data"])
    try:
        return event, base64.b64decode(document["data_base64"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError("body: wanted a CloudEvent with data or data_base64") from error


def _checked(attributes: dict[str, str], missing: list[str]) -> dict[str, str]:
    if missing:
        raise InputError(f"CloudEvent: missing: {', '.join(missing)}")
    if attributes["specversion"] != "1.0":
        raise InputError(f"CloudEvent: specversion: wanted 1.0, found {attributes['specversion'][:20]!r}")
    return attributes
