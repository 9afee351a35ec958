"""Feedback in the database: an append-only history per prediction, whose last word is the current one.

Single posts are the common case, so all that wait together are decided together: their records and current words are
read once, each is decided by a pure function, then everything is written at once. Feedback for an id that is not known
yet is kept; `join` gives it to the record when that arrives.

Arrival time is the ledger's clock, but never at or before what evidence has already closed for that version: units that
were handed out stay as they were, also when the clock is set back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from turnout.errors import InputError, NotFound, TurnoutError
from turnout.ledger import outcomes, words
from turnout.ledger.schema import CONTENTS, FEEDBACK, PREDICTIONS, VERSIONS
from turnout.ledger.words import Verb, Word

__all__ = ["Answer", "Gone", "Joined", "Post", "append", "chunks", "columns_of", "history", "join", "labels", "record"]

_IDS_PER_STATEMENT = 500

_KNOWN = (
    select(PREDICTIONS, VERSIONS.c.closed_us, CONTENTS.c.content)
    .join(VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no)
    .outerjoin(CONTENTS, CONTENTS.c.no == PREDICTIONS.c.no)
    .where(PREDICTIONS.c.id.in_(bindparam("ids", expanding=True)))
)
_HISTORY = (
    select(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(bindparam("ids", expanding=True))).order_by(FEEDBACK.c.no)
)
_LAST = select(FEEDBACK).where(
    FEEDBACK.c.no.in_(
        select(func.max(FEEDBACK.c.no))
        .where(FEEDBACK.c.prediction_id.in_(bindparam("ids", expanding=True)))
        .group_by(FEEDBACK.c.prediction_id)
    )
)
_SET_OUTCOME = update(FEEDBACK).where(FEEDBACK.c.no == bindparam("row")).values(outcome=bindparam("value"))
_SET_CURRENT = (
    update(PREDICTIONS)
    .where(PREDICTIONS.c.no == bindparam("row"))
    .values(
        outcome=bindparam("value"),
        feedback_us=bindparam("arrived"),
        feedback_count=PREDICTIONS.c.feedback_count + bindparam("more"),
    )
)


class Gone(NotFound):
    """The prediction was here and has been erased."""

    status = 410


@dataclass(frozen=True)
class Post:
    """A word about one prediction, as it came in."""

    prediction_id: str
    verb: Verb
    word: Word
    now_us: int


@dataclass(frozen=True)
class Answer:
    """What became of a post. `is_pending`: its record is still on its way, so there is no outcome yet."""

    prediction_id: str
    status: str
    is_pending: bool
    word: Word
    outcome: float | None
    arrived_us: int

    @property
    def http_status(self) -> int:
        """201 for a first word, 202 while the record is not here, else 200."""
        return 202 if self.is_pending else 201 if self.status == "created" else 200

    def as_json(self) -> dict[str, Any]:
        """The answer's body."""
        said = asdict(self.word) | {"arrived_us": self.arrived_us}
        head = {"id": self.prediction_id, "status": self.status, "pending": self.is_pending}
        return head | {"feedback": said, "outcome": self.outcome}


@dataclass(frozen=True)
class Joined:
    """What a record's columns say about its feedback."""

    outcome: float | None
    feedback_us: int | None
    feedback_count: int


@dataclass
class _Subject:
    """One prediction while posts about it are decided."""

    no: int | None = None
    is_erased: bool = False
    has_word: bool = False
    closed_us: int = 0
    content: bytes | None = None
    current: Word | None = None
    arrived_us: int = 0
    outcome: float | None = None
    appended: list[dict[str, Any]] = field(default_factory=list)

    def outcome_of(self, word: Word) -> float | None:
        if self.content is None:
            return None
        return outcomes.outcome(label=word.label, score=word.score, outputs=orjson.loads(self.content)["outputs"])


def record(connection: Connection, posts: list[Post]) -> list[Answer | TurnoutError]:
    """Decide and write posts in their order; one answer or error each."""
    subjects = _subjects(connection, {post.prediction_id for post in posts})
    answers: list[Answer | TurnoutError] = []
    for post in posts:
        try:
            answers.append(_take(post, subjects[post.prediction_id]))
        except TurnoutError as error:
            answers.append(error)
    _write(connection, subjects.values())
    return answers


def join(connection: Connection, arriving: dict[str, list[Any]]) -> dict[str, Joined]:
    """The feedback that came before its record: `arriving` maps the new ids to the outputs of their records."""
    joined: dict[str, Joined] = {}
    updates: list[dict[str, Any]] = []
    for row in _rows(connection, _HISTORY, arriving):
        outcome = _outcome_or_none(_word(row), arriving[row.prediction_id])
        updates.append({"row": row.no, "value": outcome})
        before = joined.get(row.prediction_id, Joined(None, None, 0))
        joined[row.prediction_id] = Joined(outcome, row.arrived_us, before.feedback_count + 1)
    if updates:
        connection.execute(_SET_OUTCOME, updates)
    return joined


