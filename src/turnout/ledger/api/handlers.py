"""What each operation does: read the call, hand work to the store, write the answer. No decisions live here."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from turnout.errors import InputError, Unavailable
from turnout.ledger import (
    audit,
    callers,
    cursors,
    erasures,
    evidence,
    feedback,
    foreign,
    gaps,
    gateway,
    history,
    ingest,
    lineage,
    pairs,
    predictions,
    records,
    states,
    summaries,
    words,
)
from turnout.ledger.api import cloud_events, live, uploads
from turnout.ledger.api.calls import Call, as_json, parsed
from turnout.ledger.api.problems import TooMany, UnknownKind
from turnout.ledger.cursors import Position
from turnout.ledger.evidence import Question
from turnout.ledger.feedback import Post
from turnout.ledger.predictions import Search
from turnout.ledger.words import Verb

_BATCH_BYTES = 32 << 20


async def post_events(call: Call) -> Response:
    """Take a batch of prediction records."""
    body, now_us = await call.body(limit=_BATCH_BYTES), call.store.clock_us()
    headers = call.request.headers
    if cloud_events.is_cloud_event(headers):
        event = cloud_events.parse(headers, body, now_us=now_us)
        if refusal := call.refusal(event.namespace):
            return refusal
        half = await call.write(lambda connection: foreign.take(connection, event, now_us=now_us))
        call.metrics.count_events("logger", {half["status"]: 1})
        return as_json(half, 202)
    batch = await call.compute(lambda: records.parse_batch(parsed(body)))
    if refusal := call.refusal(batch.namespace):
        return refusal

    def take(connection: Connection) -> ingest.Taken:
        gaps.take(connection, batch, now_us=now_us)
        return ingest.take(connection, batch, now_us=now_us)

    taken = asdict(await call.write(take))
    call.metrics.count_events("predictor", taken | {"rejected": len(batch.rejected)})
    return as_json(taken | {"rejected": [rejection.as_json() for rejection in batch.rejected]})


async def post_gateway_log(call: Call) -> Response:
    """Take a batch of the gateway's requests."""
    if refusal := call.refusal(None):
        return refusal
    body = await call.body(limit=_BATCH_BYTES)
    batch = await call.compute(lambda: gateway.parse_batch(parsed(body)))
    now_us = call.store.clock_us()
    taken = asdict(await call.write(lambda connection: gateway.take(connection, batch, now_us=now_us)))
    call.metrics.count_events("gateway", taken | {"rejected": len(batch.rejected)})
    return as_json(taken | {"rejected": [rejection.as_json() for rejection in batch.rejected]})


async def give_feedback(call: Call) -> Response:
    """Take a word about one prediction."""
    prediction_id = call.path["id"]
    if not records.is_id(prediction_id):
        raise InputError(f"{prediction_id!r} cannot be the id of a prediction")
    verb = Verb(call.request.method)
    word = words.parse(parsed(await call.body()), verb=verb)
    post = Post(prediction_id=prediction_id, verb=verb, word=word, now_us=call.store.clock_us())
    answer = await asyncio.wrap_future(call.store.write_together(feedback.record, post))
    return as_json(answer.as_json(), answer.http_status)


async def give_feedback_in_bulk(call: Call) -> Response:
    """Take a stream of rows; answer with a stream of results."""
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip()
    if kind not in ("application/x-ndjson", "text/csv"):
        raise UnknownKind(f"content-type: wanted application/x-ndjson or text/csv, found {kind!r}")
    verb = Verb(call.request.method)
    lines = uploads.results(call.store, call.request.stream(), is_csv=kind == "text/csv", verb=verb)
    return uploads.Results(lines)


async def give_feedback_by_caller(call: Call) -> Response:
    """Take a word about all predictions that carry a caller's id."""
    body, verb = parsed(await call.body()), Verb(call.request.method)
    statement = callers.parse(body, verb=verb, now_us=call.store.clock_us())
    answer = await call.write(lambda connection: callers.record(connection, statement))
    return as_json(answer.as_json(), answer.http_status)


