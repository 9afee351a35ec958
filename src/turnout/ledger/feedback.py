"""Feedback in the database: an append-only history per prediction, whose last word is the current one.

Single posts are the common case, so all that wait together are decided together: their records and current words are
read once, each is decided by a pure function, then everything is written at once. Feedback for an id that is not known
yet is kept; `join` gives it to the record when that arrives.

Arrival time is the ledger's clock, but never at or before what evidence has already closed for that version: units that
were handed out stay as they were, also when the clock is set back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Row, bindparam, delete, select, update

from turnout.errors import InputError, NotFound, TurnoutError
from turnout.ledger import bulk, contents, outcomes, partitions, rows, totals, words
from turnout.ledger.schema import FEEDBACK, PENDING, PREDICTIONS, VERSIONS, Standing
from turnout.ledger.totals import Change
from turnout.ledger.words import Verb, Word

__all__ = [
    "Answer",
    "Gone",
    "Joined",
    "Post",
    "append",
    "awaited",
    "chunks",
    "columns_of",
    "history",
    "join",
    "labels",
    "record",
]

_IDS_PER_STATEMENT = 500

_KNOWN = [PREDICTIONS.c[name] for name in ("time_us", "version_no", "standing", "predicted", "chunk_no", "place")]
_KNOWN += [PREDICTIONS.c[name] for name in ("erased_us", "feedback_count")]
_SAID = [column for column in FEEDBACK.c if column.name != "prediction_id"]
_SET_OUTCOME = (
    update(FEEDBACK)
    .where(FEEDBACK.c.no == bindparam("row"), FEEDBACK.c.prediction_us == bindparam("of"))
    .values(outcome=bindparam("value"))
)
_SET_CURRENT = (
    update(PREDICTIONS)
    .where(PREDICTIONS.c.id == bindparam("name"), PREDICTIONS.c.time_us == bindparam("of"))
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


class Joined(NamedTuple):
    """What a record's columns say about its feedback."""

    outcome: float | None
    feedback_us: int | None
    feedback_count: int


@dataclass
class _Subject:
    """One prediction while posts about it are decided; `row` is None while it is not here."""

    row: Row[Any] | None = None
    closed_us: int = 0
    outputs: list[Any] | None = None
    current: Word | None = None
    arrived_us: int = 0
    outcome: float | None = None
    outcome_before: float | None = None
    appended: list[dict[str, Any]] = field(default_factory=list)

    def outcome_of(self, word: Word) -> float | None:
        if self.outputs is None:
            return None
        return outcomes.outcome(label=word.label, score=word.score, outputs=self.outputs)


def record(connection: Connection, posts: list[Post]) -> list[Answer | TurnoutError]:
    """Decide and write posts in their order; one answer or error each."""
    subjects = _subjects(connection, {post.prediction_id for post in posts})
    answers: list[Answer | TurnoutError] = []
    for post in posts:
        try:
            answers.append(_take(post, subjects[post.prediction_id]))
        except TurnoutError as error:
            answers.append(error)
    _write(connection, {name: subject for name, subject in subjects.items() if subject.appended})
    return answers


def awaited(connection: Connection, arriving: Iterable[str]) -> dict[str, int | None]:
    """Which of these records something was said about before they came, and when they were erased, if they were."""
    return dict(map(tuple, bulk.among(connection, PENDING.c.prediction_id, arriving, PENDING.c.erased_us)))


def join(
    connection: Connection, arriving: Mapping[str, Mapping[str, Any]], waiting: Iterable[str]
) -> dict[str, Joined]:
    """The feedback that came before those of the arriving records that were waited for, by their ids."""
    joined: dict[str, Joined] = {}
    updates: list[dict[str, Any]] = []
    for row in _said(connection, waiting) if waiting else ():
        outcome = _outcome_or_none(_word(row), arriving[row.prediction_id]["outputs"])
        updates.append({"row": row.no, "of": row.prediction_us, "value": outcome})
        before = joined.get(row.prediction_id, Joined(None, None, 0))
        joined[row.prediction_id] = Joined(outcome, row.arrived_us, before.feedback_count + 1)
    if updates:
        connection.execute(_SET_OUTCOME, updates)
    for ids in chunks(waiting):
        connection.execute(delete(PENDING).where(PENDING.c.prediction_id.in_(ids)))
    return joined


def append(connection: Connection, said: Mapping[str, tuple[Row[Any], Mapping[str, Any]]]) -> dict[str, Joined]:
    """First words of records that are about to be stored: `said` maps their ids to a row with the word, and to them."""
    appended = [
        columns_of(_word(row))
        | {"prediction_id": name, "prediction_us": record["time_us"], "arrived_us": row.arrived_us}
        | {"outcome": _outcome_or_none(_word(row), record["outputs"])}
        for name, (row, record) in said.items()
    ]
    _append(connection, appended)
    return {row["prediction_id"]: Joined(row["outcome"], row["arrived_us"], 1) for row in appended}


def history(connection: Connection, prediction_id: str) -> list[dict[str, Any]]:
    """All that was said about a prediction, the current word last."""
    return [
        asdict(_word(row)) | {"arrived_us": row.arrived_us, "outcome": row.outcome}
        for row in _said(connection, [prediction_id])
    ]


