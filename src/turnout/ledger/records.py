"""What comes in with `POST /v1/events`: batches of prediction records, each checked by plain functions.

This is the hot path, so records stay the dicts that orjson made. A check names what is wrong in words that a person can
act on; a bad record is rejected by itself and never blocks its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from turnout.errors import InputError
from turnout.ledger import contents, packed
from turnout.ledger.contents import Chunk

__all__ = ["Batch", "Dropped", "Record", "Rejection", "parse_batch", "problem_of", "required"]

Record: TypeAlias = dict[str, Any]

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LONGEST_NAME = 253  # the limit of Kubernetes; a database's index takes no text without end
_LAST_US = 1 << 62  # fits the integer columns of every database, with room to add windows


@dataclass(frozen=True)
class Rejection:
    """A record that was not taken, and why."""

    index: int
    id: str | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The entry of an answer's `rejected`."""
        return {"index": self.index, "id": self.id, "reason": self.reason}


@dataclass(frozen=True)
class Dropped:
    """An interval (both ends included) in which a log lost `events` records that were answered."""

    from_us: int
    to_us: int
    events: int


@dataclass(frozen=True)
class Batch:
    """One log's news: all up to `watermark_us` has been sent, or is said to be `dropped`.

    `records` are the good ones by id, `repeated` counts more of the same id. `chunks` are their contents as they are
    stored, made before the transaction, which should not have to wait for that.
    `withdrawn` are ids that may have been sent and were not answered after all.
    """

    log: str
    namespace: str
    endpoint: str
    version: str
    watermark_us: int
    final: bool
    records: dict[str, Record]
    chunks: list[Chunk]
    repeated: int
    rejected: list[Rejection]
    dropped: tuple[Dropped, ...] = ()
    withdrawn: tuple[str, ...] = ()


def is_text(value: object) -> bool:
    """A string that says something."""
    return isinstance(value, str) and value != ""


def is_name(value: object) -> bool:
    """A name that fits an index: of a log, a version, a namespace."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and "\0" not in value


def is_name_or_empty(value: object) -> bool:
    """An optional name."""
    return value is None or value == "" or is_name(value)


def is_line_or_null(value: object) -> bool:
    """An optional string for a column of its own; PostgreSQL's hold no NUL."""
    return value is None or (isinstance(value, str) and "\0" not in value)


def is_text_or_null(value: object) -> bool:
    """An optional string."""
    return value is None or isinstance(value, str)


def is_time(value: object) -> bool:
    """Microseconds since 1970 that fit the database; true is no integer here."""
    return type(value) is int and 0 <= value < _LAST_US


def is_bool(value: object) -> bool:
    """JSON's true or false."""
    return isinstance(value, bool)