async def get_prediction(call: Call) -> Response:
    """One record, its feedback and its outcome."""
    return as_json(await call.read(lambda connection: predictions.find(connection, call.path["id"])))


async def delete_prediction(call: Call) -> Response:
    """Erase content and keys, also of a record that is still on its way."""
    now_us = call.store.clock_us()
    if await call.write(lambda connection: erasures.erase(connection, call.path["id"], now_us=now_us)):
        return Response(status_code=204)
    return as_json({"status": "pending"}, 202)


async def get_lineage(call: Call) -> Response:
    """The decisions behind a prediction."""
    return as_json(await call.read(lambda connection: lineage.of(connection, call.path["id"])))


async def list_predictions(call: Call) -> Response:
    """A page of records, newest first."""
    query = dict(call.query)
    cursor = query.pop("cursor")
    wanted = Search(**query, before=cursors.decode("search", cursor) if cursor else None)
    return as_json(await call.read(lambda connection: predictions.search(connection, wanted)))


async def get_evidence(call: Call) -> Response:
    """Close what can be closed, then read what is frozen."""
    query, now_us = dict(call.query), call.store.clock_us()
    cursor, since_us = query.pop("cursor"), query.pop("since_us")
    after = cursors.decode(query["kind"], cursor) if cursor else Position(time_us=since_us, id="")
    question = Question(**query, turnout=call.path["name"], after=after)
    horizon = await call.write(lambda connection: evidence.close(connection, question, now_us=now_us))
    return as_json(await call.read(lambda connection: evidence.page(connection, question, horizon)))


async def get_pairs(call: Call) -> Response:
    """Copies of a shadow with the answers that callers got."""
    query, now_us = dict(call.query), call.store.clock_us()
    cursor, since_us = query.pop("cursor"), query.pop("since_us")
    after = cursors.decode("pairs", cursor) if cursor else Position(time_us=since_us, id="")
    question = pairs.PairsQuestion(**query, turnout=call.path["name"], after=after)
    return as_json(await call.read(lambda connection: pairs.page(connection, question, now_us=now_us)))


async def get_state(call: Call) -> Response:
    """The controller's state."""
    return as_json(await call.read(lambda connection: states.get(connection, **call.place)))


async def put_state(call: Call) -> Response:
    """Replace the controller's state and append its audit rows."""
    change, now_us = states.parse_change(parsed(await call.body())), call.store.clock_us()
    return as_json(await call.write(lambda connection: states.put(connection, change, **call.place, now_us=now_us)))


async def get_summary(call: Call) -> Response:
    """Counts per version."""
    return as_json(await call.read(lambda connection: summaries.of(connection, **call.place)))


async def get_live(call: Call) -> Response:
    """The weights in force at a time; now when none is given."""
    now_us = call.store.clock_us()
    asked = {**call.query, "at_us": now_us if call.query["at_us"] is None else call.query["at_us"]}
    found = await call.read(lambda connection: history.at(connection, **asked))
    return as_json({"at_us": asked["at_us"], "now_us": now_us, "endpoints": found})


async def list_audit(call: Call) -> Response:
    """Audit rows in their order."""
    return as_json({"rows": await call.read(lambda connection: audit.rows(connection, **call.query))})


async def watch(call: Call) -> Response:
    """Predictions, feedback and decisions as they come, as server-sent events."""
    if not live.may_watch():
        raise TooMany("as many watch as may; come back later")
    events = live.events(call.store, **call.query, is_gone=call.request.is_disconnected)
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def get_health(call: Call) -> Response:
    """Whether the ledger can write."""
    if not call.store.is_writable:
        raise Unavailable("the ledger's writing thread has ended")
    return as_json({"status": "ok"})
