"""What each operation does: read the call, hand work to the store, write the answer. No decisions live here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from turnout.errors import InputError, Unavailable
from turnout.ledger import (
    audit,
    callers,
    cursors,
    erasures,
    evidence,
    feedback,
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
from turnout.ledger.api.problems import TooLarge
from turnout.ledger.cursors import Position
from turnout.ledger.evidence import Question
from turnout.ledger.feedback import Post
from turnout.ledger.predictions import Search
from turnout.ledger.store import Store
from turnout.ledger.words import Verb

T = TypeVar("T")

_BATCH_BYTES = 32 << 20
_BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Call:
    """One request, with its query already read."""

    store: Store
    request: Request
    query: dict[str, Any]

    @property
    def path(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.path_params

    @property
    def place(self) -> dict[str, str]:
        """Namespace and name of the Turnout that the call is about."""
        return {"namespace": self.query["namespace"], "turnout": self.path["name"]}

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads of the database."""
        return await asyncio.wrap_future(self.store.read(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` answers, after it is committed."""
        return await asyncio.wrap_future(self.store.write(work))

    async def compute(self, work: Callable[[], T]) -> T:
        """What `work` answers; it takes too long for the event loop."""
        return await asyncio.wrap_future(self.store.compute(work))

    async def body(self, *, limit: int = _BODY_BYTES) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it has more than `limit` bytes; no more than those are read.
        """
        if int(self.request.headers.get("content-length", 0)) > limit:
            raise TooLarge(f"the body may have {limit} bytes at most")
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise TooLarge(f"the body may have {limit} bytes at most")
            parts.append(part)
        return b"".join(parts)


async def post_events(call: Call) -> Response:
    """Take a batch of prediction records."""
    body = await call.body(limit=_BATCH_BYTES)
    batch = await call.compute(lambda: records.parse_batch(_parsed(body)))
    now_us = call.store.clock_us()

    def take(connection: Connection) -> ingest.Taken:
        gaps.take(connection, batch, now_us=now_us)
        return ingest.take(connection, batch, now_us=now_us)

    taken = await call.write(take)
    return _json(asdict(taken) | {"rejected": [rejection.as_json() for rejection in batch.rejected]})


async def post_gateway_log(call: Call) -> Response:
    """Take a batch of the gateway's requests."""
    body = await call.body(limit=_BATCH_BYTES)
    batch = await call.compute(lambda: gateway.parse_batch(_parsed(body)))
    now_us = call.store.clock_us()
    taken = await call.write(lambda connection: gateway.take(connection, batch, now_us=now_us))
    return _json(asdict(taken) | {"rejected": [rejection.as_json() for rejection in batch.rejected]})


async def give_feedback(call: Call) -> Response:
    """Take a word about one prediction."""
    prediction_id = call.path["id"]
    if not records.is_id(prediction_id):
        raise InputError(f"{prediction_id!r} cannot be the id of a prediction")
    verb = Verb(call.request.method)
    word = words.parse(_parsed(await call.body()), verb=verb)
    post = Post(prediction_id=prediction_id, verb=verb, word=word, now_us=call.store.clock_us())
    answer = await asyncio.wrap_future(call.store.write_together(feedback.record, post))
    return _json(answer.as_json(), answer.http_status)


async def give_feedback_by_caller(call: Call) -> Response:
    """Take a word about all predictions that carry a caller's id."""
    body, verb = _parsed(await call.body()), Verb(call.request.method)
    statement = callers.parse(body, verb=verb, now_us=call.store.clock_us())
    answer = await call.write(lambda connection: callers.record(connection, statement))
    return _json(answer.as_json(), answer.http_status)


async def get_prediction(call: Call) -> Response:
    """One record, its feedback and its outcome."""
    return _json(await call.read(lambda connection: predictions.find(connection, call.path["id"])))


async def delete_prediction(call: Call) -> Response:
    """Erase content and keys."""
    now_us = call.store.clock_us()
    await call.write(lambda connection: erasures.erase(connection, call.path["id"], now_us=now_us))
    return Response(status_code=204)


async def get_lineage(call: Call) -> Response:
    """The decisions behind a prediction."""
    return _json(await call.read(lambda connection: lineage.of(connection, call.path["id"])))


async def list_predictions(call: Call) -> Response:
    """A page of records, newest first."""
    query = dict(call.query)
    cursor = query.pop("cursor")
    wanted = Search(**query, before=cursors.decode("search", cursor) if cursor else None)
    return _json(await call.read(lambda connection: predictions.search(connection, wanted)))


async def get_evidence(call: Call) -> Response:
    """Close what can be closed, then read what is frozen."""
    query, now_us = dict(call.query), call.store.clock_us()
    cursor, since_us = query.pop("cursor"), query.pop("since_us")
    after = cursors.decode(query["kind"], cursor) if cursor else Position(time_us=since_us, id="")
    question = Question(**query, turnout=call.path["name"], after=after)
    horizon = await call.write(lambda connection: evidence.close(connection, question, now_us=now_us))
    return _json(await call.read(lambda connection: evidence.page(connection, question, horizon)))


async def get_pairs(call: Call) -> Response:
    """Copies of a shadow with the answers that callers got."""
    query, now_us = dict(call.query), call.store.clock_us()
    cursor, since_us = query.pop("cursor"), query.pop("since_us")
    after = cursors.decode("pairs", cursor) if cursor else Position(time_us=since_us, id="")
    question = pairs.PairsQuestion(**query, turnout=call.path["name"], after=after)
    return _json(await call.read(lambda connection: pairs.page(connection, question, now_us=now_us)))


async def get_state(call: Call) -> Response:
    """The controller's state."""
    return _json(await call.read(lambda connection: states.get(connection, **call.place)))


async def put_state(call: Call) -> Response:
    """Replace the controller's state and append its audit rows."""
    change, now_us = states.parse_change(_parsed(await call.body())), call.store.clock_us()
    return _json(await call.write(lambda connection: states.put(connection, change, **call.place, now_us=now_us)))


async def get_summary(call: Call) -> Response:
    """Counts per version."""
    return _json(await call.read(lambda connection: summaries.of(connection, **call.place)))


async def get_live(call: Call) -> Response:
    """The weights in force at a time; now when none is given."""
    now_us = call.store.clock_us()
    asked = {**call.query, "at_us": now_us if call.query["at_us"] is None else call.query["at_us"]}
    found = await call.read(lambda connection: history.at(connection, **asked))
    return _json({"at_us": asked["at_us"], "now_us": now_us, "endpoints": found})


async def list_audit(call: Call) -> Response:
    """Audit rows in their order."""
    return _json({"rows": await call.read(lambda connection: audit.rows(connection, **call.query))})


async def get_health(call: Call) -> Response:
    """Whether the ledger can write."""
    if not call.store.is_writable:
        raise Unavailable("the ledger's writing thread has ended")
    return _json({"status": "ok"})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error
