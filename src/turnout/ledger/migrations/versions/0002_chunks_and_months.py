"""Keep records in compressed chunks, time in every key, totals with the versions.

Only SQLite ledgers are older than this. The tables of this revision are written out here, not taken from `schema`,
which goes on to change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from alembic import op
from sqlalchemy import Connection, Row, text

from turnout.ledger import contents, rows

revision = "0002"
down_revision = "0001"

_RENAMED = ("predictions", "contents", "feedback", "gateway_requests")
_DROPPED_INDEXES = ("ix_predictions_evidence", "ix_contents_caller", "ix_feedback_prediction", "ix_gateway_evidence")
_TABLES = """
CREATE TABLE numbers (name TEXT NOT NULL, last BIGINT NOT NULL, PRIMARY KEY (name));
CREATE TABLE predictions (
  id TEXT NOT NULL, time_us BIGINT NOT NULL, version_no INTEGER NOT NULL, standing SMALLINT NOT NULL,
  place SMALLINT NOT NULL, chunk_no BIGINT NOT NULL, rev TEXT, p DOUBLE, predicted TEXT, caller_id TEXT, subject TEXT,
  outcome DOUBLE, feedback_us BIGINT, feedback_count INTEGER DEFAULT '0' NOT NULL, erased_us BIGINT,
  PRIMARY KEY (id, time_us)) WITHOUT ROWID;
CREATE INDEX ix_predictions_evidence ON predictions (version_no, time_us, id);
CREATE INDEX ix_predictions_labelled ON predictions (version_no, time_us, id) WHERE feedback_count > 0;
CREATE INDEX ix_predictions_caller ON predictions (caller_id) WHERE caller_id IS NOT NULL;
CREATE INDEX ix_predictions_subject ON predictions (subject) WHERE subject IS NOT NULL;
CREATE TABLE contents (no BIGINT NOT NULL, time_us BIGINT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (no, time_us));
CREATE INDEX ix_contents_time_us ON contents (time_us);
CREATE TABLE feedback (
  no BIGINT NOT NULL, prediction_us BIGINT NOT NULL, prediction_id TEXT NOT NULL, arrived_us BIGINT NOT NULL,
  label TEXT, score DOUBLE, outcome DOUBLE, comment TEXT, "by" TEXT, PRIMARY KEY (no, prediction_us));
