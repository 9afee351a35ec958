"""What is special about the kinds that every cluster has: their defaults, and what they refuse.

Custom kinds say all of this in their schema; for built-in ones it is code in Kubernetes too.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from turnout.embedded.api.bodies import go_json_error
from turnout.embedded.api.errors import Cause, bad_request, forbidden_value, invalid_value, required
from turnout.embedded.kinds import Kind

__all__ = ["causes", "check_encoding", "first_bad_byte", "namespace", "prepare"]

Object = dict[str, Any]

_KEY = r"[-._a-zA-Z0-9]+"
_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    f"'key-name', regex used for validation is '{_KEY}')"
)
_IMMUTABLE = "field is immutable when `immutable` is set"
_DATA_MOST = 1024 * 1024  # bytes of a Secret or ConfigMap
_JSON_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}
_REQUIRED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def namespace(name: str) -> Object:
    """A Namespace as its creation makes it."""
    return _prepare_namespace({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, None)


def prepare(kind: Kind, obj: Object, current: Object | None) -> Object:
    """An object with what the server adds to it before it looks closer; `current` is None for a new one."""
    change = _PREPARE.get(kind.kind)
    return change(obj, current) if change else obj


def causes(kind: Kind, obj: Object, current: Object | None) -> Iterator[Cause]:
    """What the kind itself refuses."""
    check = _CAUSES.get(kind.kind)
    return check(obj, current) if check else iter(())


def check_encoding(kind: Kind, obj: Object) -> None:
    """Refuse texts that should be base64 and are not.

    Raises:
        ApiError: a value is no base64 (400).
    """
    field = {"Secret": "data", "ConfigMap": "binaryData"}.get(kind.kind, "")
    values = obj.get(field)
    for value in values.values() if isinstance(values, dict) else ():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, TypeError, ValueError) as problem:
            message = f"illegal base64 data at input byte {first_bad_byte(str(value))}"
            raise bad_request(f'{kind.kind} in version "v1" cannot be handled as a {kind.kind}: {message}') from problem


def first_bad_byte(text: str) -> int:
    """Where Go's decoder stops: at the first strange letter, or at the start of four letters that are not four."""
    good = len(text) - len(text.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
    return good if good < len(text) else good - good % 4


def _prepare_namespace(obj: Object, current: Object | None) -> Object:
    """The label, the finalizer and the phase that every Namespace has."""
    metadata = obj["metadata"]
    labels = {**(metadata.get("labels") or {})}
    if metadata.get("name"):
        labels["kubernetes.io/metadata.name"] = metadata["name"]
    obj = {**obj, "metadata": {**metadata, "labels": labels}}
    if current is None:
        given = [name for name in (obj.get("spec") or {}).get("finalizers") or () if name != "kubernetes"]
        return {**obj, "spec": {"finalizers": [*given, "kubernetes"]}, "status": {"phase": "Active"}}
    return {**obj, "spec": current.get("spec", {})}  # only the finalize subresource changes it


def _prepare_secret(obj: Object, current: Object | None) -> Object:
    texts = obj.get("stringData") or {}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
    data = {**(obj.get("data") or {}), **encoded}
    rest = {key: value for key, value in obj.items() if key not in ("stringData", "data", "type")}
    return {**rest, **({"data": data} if data else {}), "type": obj.get("type") or "Opaque"}


def _prepare_event(obj: Object, current: Object | None) -> Object:
    """The fields that Kubernetes always shows of an Event."""
    empty: Object = {"source": {}, "eventTime": None, "firstTimestamp": None, "lastTimestamp": None}
    return {**empty, "reportingComponent": "", "reportingInstance": "", **obj}


def _prepare_config_map(obj: Object, current: Object | None) -> Object:
    return {key: value for key, value in obj.items() if value not in ({}, None) or key not in ("data", "binaryData")}


def _secret_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    data = obj.get("data") or {}
    yield from _bad_keys("data", data)
    if sum(len(value) * 3 // 4 for value in data.values()) > _DATA_MOST:
        yield Cause("data", "FieldValueTooLong", f"Too long: may not be more than {_DATA_MOST} bytes")
    for key in _REQUIRED_KEYS.get(obj["type"], ()):
        if key not in data:
            yield required(f"data[{key}]")
    if obj["type"] == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield required("data[username]")
        yield required("data[password]")
    yield from _secret_contents(obj, data)
    if current is not None and current.get("type") != obj["type"]:
        yield invalid_value("type", obj["type"], "field is immutable")
    yield from _immutable_causes(("data",), obj, current)


def _secret_contents(obj: Object, data: Object) -> Iterator[Cause]:
    account = "kubernetes.io/service-account.name"
    annotations = obj["metadata"].get("annotations") or {}
    if obj["type"] == "kubernetes.io/service-account-token" and not annotations.get(account):
        yield required(f"metadata.annotations[{account}]")
    for key in _JSON_KEYS.get(obj["type"], ()):
        text = base64.b64decode(data.get(key, "e30="))
        try:
            orjson.loads(text)
        except ValueError:
            yield invalid_value(f"data[{key}]", "<secret contents redacted>", go_json_error(text))


def _lease_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def _config_map_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    yield from _bad_keys("data", data)
    for key in data:
        if key in binary:
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _bad_keys("binaryData", binary)
    if sum(len(value.encode()) for value in data.values()) + sum(map(len, binary.values())) > _DATA_MOST:
        yield Cause("[]", "FieldValueTooLong", f"Too long: may not be more than {_DATA_MOST} bytes")
    yield from _immutable_causes(("data", "binaryData"), obj, current)


def _immutable_causes(fields: tuple[str, ...], obj: Object, current: Object | None) -> Iterator[Cause]:
    if current is None or not current.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden_value("immutable", _IMMUTABLE)
    for field in fields:
        if obj.get(field) != current.get(field):
            yield forbidden_value(field, _IMMUTABLE)


def _bad_keys(field: str, data: Object) -> Iterator[Cause]:
    for key in data:
        if not re.fullmatch(_KEY, key):
            yield invalid_value(f"{field}[{key}]", key, _KEY_MESSAGE)
        elif len(key) > 253:
            yield invalid_value(f"{field}[{key}]", key, "must be no more than 253 characters")
        elif key in (".", ".."):
            yield invalid_value(f"{field}[{key}]", key, f"must not be '{key}'")
        elif key.startswith(".."):
            yield invalid_value(f"{field}[{key}]", key, "must not start with '..'")


def _pod_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    if current is not None and obj.get("spec") != current.get("spec"):
        yield forbidden_value("spec", "pod updates may not change fields other than its metadata")


def _namespace_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    is_dying = current is not None and "deletionTimestamp" in current["metadata"]
    wanted, state = ("Terminating", "not empty") if is_dying else ("Active", "empty")
    if (phase := (obj.get("status") or {}).get("phase", wanted)) != wanted:
        yield invalid_value("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` is {state}")


def _event_causes(obj: Object, current: Object | None) -> Iterator[Cause]:
    about, own = (obj.get("involvedObject") or {}).get("namespace", ""), obj["metadata"].get("namespace", "")
    if about != own and not (about == "" and own == "default"):
        yield invalid_value("involvedObject.namespace", about, "does not match event.namespace")


_PREPARE: dict[str, Callable[[Object, Object | None], Object]] = {
    "ConfigMap": _prepare_config_map,
    "Event": _prepare_event,
    "Namespace": _prepare_namespace,
    "Secret": _prepare_secret,
}
_CAUSES: dict[str, Callable[[Object, Object | None], Iterator[Cause]]] = {
    "ConfigMap": _config_map_causes,
    "Event": _event_causes,
    "Lease": _lease_causes,
    "Namespace": _namespace_causes,
    "Pod": _pod_causes,
    "Secret": _secret_causes,
}
