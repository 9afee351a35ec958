"""A ledger of ten million predictions out of one that took a tenth of a million: its rows again, later and later.

Ids keep their random part and get the time of their copy, so that they come in the order of time, as predictors make
them. Copying in the database takes minutes where ten million posts would take an hour; figures about taking records
in are measured afterwards, by posting some.
"""

from __future__ import annotations

from sqlalchemy import Connection, text, update

from turnout.ledger import databases, partitions
from turnout.ledger.schema import VERSIONS

__all__ = ["SPAN_US", "grow"]

SPAN_US = 21 * 3_600_000_000  # each copy is so much later: a hundred of them last for three months

_ID = {
    "sqlite": "printf('%012x', ({time} + :late) / 1000) || substr({id}, 13)",
    "postgresql": "lpad(to_hex(({time} + :late) / 1000), 12, '0') || substr({id}, 13)",
}
_PREDICTIONS = """
INSERT INTO predictions SELECT {new_id}, time_us + :late, version_no, standing, place, chunk_no + :chunks, rev, p,
  predicted, caller_id, subject, outcome, feedback_us + :late, feedback_count, erased_us
FROM predictions WHERE time_us <= :until ORDER BY id
"""
_CONTENTS = """
INSERT INTO contents SELECT no + :chunks, time_us + :late, content FROM contents WHERE time_us <= :until ORDER BY no
"""
_FEEDBACK = """
INSERT INTO feedback SELECT no + :words, prediction_us + :late, {new_id}, arrived_us + :late, label, score, outcome,
  comment, "by" FROM feedback WHERE prediction_us <= :until ORDER BY no
"""


def grow(database: str, *, copies: int) -> None:
    """Add so many copies of all that is there."""
    url = databases.address(database)
    engine = databases.writer(url)
    kind = url.get_backend_name()
    with engine.begin() as connection:
        until_us = connection.execute(text("SELECT max(time_us) FROM predictions")).scalar_one()
        numbers = dict(map(tuple, connection.execute(text("SELECT name, last FROM numbers")).all()))
        last_us = until_us + copies * SPAN_US
        partitions.ensure(connection, range(until_us, last_us + 1, SPAN_US), now_us=last_us)
    for copy in range(1, copies + 1):
        given = {
            "late": copy * SPAN_US,
            "until": until_us,
            "chunks": copy * numbers["contents"],
            "words": copy * numbers.get("feedback", 0),
        }
        with engine.begin() as connection:
            _copy(connection, _ID[kind], given)
    with engine.begin() as connection:
        _settle(connection, copies + 1)
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum does it in the course of three months
    engine.dispose()


def _copy(connection: Connection, new_id: str, given: dict[str, int]) -> None:
    for statement, names in (
        (_PREDICTIONS.format(new_id=new_id.format(time="time_us", id="id")), ("late", "until", "chunks")),
        (_CONTENTS, ("late", "until", "chunks")),
        (_FEEDBACK.format(new_id=new_id.format(time="prediction_us", id="prediction_id")), ("late", "until", "words")),
    ):
        connection.execute(text(statement), {name: given[name] for name in names})


def _settle(connection: Connection, times: int) -> None:
    connection.execute(text("UPDATE numbers SET last = last * :times"), {"times": times})
    for name in ("predictions", "labelled", "scored", "outcomes"):
        connection.execute(update(VERSIONS).values({name: VERSIONS.c[name] * times}))
