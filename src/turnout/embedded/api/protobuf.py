"""Kubernetes' protobuf bodies: kubectl and client-go send built-in kinds that way, and read JSON answers happily.

Only decoding, and only what clients write. The field numbers are those of k8s.io/api's generated.proto files, which
never change. A request in protobuf for any other kind is refused as an unknown media type.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["MEDIA_TYPE", "decode"]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"


@dataclass(frozen=True)
class _Field:
    """How one field of a message reads: its JSON name, what it holds, and whether it repeats."""

    name: str
    holds: str | dict[int, _Field] = "text"
    repeated: bool = False


_OWNER = {
    1: _Field("kind"),
    3: _Field("name"),
    4: _Field("uid"),
    5: _Field("apiVersion"),
    6: _Field("controller", "bool"),
    7: _Field("blockOwnerDeletion", "bool"),
}
_METADATA = _Field(
    "metadata",
    {
        1: _Field("name"),
        2: _Field("generateName"),
        3: _Field("namespace"),
        5: _Field("uid"),
        6: _Field("resourceVersion"),
        7: _Field("generation", "int"),
        8: _Field("creationTimestamp", "time"),
        11: _Field("labels", "texts"),
        12: _Field("annotations", "texts"),
        13: _Field("ownerReferences", _OWNER, repeated=True),
        14: _Field("finalizers", repeated=True),
    },
)
_REFERENCE = {
    1: _Field("kind"),
    2: _Field("namespace"),
    3: _Field("name"),
    4: _Field("uid"),
    5: _Field("apiVersion"),
    6: _Field("resourceVersion"),
    7: _Field("fieldPath"),
}
_LEASE_SPEC = {
    1: _Field("holderIdentity"),
    2: _Field("leaseDurationSeconds", "int"),
    3: _Field("acquireTime", "micro time"),
    4: _Field("renewTime", "micro time"),
    5: _Field("leaseTransitions", "int"),
}
_MESSAGES: dict[str, dict[int, _Field]] = {
    "ConfigMap": {
        1: _METADATA,
        2: _Field("data", "texts"),
        3: _Field("binaryData", "bytes by name"),
        4: _Field("immutable", "bool"),
    },
    "Secret": {
        1: _METADATA,
        2: _Field("data", "bytes by name"),
        3: _Field("type"),
        4: _Field("stringData", "texts"),
        5: _Field("immutable", "bool"),
    },
    "ServiceAccount": {
        1: _METADATA,
        2: _Field("secrets", _REFERENCE, repeated=True),
        3: _Field("imagePullSecrets", {1: _Field("name")}, repeated=True),
        4: _Field("automountServiceAccountToken", "bool"),
    },
    "Namespace": {
        1: _METADATA,
        2: _Field("spec", {1: _Field("finalizers", repeated=True)}),
        3: _Field("status", {1: _Field("phase")}),
    },
    "Event": {
        1: _METADATA,
        2: _Field("involvedObject", _REFERENCE),
        3: _Field("reason"),
        4: _Field("message"),
        5: _Field("source", {1: _Field("component"), 2: _Field("host")}),
        6: _Field("firstTimestamp", "time"),
        7: _Field("lastTimestamp", "time"),
        8: _Field("count", "int"),
        9: _Field("type"),
        10: _Field("eventTime", "micro time"),
        11: _Field("series", {1: _Field("count", "int"), 2: _Field("lastObservedTime", "micro time")}),
        12: _Field("action"),
        13: _Field("related", _REFERENCE),
        14: _Field("reportingComponent"),
        15: _Field("reportingInstance"),
    },
    "Lease": {1: _METADATA, 2: _Field("spec", _LEASE_SPEC)},
    "DeleteOptions": {
        1: _Field("gracePeriodSeconds", "int"),
        2: _Field("preconditions", {1: _Field("uid"), 2: _Field("resourceVersion")}),
        3: _Field("orphanDependents", "bool"),
        4: _Field("propagationPolicy"),
        5: _Field("dryRun", repeated=True),
    },
}


def decode(data: bytes) -> dict[str, Any] | None:
    """The object in an envelope; None for a kind that is not read here.

    Raises:
        ValueError: the bytes are no such envelope.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("the body does not start like Kubernetes' protobuf")
    envelope = {1: _Field("type", {1: _Field("apiVersion"), 2: _Field("kind")}), 2: _Field("raw", "raw")}
    found = _message(envelope, data[len(_MAGIC) :])
    named = found.get("type", {})
    fields = _MESSAGES.get(named.get("kind", ""))
    return None if fields is None else {**named, **_message(fields, found.get("raw", b""))}


def _message(fields: dict[int, _Field], data: bytes) -> dict[str, Any]:
    """A message as JSON; Go writes empty texts and messages for fields that are not set, so those are left out."""
    found: dict[str, Any] = {}
    for number, value in _wire(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.holds in ("texts", "bytes by name"):
            found.setdefault(field.name, {}).update(_entry(value, encoded=field.holds != "texts"))
        elif field.repeated:
            found.setdefault(field.name, []).append(_value(field, value))
        elif (read := _value(field, value)) not in ("", {}, None):
            found[field.name] = read
    return found


def _entry(data: int | bytes, *, encoded: bool) -> dict[str, str]:
    pair = dict(_wire(_bytes(data)))
    value = _bytes(pair.get(2, b""))
    return {_bytes(pair.get(1, b"")).decode(): base64.b64encode(value).decode() if encoded else value.decode()}


def _value(field: _Field, value: int | bytes) -> Any:
    if isinstance(field.holds, dict):
        return _message(field.holds, _bytes(value))
    if field.holds == "bool":
        return bool(value)
    if field.holds == "int":
        number = int(value) if isinstance(value, int) else 0
        return number - 2**64 if number >= 2**63 else number
    if field.holds == "raw":
        return _bytes(value)
    return (
        _bytes(value).decode() if field.holds == "text" else _instant(_bytes(value), micro=field.holds == "micro time")
    )


def _instant(data: bytes, *, micro: bool) -> str | None:
    parts = dict(_wire(data))
    seconds = parts.get(1)
    if not isinstance(seconds, int) or seconds >= 2**63:  # Go's zero time lies before 1970
        return None
    instant = datetime.fromtimestamp(seconds, UTC)
    if not micro:
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    nanos = parts.get(2, 0)
    return instant.strftime("%Y-%m-%dT%H:%M:%S") + f".{(nanos if isinstance(nanos, int) else 0) // 1000:06d}Z"


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of a message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _varint(data, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type} is not used by Kubernetes")
        if position + size > len(data):
            raise ValueError("the message ends in the middle of a field")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("the message ends in the middle of a number")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