CREATE INDEX ix_feedback_prediction ON feedback (prediction_id, no);
CREATE TABLE pending (prediction_id TEXT NOT NULL, arrived_us BIGINT NOT NULL, PRIMARY KEY (prediction_id));
CREATE TABLE erasures (digest TEXT NOT NULL, erased_us BIGINT NOT NULL, PRIMARY KEY (digest));
CREATE TABLE pins (
  name TEXT NOT NULL, namespace TEXT NOT NULL, endpoint TEXT NOT NULL, version TEXT, since_us BIGINT NOT NULL,
  until_us BIGINT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE foreign_events (
  no INTEGER NOT NULL, namespace TEXT NOT NULL, service TEXT NOT NULL, event_id TEXT NOT NULL,
  is_response BOOLEAN NOT NULL, time_us BIGINT NOT NULL, arrived_us BIGINT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (no));
CREATE INDEX ix_foreign_events ON foreign_events (namespace, service, event_id, is_response);
CREATE TABLE gateway_requests (
  request_id TEXT NOT NULL, ended_us BIGINT NOT NULL, duration_us BIGINT NOT NULL, version TEXT,
  standing SMALLINT NOT NULL, rev TEXT, p DOUBLE, code INTEGER NOT NULL, prediction_id TEXT, host TEXT, flags TEXT,
  PRIMARY KEY (request_id, ended_us));
CREATE INDEX ix_gateway_evidence ON gateway_requests (version, ended_us, request_id);
CREATE INDEX ix_gateway_failed ON gateway_requests (rev) WHERE code >= 500;
"""
_TOTALS = {
    "predictions": "count(CASE WHEN standing <> 1 THEN 1 END)",
    "shadow": "count(CASE WHEN standing = 1 THEN 1 END)",
    "late": "count(CASE WHEN standing = 5 THEN 1 END)",
    "labelled": "count(CASE WHEN standing <> 1 AND feedback_count > 0 THEN 1 END)",
    "scored": "count(CASE WHEN standing <> 1 THEN outcome END)",
    "outcomes": "coalesce(sum(CASE WHEN standing <> 1 THEN outcome END), 0)",
}
_GATEWAY = "request_id, ended_us, duration_us, version, standing, rev, p, code, prediction_id, host, flags"


def upgrade() -> None:
    """Move every row over; nothing is lost."""
    connection = op.get_bind()
    for index in _DROPPED_INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {index}")
    for table in _RENAMED:
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in _TABLES.strip().split(";\n"):
        connection.exec_driver_sql(statement.rstrip(";\n"))
    _move_predictions(connection)
    _move_feedback(connection)
    connection.exec_driver_sql(
        f"INSERT INTO gateway_requests ({_GATEWAY}) SELECT {_GATEWAY} FROM old_gateway_requests"  # noqa: S608  constants
    )
    _add_totals(connection)
    for table in ("contents", "predictions", "feedback", "gateway_requests"):
        connection.exec_driver_sql(f"DROP TABLE old_{table}")
    connection.exec_driver_sql("DROP TABLE schema_version")


def _move_predictions(connection: Connection) -> None:
    chunk_no = 0
    for page in _pages(connection):
        chunk_no += 1
        records = [_record(row) for row in page]
        connection.execute(
            text("INSERT INTO contents (no, time_us, content) VALUES (:no, :time_us, :content)"),
            {"no": chunk_no, "time_us": page[0].time_us, "content": contents.encode(records)},
        )
        connection.execute(
            text(
                "INSERT INTO predictions (id, time_us, version_no, standing, place, chunk_no, rev, p, predicted,"
                " caller_id, subject, outcome, feedback_us, feedback_count, erased_us)"
                " VALUES (:id, :time_us, :version_no,"
                " :standing, :place, :chunk_no, :rev, :p, :predicted, :caller_id, :subject, :outcome, :feedback_us,"
                " :feedback_count, :erased_us)"
            ),
            [
                {name: row._mapping[name] for name in _KEPT}
                | {
                    "place": place,
                    "chunk_no": chunk_no,
                    "subject": row._mapping.get("subject"),
                    "predicted": rows.predicted(record) if record else None,
                }
                for place, (row, record) in enumerate(zip(page, records, strict=True))
            ],
        )
    connection.execute(text("INSERT INTO numbers VALUES ('contents', :last)"), {"last": chunk_no})


_KEPT: tuple[str, ...] = ("id", "time_us", "version_no", "standing", "rev", "p", "caller_id", "outcome", "feedback_us")
_KEPT += ("feedback_count", "erased_us")


def _pages(connection: Connection) -> Iterator[Sequence[Row[Any]]]:
    """Old records with their contents, in portions of a chunk."""
    after = 0
    while True:
        page = connection.execute(
            text(
                "SELECT p.*, c.request_id, c.caller_id, c.content FROM old_predictions p"
                " LEFT JOIN old_contents c ON c.no = p.no WHERE p.no > :after ORDER BY p.no LIMIT :size"
            ),
            {"after": after, "size": contents.CHUNK},
        ).all()
        if not page:
            return
        yield page
        after = page[-1].no


def _record(row: Row[Any]) -> contents.Content | None:
    if row.content is None:
        return None
    keys = {"request_id": row.request_id, "caller_id": row.caller_id, "subject": row._mapping.get("subject")}
    content: contents.Content = orjson.loads(row.content)
    return content | keys


def _move_feedback(connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO feedback SELECT f.no, coalesce(p.time_us, f.arrived_us), f.prediction_id, f.arrived_us, f.label,"
        ' f.score, f.outcome, f.comment, f."by" FROM old_feedback f LEFT JOIN predictions p ON p.id = f.prediction_id'
    )
    connection.exec_driver_sql("INSERT INTO numbers SELECT 'feedback', coalesce(max(no), 0) FROM feedback")
    connection.exec_driver_sql(
        "INSERT INTO pending SELECT f.prediction_id, max(f.arrived_us) FROM feedback f"
        " WHERE NOT EXISTS (SELECT 1 FROM predictions p WHERE p.id = f.prediction_id) GROUP BY f.prediction_id"
    )


def _add_totals(connection: Connection) -> None:
    for name, value in _TOTALS.items():
        kind = "DOUBLE" if name == "outcomes" else "BIGINT"
        connection.exec_driver_sql(f"ALTER TABLE versions ADD COLUMN {name} {kind} DEFAULT '0' NOT NULL")
        connection.exec_driver_sql(
            f"UPDATE versions SET {name} = (SELECT {value} FROM predictions WHERE version_no = versions.no)"  # noqa: S608  constants
        )
