"""Lines of a gateway's access log: JSON objects as Envoy writes them, one per line.

Envoy's `json_format` for the ledger:

    {"start_time": "%START_TIME(%s.%6f)%", "request_id": "%REQ(X-REQUEST-ID)%", "stamp": "%REQ(X-TURNOUT-ASSIGNED)%",
     "id": "%RESP(X-TURNOUT-ID)%", "code": "%RESPONSE_CODE%", "host": "%REQ(:AUTHORITY)%", "flags": "%RESPONSE_FLAGS%",
     "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "duration_ms": "%DURATION%",
     "cluster": "%UPSTREAM_CLUSTER%"}

Absent values are null or "-"; numbers may come as strings. `time_us`, or an ISO 8601 `start_time`, are taken too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from turnout.errors import InputError
from turnout.ledger.gateway import GatewayRequest

__all__ = ["is_kept", "parse"]

_EPOCH = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?")
_FIRST_ERROR = 500


def parse(line: bytes, *, place: str) -> GatewayRequest:
    """The request of a line; `place` names one that carries no request id.

    Raises:
        InputError: the line is none of ours.
    """
    fields = {name: value for name, value in _object(line).items() if value not in (None, "", "-")}
    return GatewayRequest(
        request_id=str(fields.get("request_id", place)),
        time_us=_time_us(fields),
        duration_us=round(_number(fields, "duration_us") or _number(fields, "duration_ms") * 1_000),
        code=int(_number(fields, "code")),
        stamp=_text(fields, "stamp"),
        prediction_id=_text(fields, "id"),
        host=_text(fields, "host"),
        flags=_text(fields, "flags"),
    )


def is_kept(request: GatewayRequest) -> bool:
    """Whether a request says something about a version: the gateway also carries consoles and this very ledger."""
    return request.stamp is not None or request.prediction_id is not None or request.code >= _FIRST_ERROR


def _object(line: bytes) -> dict[str, Any]:
    """The line's last object: a gateway that was killed leaves half a line, and its next life goes on behind it."""
    try:
        found = orjson.loads(line[max(line.rfind(b"{"), 0) :])
    except orjson.JSONDecodeError as error:
        raise InputError(f"no JSON: {line[:80]!r}") from error
    if not isinstance(found, dict):
        raise InputError(f"no JSON object: {line[:80]!r}")
    return found


def _time_us(fields: dict[str, Any]) -> int:
    if type(fields.get("time_us")) is int:
        return int(fields["time_us"])
    text = str(fields.get("start_time", ""))
    if epoch := _EPOCH.fullmatch(text):
        return int(epoch[1]) * 1_000_000 + int((epoch[2] or "").ljust(6, "0")[:6])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"start_time: wanted seconds since 1970 or ISO 8601, found {text!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _number(fields: dict[str, Any], name: str) -> float:
    """A number, 0 where there is none: the client went away before there was an answer."""
    try:
        number = float(fields.get(name, 0))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: wanted a number, found {fields[name]!r}") from error
    if not 0 <= number < 1e15:
        raise InputError(f"{name}: wanted a number from 0 on, found {number}")
    return number


def _text(fields: dict[str, Any], name: str) -> str | None:
    return str(fields[name]) if name in fields else None
