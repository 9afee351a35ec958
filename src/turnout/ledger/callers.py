"""Feedback by the caller's own id, which is only an attribute: several predictions may carry it, clients reuse them.

What is said about a caller's id labels every prediction that carries it and was made before. It is kept, because a
record may still be on its way; a prediction made later under the same id is another matter and stays unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from turnout.errors import InputError, TurnoutError
from turnout.ledger import feedback, rows, words
from turnout.ledger.feedback import Answer, Joined, Post
from turnout.ledger.records import Record, is_name_or_empty, is_text
from turnout.ledger.schema import CALLER_FEEDBACK, PREDICTIONS, VERSIONS
from turnout.ledger.words import Verb, Word

__all__ = ["CallerAnswer", "Statement", "join", "parse", "record"]

_MOST = 1_000
_ADDRESS = ("caller_id", "namespace", "endpoint")
_SAID = (
    select(CALLER_FEEDBACK)
    .where(CALLER_FEEDBACK.c.caller_id.in_(bindparam("ids", expanding=True)))
    .order_by(CALLER_FEEDBACK.c.no)
)


@dataclass(frozen=True)
class Statement:
    """A word about all predictions with this caller's id, of one namespace and endpoint if they are named."""

    caller_id: str
    namespace: str | None
    endpoint: str | None
    verb: Verb
    word: Word
    now_us: int


@dataclass(frozen=True)
class CallerAnswer:
    """What became of a statement, prediction by prediction."""

    answers: list[Answer]
    refused: list[tuple[str, TurnoutError]]

    @property
    def http_status(self) -> int:
        """202 while no prediction with this id is here."""
        return 200 if self.answers else 202

    def as_json(self) -> dict[str, Any]:
        """The answer's body."""
        heads = [{"id": answer.prediction_id, "status": answer.status} for answer in self.answers]
        reasons = [{"id": name, "reason": str(error)} for name, error in self.refused]
        return {"predictions": heads, "refused": reasons}


def parse(body: object, *, verb: Verb, now_us: int) -> Statement:
    """The statement in a request's body.

    Raises:
        InputError: with the field that is wrong.
    """
    word = words.parse(body, verb=verb, also=_ADDRESS)
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    caller_id = rows.key(fields["caller_id"]) if is_text(fields.get("caller_id")) else None
    if caller_id is None:
        raise InputError("caller_id: wanted the id that the caller gave")
    for name in ("namespace", "endpoint"):
        if not is_name_or_empty(fields.get(name)):
            raise InputError(f"{name}: wanted a name")
    address = {name: fields.get(name) for name in ("namespace", "endpoint")}
    return Statement(caller_id=caller_id, verb=verb, word=word, now_us=now_us, **address)


def record(connection: Connection, statement: Statement) -> CallerAnswer:
    """Label the predictions that are here, and keep the statement for those on their way.

    Predictions that cannot take the word (they have another one already, as happens when a caller's id is used twice)
    are named in the answer and stay as they are.

    Raises:
        TurnoutError: none of them can take it.
    """
    posts = [
        Post(prediction_id=found, verb=statement.verb, word=statement.word, now_us=statement.now_us)
        for found in _carriers(connection, statement)
    ]
    results = list(zip(posts, feedback.record(connection, posts), strict=True))
    answers = [result for _, result in results if isinstance(result, Answer)]
    refused = [(post.prediction_id, result) for post, result in results if isinstance(result, TurnoutError)]
    if refused and not answers:
        raise refused[0][1]
    connection.execute(insert(CALLER_FEEDBACK).values(**_columns(statement)))
    return CallerAnswer(answers=answers, refused=refused)


def join(connection: Connection, records: Iterable[Record]) -> dict[str, Joined]:
    """The last word said about the caller's id of each of these new records, after the record was made."""
    by_caller: dict[str, list[Record]] = {}
    for one in records:
        if caller_id := rows.key(one.get("caller_id")):
            by_caller.setdefault(caller_id, []).append(one)
    applies = {
        one["id"]: (said, one)
        for ids in feedback.chunks(by_caller)
        for said in connection.execute(_SAID, {"ids": ids})
        for one in by_caller[said.caller_id]
        if _concerns(said, one)
    }
    return feedback.append(connection, applies)


def _concerns(said: Row[Any], one: Record) -> bool:
    return (
        one["time_us"] <= said.arrived_us
        and said.namespace in (None, one["namespace"])
        and said.endpoint in (None, one.get("endpoint", ""))
    )


def _carriers(connection: Connection, statement: Statement) -> list[str]:
    """Ids of the predictions that carry the caller's id; erased ones have lost it.

    Raises:
        InputError: they are so many that the id cannot be meant to name something.
    """
    found = (
        select(PREDICTIONS.c.id)
        .join(VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no)
        .where(PREDICTIONS.c.caller_id == statement.caller_id)
        .order_by(PREDICTIONS.c.time_us, PREDICTIONS.c.id)
        .limit(_MOST + 1)
    )
    if statement.namespace is not None:
        found = found.where(VERSIONS.c.namespace == statement.namespace)
    if statement.endpoint is not None:
        found = found.where(VERSIONS.c.endpoint == statement.endpoint)
    ids = list(connection.execute(found).scalars())
    if len(ids) > _MOST:
        raise InputError(
            f"caller_id: more than {_MOST} predictions carry {statement.caller_id!r}, so it names none of them"
        )
    return ids


def _columns(statement: Statement) -> dict[str, Any]:
    return feedback.columns_of(statement.word) | {
        "caller_id": statement.caller_id,
        "namespace": statement.namespace,
        "endpoint": statement.endpoint,
        "arrived_us": statement.now_us,
    }
