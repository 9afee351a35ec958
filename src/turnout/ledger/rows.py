"""From a record to its row. Pure, and the hottest code of the ledger: it runs once for every prediction."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from turnout.ledger import outcomes, stamps
from turnout.ledger.schema import Standing

__all__ = ["REGRESSION", "Row", "key", "of", "outputs_of", "predicted"]

Row: TypeAlias = tuple[Any, ...]

REGRESSION = ""  # what is predicted is no class: labels have no outcome
_LONGEST_PREDICTED = 64  # characters; what is longer is looked up in the chunk
_LONGEST_KEY = 256  # characters of a caller's id or a subject that the database indexes
_parse = lru_cache(maxsize=1024)(stamps.parse)  # an endpoint has a handful of stamps at a time


def of(
    record: dict[str, Any],
    *,
    version_no: int,
    closed_us: int,
    place: tuple[int, int],
    said: tuple[float | None, int | None, int],
    erased_us: int | None,
) -> Row:
    """The row of `predictions`, in the order of its columns.

    `said` is outcome, time and count of feedback that came first; an erased record leaves only its anonymous tuple.
    """
    text, version, time_us = record.get("stamp"), record["version"], record["time_us"]
    stamp = _parse(text) if text else None
    standing = (
        Standing.SHADOW
        if record.get("shadow")
        else stamps.standing(text, stamp=stamp, version=version, is_late=time_us <= closed_us)
    )
    is_kept = erased_us is None
    return (
        record["id"],
        time_us,
        version_no,
        int(standing),
        place[1],
        place[0],
        *((stamp.rev, stamp.p) if stamp else (None, None)),
        *((predicted(record), key(record.get("caller_id")), key(record.get("subject"))) if is_kept else _NO_KEYS),
        *said,
        erased_us,
    )


_NO_KEYS = (None, None, None)


def key(text: str | None) -> str | None:
    """A caller's id or a subject as it is indexed: whatever clients send, an index holds so much and no NUL."""
    return text[:_LONGEST_KEY].replace("\0", "") or None if text else None


def predicted(record: dict[str, Any]) -> str | None:
    """What a label of this record is compared with; None when it is too long for a column."""
    output = record["outputs"][0]
    if str(output["datatype"]).startswith("FP"):
        return REGRESSION
    data = output["data"]
    if len(data) == 1 and type(data[0]) is int:
        return str(data[0])
    text = orjson.dumps(outcomes.rows_of(output)).decode()
    return text if len(text) <= _LONGEST_PREDICTED else None


def outputs_of(text: str) -> list[dict[str, Any]]:
    """The outputs that `predicted` kept, as far as an outcome needs them."""
    if text == REGRESSION:
        return [{"datatype": "FP32", "data": []}]
    found = orjson.loads(text)
    return [{"datatype": "", "data": found if isinstance(found, list) else [found]}]
