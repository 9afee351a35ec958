"""Predictions of other runtimes: KServe's logger sends request and response apart, as CloudEvents with one id.

They are paired by service and id. A careless client that sets its own `Ce-Id` may use one again, so the id is only the
caller's id of the record; the record's own id is a digest of service, id and both bodies. Hence an event that is sent
twice is one record, and an id that is used twice is two. Without a stamp they are no evidence.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select

from turnout.errors import InputError
from turnout.ledger import ingest, records
from turnout.ledger.records import Batch
from turnout.ledger.schema import FOREIGN_EVENTS, VERSIONS

__all__ = ["ForeignEvent", "take"]

_REQUEST, _RESPONSE = "org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"
TYPES = {_REQUEST: False, _RESPONSE: True}
_KEPT_US = 3_600_000_000  # a half whose other one does not come in an hour is given up

_OTHERS = (
    select(FOREIGN_EVENTS)
    .where(
        FOREIGN_EVENTS.c.namespace == bindparam("namespace"),
        FOREIGN_EVENTS.c.service == bindparam("service"),
        FOREIGN_EVENTS.c.event_id == bindparam("event_id"),
        FOREIGN_EVENTS.c.is_response == bindparam("is_response"),
    )
    .order_by(FOREIGN_EVENTS.c.no)
    .limit(1)
)


@dataclass(frozen=True)
class ForeignEvent:
    """One half of a prediction."""

    event_id: str
    service: str
    namespace: str
    is_response: bool
    time_us: int
    body: bytes


def take(connection: Connection, event: ForeignEvent, *, now_us: int) -> dict[str, Any]:
    """Keep a half, or make a record of it and the other one: `{"status": "waiting" | "recorded" | "duplicate"}`.

    Raises:
        InputError: both halves are here and make no prediction.
    """
    connection.execute(delete(FOREIGN_EVENTS).where(FOREIGN_EVENTS.c.arrived_us < now_us - _KEPT_US))
    key = {"namespace": event.namespace, "service": event.service, "event_id": event.event_id}
    other = connection.execute(_OTHERS, key | {"is_response": not event.is_response}).one_or_none()
    if other is None:
        same = connection.execute(_OTHERS, key | {"is_response": event.is_response}).one_or_none()
        if same is None or same.body != event.body:
            half = {"time_us": event.time_us, "arrived_us": now_us, "body": event.body}
            connection.execute(insert(FOREIGN_EVENTS).values(**key, **half, is_response=event.is_response))
        return {"status": "waiting"}
    connection.execute(delete(FOREIGN_EVENTS).where(FOREIGN_EVENTS.c.no == other.no))
    request, response = (other.body, event.body) if event.is_response else (event.body, other.body)
    times = (other.time_us, event.time_us)
    record = _record(connection, event, request=request, response=response, times=times)
    taken = ingest.take(connection, _batch(record), now_us=now_us)
    return {"status": "recorded" if taken.accepted else "duplicate", "id": record["id"]}


def _record(
    connection: Connection, event: ForeignEvent, *, request: bytes, response: bytes, times: tuple[int, int]
) -> dict[str, Any]:
    where = (event.namespace, event.service, event.event_id)
    digest = hashlib.sha256(b"\0".join((*(name.encode() for name in where), request, response)))
    asked, answered = _tensors(request, "inputs", "instances"), _tensors(response, "outputs", "predictions")
    return {
        "id": digest.hexdigest()[:32],
        "time_us": min(times),
        "namespace": event.namespace,
        "endpoint": _endpoint(connection, event),
        "version": event.service,
        "protocol": "v2" if asked[0]["name"] != "instances" else "v1",
        "inputs": asked,
        "outputs": answered,
        "stamp": None,
        "request_id": None,
        "caller_id": event.event_id,
        "shadow": False,
        "duration_us": abs(times[1] - times[0]),
    }


def _batch(record: dict[str, Any]) -> Batch:
    """A log that has always ended: nobody waits for what a logger without retries may have lost."""
    head = {name: record[name] for name in ("namespace", "endpoint", "version")}
    body = head | {"log": f"cloudevents/{record['version']}", "watermark_us": 0, "final": True, "events": [record]}
    batch = records.parse_batch(body)
    if batch.rejected:
        raise InputError(f"the events make no prediction: {batch.rejected[0].reason}")
    return batch


def _endpoint(connection: Connection, event: ForeignEvent) -> str:
    """The endpoint that this version is known to serve, else the service's own name."""
    known = select(VERSIONS.c.endpoint).where(
        VERSIONS.c.namespace == event.namespace, VERSIONS.c.version == event.service
    )
    return str(connection.execute(known.order_by(VERSIONS.c.no)).scalar() or event.service)


def _tensors(body: bytes, of_v2: str, of_v1: str) -> list[dict[str, Any]]:
    """The tensors of a V2 body as they are; a V1 body's rows as one tensor.

    Raises:
        InputError: it is neither.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"data: {of_v2} must come as JSON: {error}") from error
    if isinstance(found, dict) and isinstance(found.get(of_v2), list):
        return found[of_v2]  # type: ignore[no-any-return]
    if isinstance(found, dict) and isinstance(found.get(of_v1), list) and found[of_v1]:
        data = found[of_v1]
        return [{"name": of_v1, "datatype": _datatype(data), "shape": [len(data)], "data": data}]
    raise InputError(f"data: wanted a body with {of_v2} (V2) or {of_v1} (V1)")


def _datatype(data: list[Any]) -> str:
    first = data[0]
    while isinstance(first, list) and first:
        first = first[0]
    return "FP64" if isinstance(first, float) else "INT64" if isinstance(first, int) else "BYTES"