def labels(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """The current label of each of these predictions that has one."""
    last = {row.prediction_id: row.label for row in _said(connection, ids)}
    return {name: orjson.loads(label) for name, label in last.items() if label is not None}


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
    found = bulk.among(connection, PREDICTIONS.c.id, ids, *_KNOWN)
    closed = _closed(connection, {row.version_no for row in found})
    long = {(row.chunk_no, row.place) for row in found if row.predicted is None and row.erased_us is None}
    looked_up = contents.read(connection, long)
    for row in found:
        outputs = None
        if row.predicted is not None:
            outputs = rows.outputs_of(row.predicted)
        elif content := looked_up.get((row.chunk_no, row.place)):
            outputs = content["outputs"]
        subjects[row.id] = _Subject(row=row, closed_us=closed[row.version_no], outputs=outputs)
    unsaid = {row.id for row in found if row.feedback_count == 0}
    for row in _said(connection, ids - unsaid):
        subject = subjects[row.prediction_id]
        subject.current, subject.arrived_us, subject.outcome = _word(row), row.arrived_us, row.outcome
        subject.outcome_before = row.outcome
    return subjects


def _closed(connection: Connection, version_nos: set[int]) -> dict[int, int]:
    closed = select(VERSIONS.c.no, VERSIONS.c.closed_us).where(VERSIONS.c.no.in_(version_nos))
    return {row.no: row.closed_us for row in connection.execute(closed)} if version_nos else {}


def _take(post: Post, subject: _Subject) -> Answer:
    if subject.row is not None and subject.row.erased_us is not None:
        raise Gone(f"prediction {post.prediction_id} has been erased")
    status = "created" if subject.current is None else "corrected"
    word = words.decide(subject.current, verb=post.verb, word=post.word)
    if word is None:
        status = "unchanged"
    else:
        subject.outcome = subject.outcome_of(word)
        subject.current, subject.arrived_us = word, max(post.now_us, subject.closed_us + 1)
        columns = columns_of(word) | {"arrived_us": subject.arrived_us, "outcome": subject.outcome}
        of = {"prediction_us": post.now_us if subject.row is None else subject.row.time_us}
        subject.appended.append(columns | of | {"prediction_id": post.prediction_id})
    return Answer(
        prediction_id=post.prediction_id,
        status=status,
        is_pending=subject.row is None,
        word=subject.current or post.word,
        outcome=subject.outcome,
        arrived_us=subject.arrived_us,
    )


def _write(connection: Connection, changed: dict[str, _Subject]) -> None:
    _append(connection, [row for subject in changed.values() for row in subject.appended])
    here = [(name, subject, subject.row) for name, subject in changed.items() if subject.row is not None]
    current = [
        {
            "name": name,
            "of": row.time_us,
            "value": subject.outcome,
            "arrived": subject.arrived_us,
            "more": len(subject.appended),
        }
        for name, subject, row in here
    ]
    if current:
        connection.execute(_SET_CURRENT, current)
    changes: dict[int, Change] = {}
    for _, subject, row in here:
        if row.standing != Standing.SHADOW:
            change = totals.of_feedback(
                is_first=row.feedback_count == 0, before=subject.outcome_before, after=subject.outcome
            )
            changes[row.version_no] = changes.get(row.version_no, Change()) + change
    totals.add(connection, changes)
    _wait_for(connection, {name: subject.arrived_us for name, subject in changed.items() if subject.row is None})


def _append(connection: Connection, appended: list[dict[str, Any]]) -> None:
    if not appended:
        return
    partitions.ensure(
        connection,
        [row["prediction_us"] for row in appended],
        now_us=max(row["arrived_us"] for row in appended),
    )
    numbers = bulk.numbers(connection, "feedback", len(appended))
    names = [column.name for column in FEEDBACK.c]
    bulk.add(
        connection,
        FEEDBACK,
        [tuple((row | {"no": no})[name] for name in names) for no, row in zip(numbers, appended, strict=True)],
    )


def _wait_for(connection: Connection, arrived: dict[str, int]) -> None:
    """Remember that these predictions have feedback, for when they come."""
    known = {row.prediction_id for row in bulk.among(connection, PENDING.c.prediction_id, arrived)}
    bulk.add(connection, PENDING, [(name, at, None) for name, at in arrived.items() if name not in known])


def _said(connection: Connection, ids: Iterable[str]) -> list[Any]:
    """All that was said about these predictions, in the order in which it was said."""
    return sorted(bulk.among(connection, FEEDBACK.c.prediction_id, ids, *_SAID), key=lambda row: row.no)


def _word(row: Any) -> Word:
    label = None if row.label is None else orjson.loads(row.label)
    return Word(label=label, score=row.score, comment=row.comment, by=row.by)


def _outcome_or_none(word: Word, outputs: list[Any]) -> float | None:
    """A label that turns out not to fit its record stays in the history and has no outcome."""
    try:
        return outcomes.outcome(label=word.label, score=word.score, outputs=outputs)
    except InputError:
        return None
