"""Requests as the gateway saw them: the only log that also knows the ones nobody answered.

Idempotent by request id. Order and watermark are those of the *end* of an answer, when a gateway writes its line: by
their start, slow requests (the time-outs, of all) would always come too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from turnout.errors import InputError
from turnout.ledger import bulk, partitions, stamps
from turnout.ledger.records import Rejection, is_line_or_null, is_list, is_name, is_time, required
from turnout.ledger.schema import GATEWAY_LOGS, GATEWAY_REQUESTS, Standing

__all__ = ["GatewayBatch", "GatewayTaken", "parse_batch", "take"]

_HEAD = (
    ("log", is_name, "a name"),
    ("watermark_us", is_time, "an integer, microseconds since 1970"),
    ("events", is_list, "a list of requests"),
)


@dataclass(frozen=True)
class GatewayRequest:
    """One line of a gateway's access log."""

    request_id: str
    time_us: int
    duration_us: int
    code: int
    stamp: str | None
    prediction_id: str | None
    host: str | None
    flags: str | None

    @property
    def ended_us(self) -> int:
        """When the answer had ended."""
        return self.time_us + self.duration_us


@dataclass(frozen=True)
class GatewayBatch:
    """One gateway's news; all that ended up to `watermark_us` has been sent."""

    log: str
    watermark_us: int
    final: bool
    requests: list[GatewayRequest]
    rejected: list[Rejection]


@dataclass(frozen=True)
class GatewayTaken:
    """What became of a batch."""

    accepted: int
    duplicates: int
    late: int


def parse_batch(body: object) -> GatewayBatch:
    """The batch in a request's body; its bad entries are set aside.

    Raises:
        InputError: the envelope itself is wrong.
    """
    head = required(body, _HEAD)
    final = head.get("final", False)
    if not isinstance(final, bool):
        raise InputError("final: wanted true or false")
    requests, rejected = [], []
    for index, fields in enumerate(head["events"]):
        if reason := problem_of(fields):
            rejected.append(Rejection(index, None, reason))
        else:
            requests.append(_request(fields))
    return GatewayBatch(
        log=head["log"], watermark_us=head["watermark_us"], final=final, requests=requests, rejected=rejected
    )


def problem_of(fields: object) -> str | None:
    """What is wrong with an entry, or None."""
    if not isinstance(fields, dict):
        return "an entry must be a JSON object"
    if not is_name(fields.get("request_id")):
        return "request_id: wanted a string of at most 253 characters"
    for name in ("time_us", "duration_us"):
        if not is_time(fields.get(name)):
            return f"{name}: wanted an integer, microseconds"
    if type(fields.get("code")) is not int or not 0 <= fields["code"] <= 999:
        return "code: wanted an HTTP status, or 0 for none"
    for name in ("stamp", "id", "host", "flags"):
        if not is_line_or_null(fields.get(name)):
            return f"{name}: wanted a string without NUL, or null"
    return None


def take(connection: Connection, batch: GatewayBatch, *, now_us: int) -> GatewayTaken:
    """Store a batch and move its log's watermark."""
    log = connection.execute(select(GATEWAY_LOGS).where(GATEWAY_LOGS.c.log == batch.log)).one_or_none()
    if log is None:
        connection.execute(insert(GATEWAY_LOGS).values(log=batch.log, watermark_us=0, final=False))
    closed_us = connection.execute(select(func.max(GATEWAY_LOGS.c.closed_us))).scalar_one()
    watermark_us, was_final = (log.watermark_us, log.final) if log else (0, False)
    fresh = _without_known(connection, batch.requests)
    rows = [_row(request, closed_us=max(watermark_us, closed_us)) for request in fresh]
    partitions.ensure(connection, [request.ended_us for request in fresh], now_us=now_us)
    if rows:
        connection.execute(insert(GATEWAY_REQUESTS), rows)
    connection.execute(
        update(GATEWAY_LOGS)
        .where(GATEWAY_LOGS.c.log == batch.log)
        .values(watermark_us=max(watermark_us, batch.watermark_us), final=was_final or batch.final)
    )
    late = sum(row["standing"] == Standing.LATE for row in rows)
    return GatewayTaken(accepted=len(fresh), duplicates=len(batch.requests) - len(fresh), late=late)


def _request(fields: dict[str, Any]) -> GatewayRequest:
    return GatewayRequest(
        request_id=fields["request_id"],
        time_us=fields["time_us"],
        duration_us=fields["duration_us"],
        code=fields["code"],
        stamp=fields.get("stamp"),
        prediction_id=fields.get("id"),
        host=fields.get("host"),
        flags=fields.get("flags"),
    )


def _without_known(connection: Connection, requests: list[GatewayRequest]) -> list[GatewayRequest]:
    first: dict[str, GatewayRequest] = {}
    for request in requests:
        first.setdefault(request.request_id, request)
    for row in bulk.among(connection, GATEWAY_REQUESTS.c.request_id, first):
        del first[row.request_id]
    return list(first.values())


def _row(request: GatewayRequest, *, closed_us: int) -> dict[str, Any]:
    stamp = stamps.parse(request.stamp)
    version = stamp.version if stamp else None
    is_late = request.ended_us <= closed_us
    standing = stamps.standing(request.stamp, stamp=stamp, version=version or "", is_late=is_late)
    return {
        "request_id": request.request_id,
        "ended_us": request.ended_us,
        "duration_us": request.duration_us,
        "version": version,
        "standing": int(standing),
        "rev": stamp.rev if stamp else None,
        "p": stamp.p if stamp else None,
        "code": request.code,
        "prediction_id": request.prediction_id,
        "host": request.host,
        "flags": request.flags,
    }
