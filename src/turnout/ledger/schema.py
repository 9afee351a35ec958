"""The tables, in SQLAlchemy Core, the same on SQLite and PostgreSQL.

`predictions` is narrow and holds the anonymous tuple that decisions are made of; what a caller sent and got lies beside
it in `contents`, many records to a compressed chunk. Erasing a prediction takes its entry out of the chunk and its keys
out of the row, and leaves the tuple, so that decisions can be replayed. Times are microseconds since 1970.

What grows with traffic is partitioned by month on PostgreSQL (see `partitions`), so every such table has its time in
the primary key. Ids come in the order of time from our predictors, so that also at ten million rows new entries of an
index meet in its last pages.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "AUDIT",
    "AUDIT_HEAD",
    "CALLER_FEEDBACK",
    "CONTENTS",
    "ERASURES",
    "FEEDBACK",
    "FOREIGN_EVENTS",
    "GATEWAY_LOGS",
    "GATEWAY_REQUESTS",
    "GATEWAY_TAILS",
    "LOGS",
    "METADATA",
    "NUMBERS",
    "PENDING",
    "PINS",
    "PREDICTIONS",
    "STATES",
    "VERSIONS",
    "Standing",
]

METADATA = MetaData()

# SQLite numbers rows by itself only where the key is spelled INTEGER.
_Number = BigInteger().with_variant(Integer(), "sqlite")


class Standing(IntEnum):
    """Whether a record may be a unit of evidence; if not, why. Decided when it arrives and never again."""

    UNIT = 0
    SHADOW = 1  # a mirrored copy: it answered nobody
    UNSTAMPED = 2  # forced by a header, or sent past the gateway: not assigned at random
    BAD_STAMP = 3  # a stamp that the controller cannot have written
    FOREIGN_STAMP = 4  # stamped for another version, but not mirrored
    LATE = 5  # older than what had been declared complete when it arrived


# Numbers that rise by one for ever, also when the rows that had them are gone. Writers come one after the other, so a
# higher number is never committed before a lower one and a reader may go on behind the last one it saw.
NUMBERS = Table(
    "numbers",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

VERSIONS = Table(
    "versions",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("version", Text, nullable=False),
    # Evidence up to this time has been handed out: what arrives later with an earlier time cannot join it.
    Column("closed_us", BigInteger, nullable=False, server_default="0"),
    # Totals of all time, changed in the transactions that change the rows: counting ten million rows takes seconds.
    Column("predictions", BigInteger, nullable=False, server_default="0"),
    Column("shadow", BigInteger, nullable=False, server_default="0"),
    Column("late", BigInteger, nullable=False, server_default="0"),
    Column("labelled", BigInteger, nullable=False, server_default="0"),
    Column("scored", BigInteger, nullable=False, server_default="0"),
    Column("outcomes", Double, nullable=False, server_default="0"),
    UniqueConstraint("namespace", "endpoint", "version"),
)

LOGS = Table(
    "logs",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("version_no", ForeignKey(VERSIONS.c.no), nullable=False, index=True),
    Column("watermark_us", BigInteger, nullable=False),
    Column("final", Boolean, nullable=False),
    UniqueConstraint("namespace", "log"),
)

PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("time_us", BigInteger, primary_key=True, autoincrement=False),
    Column("version_no", Integer, nullable=False),
    Column("standing", SmallInteger, nullable=False),
    Column("place", SmallInteger, nullable=False),  # within its chunk
    Column("chunk_no", BigInteger, nullable=False),
    Column("rev", Text),
    Column("p", Double),
    # What a label is compared with, so that labelling need not open the chunk; null where it is not short.
    Column("predicted", Text),
    Column("caller_id", Text),
    Column("subject", Text),
    # The current feedback, repeated here so that a page of evidence needs no look into the history.
    Column("outcome", Double),
    Column("feedback_us", BigInteger),
    Column("feedback_count", Integer, nullable=False, server_default="0"),
    Column("erased_us", BigInteger),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (time_us)",
)
_HAS_FEEDBACK = PREDICTIONS.c.feedback_count > 0
_HAS_CALLER = PREDICTIONS.c.caller_id.is_not(None)
_HAS_SUBJECT = PREDICTIONS.c.subject.is_not(None)


def _in_order(name: str, condition: ColumnElement[bool] | None = None) -> None:
    """An index in the order (time, id) of a version.

    PostgreSQL sorts ids of the same microsecond itself, and without them an entry has half the size. SQLite has the
    primary key in every index anyhow, but must be told to order by it.
    """
    key = (PREDICTIONS.c.version_no, PREDICTIONS.c.time_us)
    Index(name, *key, PREDICTIONS.c.id, sqlite_where=condition).ddl_if(dialect="sqlite")
    Index(name, *key, postgresql_where=condition).ddl_if(dialect="postgresql")


_in_order("ix_predictions_evidence")
_in_order("ix_predictions_labelled", _HAS_FEEDBACK)
Index("ix_predictions_caller", PREDICTIONS.c.caller_id, sqlite_where=_HAS_CALLER, postgresql_where=_HAS_CALLER)
Index("ix_predictions_subject", PREDICTIONS.c.subject, sqlite_where=_HAS_SUBJECT, postgresql_where=_HAS_SUBJECT)

# Chunks of records of one month; `time_us` is the time of the first.
CONTENTS = Table(
    "contents",
    METADATA,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("time_us", BigInteger, primary_key=True, autoincrement=False, index=True),
    Column("content", LargeBinary, nullable=False),
    postgresql_partition_by="RANGE (time_us)",
)

# Append-only; `prediction_id` may name a record that is still on its way, `prediction_us` is then the time of arrival.
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("prediction_us", BigInteger, primary_key=True, autoincrement=False),
    Column("prediction_id", Text, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("label", Text),
    Column("score", Double),
    Column("outcome", Double),
    Column("comment", Text),
    Column("by", Text),
    Index("ix_feedback_prediction", "prediction_id", "no"),
    postgresql_partition_by="RANGE (prediction_us)",
)

# Predictions that are not here yet and have feedback, or were erased: looked at with every batch, so it must not be the
# history itself.
PENDING = Table(
    "pending",
    METADATA,
    Column("prediction_id", Text, primary_key=True),
    Column("arrived_us", BigInteger, nullable=False),
    Column("erased_us", BigInteger),
)

# What was said about a caller's id: it also holds for records made before it was said that arrive after it.
CALLER_FEEDBACK = Table(
    "caller_feedback",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("caller_id", Text, nullable=False, index=True),
    Column("arrived_us", BigInteger, nullable=False),
    Column("namespace", Text),
    Column("endpoint", Text),
    Column("label", Text),
    Column("score", Double),
    Column("comment", Text),
    Column("by", Text),
)

# Subjects that were erased, as a digest: their records that are still on their way arrive without content.
ERASURES = Table(
    "erasures",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("erased_us", BigInteger, nullable=False),
)

# Time ranges that retention must not drop, and why: set by whoever depends on them.
PINS = Table(
    "pins",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("version", Text),  # the pin holds as long as this version gets requests; null: until it is taken away
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

# Halves of predictions of other runtimes, request or response, until the other one comes.
FOREIGN_EVENTS = Table(
    "foreign_events",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("is_response", Boolean, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_foreign_events", "namespace", "service", "event_id", "is_response"),
)

GATEWAY_LOGS = Table(
    "gateway_logs",
    METADATA,
    Column("log", Text, primary_key=True),
    Column("watermark_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=False, server_default="0"),
    Column("final", Boolean, nullable=False),
)

GATEWAY_REQUESTS = Table(
    "gateway_requests",
    METADATA,
    Column("request_id", Text, primary_key=True),
    # When the answer had ended. A gateway writes its line then, not at the start, so this is what a watermark closes.
    Column("ended_us", BigInteger, primary_key=True, autoincrement=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("version", Text),
    Column("standing", SmallInteger, nullable=False),
    Column("rev", Text),
    Column("p", Double),
    Column("code", Integer, nullable=False),
    Column("prediction_id", Text),
    Column("host", Text),
    Column("flags", Text),
    Index("ix_gateway_evidence", "version", "ended_us", "request_id"),
    postgresql_partition_by="RANGE (ended_us)",
)
_FAILED = GATEWAY_REQUESTS.c.code >= 500
Index("ix_gateway_failed", GATEWAY_REQUESTS.c.rev, sqlite_where=_FAILED, postgresql_where=_FAILED)

# How far a gateway's log file has been read: written with the rows read, so that a crash neither loses nor doubles any.
GATEWAY_TAILS = Table(
    "gateway_tails",
    METADATA,
    Column("path", Text, primary_key=True),
    Column("inode", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("head_bytes", Integer, nullable=False),
    Column("head_digest", Text, nullable=False),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("time_us", BigInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("turnout", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("rev", Text, index=True),
    Column("data", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_audit_turnout", "namespace", "turnout", "action", "seq"),
)

# One row: the end of the chain. It shows that rows were cut off the end, and it is what writers of the chain lock.
AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
)

STATES = Table(
    "states",
    METADATA,
    Column("namespace", Text, primary_key=True),
    Column("turnout", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
