"""What Kubernetes demands of the metadata of every object: names, labels, annotations, owners."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from turnout.embedded.api.errors import Cause, forbidden_value, invalid_value, required
from turnout.embedded.kinds import Kind

__all__ = ["causes", "generated_name", "key_causes", "update_causes", "value_causes"]

Object = dict[str, Any]

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_QUALIFIED})?"

_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_VALUE}')"
)
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_ANNOTATIONS_MOST = 256 * 1024  # bytes, of all annotations of one object

# What Kubernetes leaves in generated names: no vowels, nothing that looks like another letter.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def generated_name(prefix: str) -> str:
    """A name from `generateName`."""
    return prefix[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def causes(kind: Kind, obj: Object) -> Iterator[Cause]:
    """Everything that is wrong with an object's metadata."""
    metadata = obj["metadata"]
    yield from _name(kind, metadata.get("name") or "")
    if prefix := metadata.get("generateName"):
        # Kubernetes: a dash at its end is none once there is more behind it.
        masked = f"{prefix[:-2]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix
        for cause in _name(kind, masked):
            yield replace(cause, field="metadata.generateName", message=cause.message.replace(masked, prefix, 1))
    for key, value in (metadata.get("labels") or {}).items():
        yield from key_causes("metadata.labels", key)
        yield from value_causes("metadata.labels", value)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        yield from _qualified("metadata.annotations", key.lower(), part="name part ", shown=key)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_MOST:
        yield Cause(
            "metadata.annotations", "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_MOST} bytes"
        )
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        yield from _qualified("metadata.finalizers", finalizer, part="name part ")
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS and not kind.custom:
            message = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{index}]", finalizer, message)
    if {"orphan", "foregroundDeletion"} <= set(metadata.get("finalizers") or ()):
        message = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid_value("metadata.finalizers", metadata["finalizers"], message)
    yield from _owners(metadata.get("ownerReferences") or ())


def key_causes(field: str, key: str) -> Iterator[Cause]:
    """What is wrong with the key of a label."""
    return _qualified(field, key, part="name part ")


def value_causes(field: str, value: str) -> Iterator[Cause]:
    """What is wrong with the value of a label."""
    if len(value) > 63:
        yield invalid_value(field, value, "must be no more than 63 characters")
    if not re.fullmatch(_VALUE, value):
        yield invalid_value(field, value, _VALUE_MESSAGE)


def update_causes(current: Object, new: Object) -> Iterator[Cause]:
    """What an update must not do to metadata."""
    before, after = current["metadata"], new["metadata"]
    if after.get("uid") and after["uid"] != before["uid"]:
        # Kubernetes checks it in two places and lists it twice.
        yield from [invalid_value("metadata.uid", after["uid"], "field is immutable")] * 2
    added = [item for item in after.get("finalizers") or () if item not in (before.get("finalizers") or ())]
    if added and "deletionTimestamp" in before:
        found = ", ".join(f'"{item}"' for item in added)
        message = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{found}}}"
        )
        yield from [forbidden_value("metadata.finalizers", message)] * 2


def _name(kind: Kind, name: str) -> Iterator[Cause]:
    if not name:
        yield required("metadata.name", "name or generateName is required")
        return
    is_label = kind.kind in ("Namespace", "Service")
    if len(name) > (63 if is_label else 253):
        yield invalid_value("metadata.name", name, f"must be no more than {63 if is_label else 253} characters")
    if is_label and "." in name and re.fullmatch(_SUBDOMAIN, name):
        yield invalid_value("metadata.name", name, "must not contain dots")
    elif not re.fullmatch(_LABEL if is_label else _SUBDOMAIN, name):
        yield invalid_value("metadata.name", name, _LABEL_MESSAGE if is_label else _SUBDOMAIN_MESSAGE)


def _qualified(field: str, key: str, *, part: str, shown: str | None = None) -> Iterator[Cause]:
    """Causes for a key that is no qualified name: `name` or `dns.subdomain/name`."""
    shown = key if shown is None else shown
    pieces = key.split("/")
    if len(pieces) > 2:
        message = f"a qualified name {_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield invalid_value(field, shown, message)
        return
    if len(pieces) == 2:
        if not pieces[0]:
            yield invalid_value(field, shown, "prefix part must be non-empty")
        elif not re.fullmatch(_SUBDOMAIN, pieces[0]) or len(pieces[0]) > 253:
            yield invalid_value(field, shown, f"prefix part {_SUBDOMAIN_MESSAGE}")
    name = pieces[-1]
    if not name:
        yield invalid_value(field, shown, f"{part}must be non-empty")
    elif len(name) > 63:
        yield invalid_value(field, shown, f"{part}must be no more than 63 characters")
    if not re.fullmatch(_QUALIFIED, name):
        yield invalid_value(field, shown, f"{part}{_PART}")


def _owners(owners: Any) -> Iterator[Cause]:
    for owner in owners:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                message = "version must not be empty" if key == "apiVersion" else "must not be empty"
                yield invalid_value(f"metadata.ownerReferences.{key}", owner.get(key, ""), message)
        if (owner.get("apiVersion") or "").count("/") > 1:
            yield invalid_value("metadata.ownerReferences.apiVersion", owner["apiVersion"], "version must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) in (("v1", "Event"), ("events.k8s.io/v1", "Event")):
            group, _, version = owner["apiVersion"].rpartition("/")
            message = f"{group}/{version}, Kind=Event is disallowed from being an owner"
            yield invalid_value("metadata.ownerReferences", owner, message)
    controllers = [
        owner["kind"] + "/" + owner["name"] for owner in owners if owner.get("controller") and owner.get("name")
    ]
    if len(controllers) > 1:
        message = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}"
        )
        yield invalid_value("metadata.ownerReferences", owners, message)