def append(connection: Connection, said: dict[str, tuple[Row[Any], list[Any]]]) -> dict[str, Joined]:
    """First words of records that are about to be stored: `said` maps their ids to a row with the word and outputs."""
    rows = [
        columns_of(_word(row))
        | {"prediction_id": name, "arrived_us": row.arrived_us, "outcome": _outcome_or_none(_word(row), outputs)}
        for name, (row, outputs) in said.items()
    ]
    if rows:
        connection.execute(insert(FEEDBACK), rows)
    return {row["prediction_id"]: Joined(row["outcome"], row["arrived_us"], 1) for row in rows}


def history(connection: Connection, prediction_id: str) -> list[dict[str, Any]]:
    """All that was said about a prediction, the current word last."""
    return [
        asdict(_word(row)) | {"arrived_us": row.arrived_us, "outcome": row.outcome}
        for row in _rows(connection, _HISTORY, [prediction_id])
    ]


def labels(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """The current label of each of these predictions that has one."""
    return {
        row.prediction_id: orjson.loads(row.label) for row in _rows(connection, _LAST, ids) if row.label is not None
    }


def columns_of(word: Word) -> dict[str, Any]:
    """A word as the feedback tables hold it."""
    label = None if word.label is None else orjson.dumps(word.label).decode()
    return {"label": label, "score": word.score, "comment": word.comment, "by": word.by}


def chunks(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Ids in portions that fit one statement."""
    items = list(ids)
    for start in range(0, len(items), _IDS_PER_STATEMENT):
        yield items[start : start + _IDS_PER_STATEMENT]


def _subjects(connection: Connection, ids: set[str]) -> dict[str, _Subject]:
    subjects = {name: _Subject() for name in ids}
    for row in _rows(connection, _KNOWN, ids):
        subjects[row.id] = _Subject(
            no=row.no,
            is_erased=row.erased_us is not None,
            has_word=row.feedback_count > 0,
            closed_us=row.closed_us,
            content=row.content,
        )
    unsaid = {name for name, subject in subjects.items() if subject.no is not None and not subject.has_word}
    for row in _rows(connection, _LAST, ids - unsaid):
        subject = subjects[row.prediction_id]
        subject.current, subject.arrived_us, subject.outcome = _word(row), row.arrived_us, row.outcome
    return subjects


def _take(post: Post, subject: _Subject) -> Answer:
    if subject.is_erased:
        raise Gone(f"prediction {post.prediction_id} has been erased")
    status = "created" if subject.current is None else "corrected"
    word = words.decide(subject.current, verb=post.verb, word=post.word)
    if word is None:
        status = "unchanged"
    else:
        subject.outcome = subject.outcome_of(word)
        subject.current, subject.arrived_us = word, max(post.now_us, subject.closed_us + 1)
        columns = columns_of(word) | {"arrived_us": subject.arrived_us, "outcome": subject.outcome}
        subject.appended.append(columns | {"prediction_id": post.prediction_id})
    return Answer(
        prediction_id=post.prediction_id,
        status=status,
        is_pending=subject.no is None,
        word=subject.current or post.word,
        outcome=subject.outcome,
        arrived_us=subject.arrived_us,
    )


def _write(connection: Connection, subjects: Iterable[_Subject]) -> None:
    changed = [subject for subject in subjects if subject.appended]
    rows = [row for subject in changed for row in subject.appended]
    if rows:
        connection.execute(insert(FEEDBACK), rows)
    current = [
        {
            "row": subject.no,
            "value": subject.outcome,
            "arrived": subject.arrived_us,
            "more": len(subject.appended),
        }
        for subject in changed
        if subject.no is not None
    ]
    if current:
        connection.execute(_SET_CURRENT, current)


def _rows(connection: Connection, statement: Any, ids: Iterable[str]) -> Iterator[Any]:
    for portion in chunks(ids):
        yield from connection.execute(statement, {"ids": portion})


def _word(row: Any) -> Word:
    label = None if row.label is None else orjson.loads(row.label)
    return Word(label=label, score=row.score, comment=row.comment, by=row.by)


def _outcome_or_none(word: Word, outputs: list[Any]) -> float | None:
    """A label that turns out not to fit its record stays in the history and has no outcome."""
    try:
        return outcomes.outcome(label=word.label, score=word.score, outputs=outputs)
    except InputError:
        return None
