"""Query parameters of reads and writes, checked as Kubernetes checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.embedded.api.errors import (
    ApiError,
    Cause,
    bad_request,
    forbidden_value,
    go_quote,
    invalid_options,
    invalid_value,
    required,
    unsupported_value,
)

__all__ = [
    "DeleteOptions",
    "ListOptions",
    "WriteOptions",
    "check_numbers",
    "delete_options",
    "flag",
    "list_options",
    "parse_resource_version",
    "write_options",
]

_MATCHES = ("Exact", "NotOlderThan")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_PROPAGATIONS = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True)
class WriteOptions:
    """How to write: for real or not, under whose name, and what to do about unknown fields."""

    dry_run: bool
    field_manager: str
    field_validation: str
    force: bool


@dataclass(frozen=True)
class DeleteOptions:
    """How to delete."""

    dry_run: bool
    propagation: str
    uid: str | None
    resource_version: str | None


@dataclass(frozen=True)
class ListOptions:
    """Which state to list, and how much of it at once."""

    resource_version: int | None
    match: str
    limit: int
    continue_token: str


def write_options(kind: str, query: Mapping[str, list[str]], *, is_apply: bool = False) -> WriteOptions:
    """The options of a write; `kind` is CreateOptions, UpdateOptions or PatchOptions.

    Raises:
        ApiError: an option has a value that it must not have (422).
    """
    manager, force = _one(query, "fieldManager"), _one(query, "force")
    validation = _one(query, "fieldValidation")
    causes: list[Cause] = []
    if is_apply and not manager:
        causes.append(required("fieldManager", "is required for apply patch"))
    if kind == "PatchOptions" and force and not is_apply:
        causes.append(forbidden_value("force", "may not be specified for non-apply patch"))
    causes += _bad_manager(manager)
    causes += _bad_dry_run(query)
    if validation not in _VALIDATIONS:
        causes.append(unsupported_value("fieldValidation", validation, _VALIDATIONS))
    if causes:
        raise invalid_options(kind, *causes)
    return WriteOptions(
        dry_run="dryRun" in query,
        field_manager=manager,
        field_validation=validation or "Warn",
        force=flag(query, "force"),
    )


def delete_options(query: Mapping[str, list[str]], body: Any) -> DeleteOptions:
    """The options of a deletion, from its body or its query parameters.

    Raises:
        ApiError: they cannot be read (400) or have a value that they must not have (422).
    """
    if body is not None:
        _check_delete_body(body)
    check_numbers(query)
    given = body or {}
    dry_run = given.get("dryRun") or []
    merged = {**query, **({"dryRun": dry_run} if dry_run else {})}
    propagation = given.get("propagationPolicy") or _one(query, "propagationPolicy")
    orphan = given.get("orphanDependents", flag(query, "orphanDependents") if "orphanDependents" in query else None)
    causes = _bad_dry_run(merged)
    if propagation and orphan is not None:
        message = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(invalid_value("propagationPolicy", propagation, message))
    elif propagation and propagation not in _PROPAGATIONS:
        supported = [*_PROPAGATIONS, "nil"]
        causes.append(unsupported_value("propagationPolicy", propagation, supported))
    if causes:
        raise invalid_options("DeleteOptions", *causes)
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        dry_run="dryRun" in merged,
        propagation=propagation or ("Orphan" if orphan else "Background"),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


_DELETE_TYPES: dict[str, tuple[type, str]] = {
    "gracePeriodSeconds": (int, "int64"),
    "orphanDependents": (bool, "bool"),
    "propagationPolicy": (str, "v1.DeletionPropagation"),
    "dryRun": (list, "[]string"),
    "preconditions": (dict, "v1.Preconditions"),
}


def _check_delete_body(body: Any) -> None:
    """Refuse what is no DeleteOptions. Kubernetes answers 500; it is the client's fault, so here it is 400."""
    if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request("the body of a deletion must be DeleteOptions")
    for field, (wanted, name) in _DELETE_TYPES.items():
        value = body.get(field)
        if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            raise bad_request(f"json: cannot unmarshal into Go struct field DeleteOptions.{field} of type {name}")
    for field in ("uid", "resourceVersion"):
        if not isinstance((body.get("preconditions") or {}).get(field, ""), str):
            raise bad_request(f"json: cannot unmarshal into Go struct field Preconditions.{field} of type string")


def list_options(query: Mapping[str, list[str]]) -> ListOptions:
    """The options of a list.

    Raises:
        ApiError: a number is none (400), or parameters do not go together (422, 400).
    """
    version, match = _one(query, "resourceVersion"), _one(query, "resourceVersionMatch")
    token, limit = _one(query, "continue"), _one(query, "limit")
    _check_match(version, match, token)
    check_numbers(query)
    if "sendInitialEvents" in query:
        text = "sendInitialEvents is forbidden for list"
        raise invalid_options("ListOptions", forbidden_value("sendInitialEvents", text))
    if token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    number = parse_resource_version(version, code=400) if version else None
    return ListOptions(resource_version=number, match=match, limit=max(int(limit or 0), 0), continue_token=token)


def check_numbers(query: Mapping[str, list[str]]) -> None:
    """Refuse what should be a number and is none.

    Raises:
        ApiError: there is such a parameter (400).
    """
    for name in ("limit", "timeoutSeconds", "gracePeriodSeconds"):
        if (text := _one(query, name)) and not re.fullmatch(r"[-+]?\d{1,18}", text):
            raise bad_request(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")


def flag(query: Mapping[str, list[str]], name: str) -> bool:
    """A truth value: given, and neither `false` nor `0`."""
    return name in query and _one(query, name).lower() not in ("false", "0")


def parse_resource_version(text: str, *, code: int) -> int:
    """A resourceVersion as a number; a list calls a bad one 400, a watch 500.

    Raises:
        ApiError: it is none.
    """
    if re.fullmatch(r"\d{1,19}", text):
        return int(text)
    message = (
        f"resourceVersion: Invalid value: {go_quote(text)}: strconv.ParseUint: parsing {go_quote(text)}: invalid syntax"
    )
    if code == 400:
        raise bad_request(f"invalid resource version: {message}")
    raise ApiError(code, message)


def _check_match(version: str, match: str, token: str) -> None:
    field = "resourceVersionMatch"
    if not match:
        return
    if not version:
        raise invalid_options(
            "ListOptions", forbidden_value(field, f"{field} is forbidden unless resourceVersion is provided")
        )
    if token:
        raise invalid_options("ListOptions", forbidden_value(field, f"{field} is forbidden when continue is provided"))
    if match not in _MATCHES:
        raise invalid_options("ListOptions", unsupported_value(field, match, (*_MATCHES, "")))
    if match == "Exact" and version == "0":
        text = f'{field} "exact" is forbidden for resourceVersion "0"'
        raise invalid_options("ListOptions", forbidden_value(field, text))


def _bad_manager(manager: str) -> list[Cause]:
    if len(manager) > 128:
        return [Cause("fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes")]
    for position, char in enumerate(manager):
        if not char.isprintable():
            message = f"invalid character U+{ord(char):04X} (at position {position})"
            return [invalid_value("fieldManager", manager, message)]
    return []


def _bad_dry_run(query: Mapping[str, list[str]]) -> list[Cause]:
    given = query.get("dryRun", [])
    if all(value == "All" for value in given):
        return []
    quoted = "[" + ",".join(go_quote(value) for value in given) + "]"
    return [Cause("dryRun", "FieldValueNotSupported", f'Unsupported value: {quoted}: supported values: "All"')]


def _one(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""
