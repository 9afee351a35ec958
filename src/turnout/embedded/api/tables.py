"""Lists as tables: what `kubectl get` prints comes from here, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from turnout.embedded.api.errors import ApiError
from turnout.embedded.api.routes import Served

__all__ = ["as_v1beta1", "check_include", "partial", "table"]

Object = dict[str, Any]

_OLD = "meta.k8s.io/v1beta1"
_INCLUDES = ("", "Metadata", "Object", "None")


def check_include(include: str) -> None:
    """Refuse a wrong `includeObject`.

    Raises:
        ApiError: it is none of the four (400).
    """
    if include not in _INCLUDES:
        message = (
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": must be '
            "'Metadata', 'Object', 'None', or empty"
        )
        raise ApiError(400, message, reason="BadRequest")


def table(
    served: Served,
    found: Sequence[Object],
    *,
    metadata: Object,
    include: str = "",
    with_columns: bool = True,
) -> Object:
    """A Table of objects; a watch sends the columns with its first event only."""
    now = datetime.now(UTC)
    columns = served.kind.columns
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns] if with_columns else None,
        "rows": [
            {"cells": [column.cell(obj, now) for column in columns], "object": _shown(served, obj, include)}
            for obj in found
        ],
    }


def as_v1beta1(table: Object) -> Object:
    """The same in the words of the older version, whose objects are of it too."""
    rows = [
        {**row, "object": {**row["object"], "apiVersion": _OLD}}
        if row["object"] and row["object"]["kind"] == "PartialObjectMetadata"
        else row
        for row in table["rows"]
    ]
    return {**table, "apiVersion": _OLD, "rows": rows}


def partial(obj: Object) -> Object:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _shown(served: Served, obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    return served.present(obj) if include == "Object" else partial(obj)
