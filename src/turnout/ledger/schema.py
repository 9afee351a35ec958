"""The tables, in SQLAlchemy Core and nothing that only one database knows.

What is read often is narrow: `predictions` holds the anonymous tuple that decisions are made of, `contents` what a
caller sent and got. Erasing a prediction deletes its row of `contents` and leaves the tuple, so that decisions can be
replayed. Times are microseconds since 1970.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
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
    "FEEDBACK",
    "GATEWAY_LOGS",
    "GATEWAY_REQUESTS",
    "GATEWAY_TAILS",
    "LOGS",
    "METADATA",
    "PREDICTIONS",
    "SCHEMA_VERSION",
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


SCHEMA_VERSION = Table("schema_version", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

VERSIONS = Table(
    "versions",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("version", Text, nullable=False),
    # Evidence up to this time has been handed out: what arrives later with an earlier time cannot join it.
    Column("closed_us", BigInteger, nullable=False, default=0),
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
    Column("no", _Number, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("time_us", BigInteger, nullable=False),
    Column("version_no", ForeignKey(VERSIONS.c.no), nullable=False),
    Column("standing", SmallInteger, nullable=False),
    Column("rev", Text),
    Column("p", Double),
    Column("subject", Text),  # digest of the sticky user; goes when the prediction is erased
    # The current feedback, repeated here so that a page of evidence needs no look into the history.
    Column("outcome", Double),
    Column("feedback_us", BigInteger),
    Column("feedback_count", Integer, nullable=False, default=0),
    Column("erased_us", BigInteger),
    Index("ix_predictions_evidence", "version_no", "time_us", "id"),
)

CONTENTS = Table(
    "contents",
    METADATA,
    Column("no", ForeignKey(PREDICTIONS.c.no), primary_key=True, autoincrement=False),
    Column("request_id", Text),
    Column("caller_id", Text),
    Column("content", LargeBinary, nullable=False),
)
Index(
    "ix_contents_caller",
    CONTENTS.c.caller_id,
    sqlite_where=CONTENTS.c.caller_id.is_not(None),
    postgresql_where=CONTENTS.c.caller_id.is_not(None),
)

# Append-only; `prediction_id` may name a record that is still on its way.
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("prediction_id", Text, nullable=False),
    Column("arrived_us", BigInteger, nullable=False),
    Column("label", Text),
    Column("score", Double),
    Column("outcome", Double),
    Column("comment", Text),
    Column("by", Text),
    Index("ix_feedback_prediction", "prediction_id", "no"),
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

GATEWAY_LOGS = Table(
    "gateway_logs",
    METADATA,
    Column("log", Text, primary_key=True),
    Column("watermark_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=False, default=0),
    Column("final", Boolean, nullable=False),
)

GATEWAY_REQUESTS = Table(
    "gateway_requests",
    METADATA,
    Column("no", _Number, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    # When the answer had ended. A gateway writes its line then, not at the start, so this is what a watermark closes.
    Column("ended_us", BigInteger, nullable=False),
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
)

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