def is_id(value: object) -> bool:
    """A prediction's id: the predictor's own, 32 hexadecimal digits; other runtimes may bring a short token."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


def is_list(value: object) -> bool:
    """A JSON array."""
    return isinstance(value, list)


Check: TypeAlias = tuple[str, Callable[[object], bool], str]

_HEAD: tuple[Check, ...] = (
    ("log", is_name, "a name"),
    ("namespace", is_name, "a name"),
    ("endpoint", is_name_or_empty, "a name, or empty"),
    ("version", is_name, "a name"),
    ("watermark_us", is_time, "an integer, microseconds since 1970"),
    ("events", is_list, "a list of records"),
)
_RECORD: tuple[Check, ...] = (
    ("id", is_id, "up to 64 letters, digits, '.', '_', ':' or '-'"),
    ("time_us", is_time, "an integer, microseconds since 1970"),
    ("inputs", is_list, "a list of tensors"),
    ("outputs", is_list, "a list of tensors"),
)
_OPTIONAL: tuple[Check, ...] = (
    ("stamp", is_text_or_null, "a string or null"),
    ("request_id", is_text_or_null, "a string or null"),
    ("caller_id", is_text_or_null, "a string or null"),
    ("subject", is_text_or_null, "a string or null"),
    ("shadow", is_bool, "true or false"),
)
_TENSOR: tuple[tuple[str, type], ...] = (("name", str), ("datatype", str), ("shape", list), ("data", list))
_SAME = ("namespace", "endpoint", "version")


def parse_batch(body: object) -> Batch:
    """The batch in a request's body; its bad records are set aside.

    Raises:
        InputError: the envelope itself is wrong, so that not even the log is known.
    """
    head = required(body, _HEAD)
    final = head.get("final", False)
    if not isinstance(final, bool):
        raise InputError("final: wanted true or false")
    names = {name: head[name] or "" for name in _SAME}
    records: dict[str, Record] = {}
    rejected, repeated = [], 0
    for index, record in enumerate(head["events"]):
        if reason := problem_of(record, names):
            rejected.append(Rejection(index, _id_of(record), reason))
        elif record["id"] in records:
            repeated += 1
        else:
            records[record["id"]] = record
    try:
        chunks = contents.chunked(list(records.values()))
    except orjson.JSONEncodeError:
        rejected += _take_out_unwritable(head["events"], records)
        chunks = contents.chunked(list(records.values()))
    return Batch(
        log=head["log"],
        watermark_us=head["watermark_us"],
        final=final,
        records=records,
        chunks=chunks,
        repeated=repeated,
        rejected=rejected,
        dropped=_dropped(head.get("dropped", [])),
        withdrawn=_withdrawn(head.get("withdrawn", [])),
        **names,
    )


def _dropped(entries: object) -> tuple[Dropped, ...]:
    if not isinstance(entries, list):
        raise InputError("dropped: wanted a list of intervals")
    found = []
    for index, entry in enumerate(entries):
        fields: list[Any] = []
        if isinstance(entry, dict):
            fields = [entry.get(name) for name in ("from_us", "to_us", "events")]
        if not fields or not all(map(is_time, fields)) or fields[0] > fields[1]:
            raise InputError(f"dropped[{index}]: wanted from_us <= to_us and events, all whole numbers")
        found.append(Dropped(*fields))
    return tuple(found)


def _withdrawn(ids: object) -> tuple[str, ...]:
    if not isinstance(ids, list) or not all(map(is_id, ids)):
        raise InputError("withdrawn: wanted a list of prediction ids")
    return tuple(ids)


def required(body: object, checks: tuple[Check, ...]) -> dict[str, Any]:
    """The body as an object that passes the checks.

    Raises:
        InputError: it is no object, or a field is missing or wrong.
    """
    if not isinstance(body, dict):
        raise InputError("the body must be a JSON object")
    if problem := _first_problem(body, checks):
        raise InputError(problem)
    return body


def problem_of(record: object, names: dict[str, str]) -> str | None:
    """What is wrong with a record of a log with these names, or None."""
    if not isinstance(record, dict):
        return "a record must be a JSON object"
    if problem := _first_problem(record, _RECORD) or _first_problem(record, _OPTIONAL, optional=True):
        return problem
    for name, wanted in names.items():
        if record.get(name, "") != wanted:
            return f"{name}: the log is of {wanted!r}, the record of {record.get(name)!r}"
    if not record["outputs"]:
        return "outputs: wanted at least one tensor"
    return _tensor_problem("inputs", record["inputs"]) or _tensor_problem("outputs", record["outputs"])


def _first_problem(fields: dict[str, Any], checks: tuple[Check, ...], *, optional: bool = False) -> str | None:
    for name, fits, wanted in checks:
        if name not in fields:
            if optional:
                continue
            return f"{name} is missing"
        if not fits(fields[name]):
            return f"{name}: wanted {wanted}"
    return None


def _tensor_problem(where: str, tensors: list[Any]) -> str | None:
    for index, tensor in enumerate(tensors):
        if not isinstance(tensor, dict):
            return f"{where}[{index}]: wanted an object with name, datatype, shape and data"
        is_packed = where == "inputs" and packed.BASE64 in tensor
        for name, kind in _TENSOR[:-1] if is_packed else _TENSOR:
            if not isinstance(tensor.get(name), kind):
                return f"{where}[{index}].{name}: wanted a {'string' if kind is str else 'list'}"
        if is_packed and (problem := packed.problem(tensor)):
            return f"{where}[{index}].{problem}"
    return None


def _take_out_unwritable(events: list[Any], records: dict[str, Record]) -> list[Rejection]:
    """Records that are nested deeper than can be written."""
    found = []
    for index, event in enumerate(events):
        if isinstance(event, dict) and records.get(_id_of(event) or "") is event:
            try:
                orjson.dumps(event)
            except orjson.JSONEncodeError:
                del records[event["id"]]
                found.append(Rejection(index, event["id"], "the record is nested too deeply"))
    return found


def _id_of(record: object) -> str | None:
    found = record.get("id") if isinstance(record, dict) else None
    return found if isinstance(found, str) else None
