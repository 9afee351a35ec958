"""Erasure of one prediction or of all of a subject: content and keys go, the anonymous tuple stays.

What goes: the entry in the chunk, caller's id, subject and predicted value in the row, labels and remarks in the
history of feedback, statements about a caller's id that nothing else carries. What stays: id, time, version, rev, p and
outcome, so that decisions can be replayed, and a tombstone in the audit.

Records may still be in a predictor's log. They are known by their id, or by the digest of their subject, salted with a
random value of this ledger, and arrive without content; the predictor deletes its segment when it is acknowledged.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, insert, select, update

from turnout.errors import InputError, NotFound
from turnout.ledger import audit, bulk, contents, feedback, rows
from turnout.ledger.feedback import Gone
from turnout.ledger.records import Record, is_id
from turnout.ledger.schema import CALLER_FEEDBACK, ERASURES, FEEDBACK, NUMBERS, PENDING, PREDICTIONS, VERSIONS

__all__ = ["concerning", "erase", "erase_subject"]

_SLICE = 1_000
_SALT = "salt"  # a random number, kept among the series
_FOUND = select(PREDICTIONS, VERSIONS.c.namespace, VERSIONS.c.endpoint, VERSIONS.c.version).join(
    VERSIONS, VERSIONS.c.no == PREDICTIONS.c.version_no
)
_KEPT = PREDICTIONS.c.erased_us.is_(None)


def erase(connection: Connection, prediction_id: str, *, now_us: int) -> bool:
    """Erase one prediction; False when it is not here: if it is still on its way, it will arrive erased.

    The id stays with the tuple: it is our own random number, evidence is ordered by it, and it keeps a log segment that
    is sent again from bringing the record back.

    Raises:
        NotFound: no prediction can have this id, or (Gone) it has been erased.
    """
    if not is_id(prediction_id):
        raise NotFound(f"there is no prediction {prediction_id}")
    row = connection.execute(_FOUND.where(PREDICTIONS.c.id == prediction_id)).one_or_none()
    if row is None:
        _await(connection, prediction_id, now_us=now_us)
        return False
    if row.erased_us is not None:
        raise Gone(f"prediction {prediction_id} has been erased")
    _take_out(connection, [row], now_us=now_us)
    data = {"id": prediction_id, "version": row.version, "time_us": row.time_us}
    tombstone = audit.Entry(action="erase", actor="ledger", data=data)
    audit.append(connection, [tombstone], namespace=row.namespace, turnout=row.endpoint, now_us=now_us)
    return True


def erase_subject(connection: Connection, subject: str, *, now_us: int) -> dict[str, Any]:
    """Erase the next slice of a subject's predictions: `{"erased": n, "more": whether there are others}`.

    The subject may be given as its records carry it, or as the value that our predictors make a digest of. It is
    remembered as a salted digest, so that records on their way arrive erased.

    Raises:
        InputError: the subject is empty.
    """
    wanted = rows.key(subject)
    if wanted is None:
        raise InputError("subject: wanted the value that its records carry")
    carried = (wanted, blake2b(subject.encode(), digest_size=8).hexdigest())  # as turnout.predictor.subjects does
    for value in carried:
        _remember(connection, value, now_us=now_us)
    found = connection.execute(_FOUND.where(PREDICTIONS.c.subject.in_(carried), _KEPT).limit(_SLICE)).all()
    _take_out(connection, found, now_us=now_us)
    by_endpoint: dict[tuple[str, str], int] = {}
    for row in found:
        by_endpoint[row.namespace, row.endpoint] = by_endpoint.get((row.namespace, row.endpoint), 0) + 1
    for (namespace, endpoint), count in by_endpoint.items():
        tombstone = audit.Entry(action="erase", actor="ledger", data={"predictions": count, "by": "subject"})
        audit.append(connection, [tombstone], namespace=namespace, turnout=endpoint, now_us=now_us)
    return {"erased": len(found), "more": len(found) == _SLICE}


def concerning(connection: Connection, arriving: Iterable[Record], awaited: Mapping[str, int | None]) -> dict[str, int]:
    """When arriving records were erased, by id; what was said about them before goes, as it does with those here."""
    found = {name: erased_us for name, erased_us in awaited.items() if erased_us is not None}
    found |= _of_subjects(connection, [record for record in arriving if record.get("subject")])
    _forget_words(connection, found)
    return found


def _of_subjects(connection: Connection, with_subject: Sequence[Record]) -> dict[str, int]:
    """When the subjects of these records were erased; records made later are another matter."""
    salt = _salt(connection) if with_subject else None
    if salt is None:
        return {}
    digests = {record["id"]: _digest(salt, rows.key(record["subject"]) or "") for record in with_subject}
    times = dict(map(tuple, bulk.among(connection, ERASURES.c.digest, set(digests.values()), ERASURES.c.erased_us)))
    return {
        record["id"]: erased_us
        for record in with_subject
        if (erased_us := times.get(digests[record["id"]])) is not None and record["time_us"] <= erased_us
    }


def _take_out(connection: Connection, found: Sequence[Any], *, now_us: int) -> None:
    contents.erase(connection, [(row.chunk_no, row.place) for row in found])
    for row in found:
        connection.execute(
            update(PREDICTIONS)
            .where(and_(PREDICTIONS.c.id == row.id, PREDICTIONS.c.time_us == row.time_us))
            .values(erased_us=now_us, caller_id=None, subject=None, predicted=None)
        )
    _forget_words(connection, [row.id for row in found])
    for caller_id in {row.caller_id for row in found if row.caller_id is not None}:
        others = exists().where(PREDICTIONS.c.caller_id == caller_id)
        connection.execute(delete(CALLER_FEEDBACK).where(CALLER_FEEDBACK.c.caller_id == caller_id, ~others))


def _forget_words(connection: Connection, ids: Iterable[str]) -> None:
    for portion in feedback.chunks(ids):
        connection.execute(
            update(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(portion)).values(label=None, comment=None, by=None)
        )


def _await(connection: Connection, prediction_id: str, *, now_us: int) -> None:
    """Remember an erasure until its record comes, and what was said about it no longer."""
    awaited = update(PENDING).where(PENDING.c.prediction_id == prediction_id).values(erased_us=now_us)
    if connection.execute(awaited).rowcount == 0:
        row = {"prediction_id": prediction_id, "arrived_us": now_us, "erased_us": now_us}
        connection.execute(insert(PENDING).values(**row))
    _forget_words(connection, [prediction_id])
    tombstone = audit.Entry(action="erase", actor="ledger", data={"id": prediction_id, "pending": True})
    audit.append(connection, [tombstone], namespace="", turnout="", now_us=now_us)


def _remember(connection: Connection, subject: str, *, now_us: int) -> None:
    salt = _salt(connection)
    if salt is None:
        salt = secrets.randbits(62)
        connection.execute(insert(NUMBERS).values(name=_SALT, last=salt))
    digest = _digest(salt, subject)
    if connection.execute(update(ERASURES).where(ERASURES.c.digest == digest).values(erased_us=now_us)).rowcount == 0:
        connection.execute(insert(ERASURES).values(digest=digest, erased_us=now_us))


def _salt(connection: Connection) -> int | None:
    return connection.execute(select(NUMBERS.c.last).where(NUMBERS.c.name == _SALT)).scalar_one_or_none()


def _digest(salt: int, subject: str) -> str:
    return hashlib.sha256(f"{salt}:{subject}".encode()).hexdigest()
