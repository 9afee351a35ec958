"""Months. PostgreSQL keeps each month of what grows with traffic in tables of its own, so that dropping one is instant.

A month's tables are made when its first record comes. Only times of about the present get a month: what a wild clock
says (a year from now, or 1970) goes to a table for the rest, so that nobody can make the ledger open ten thousand
tables. SQLite has one table for all, out of which a month is deleted in slices, so that writers never wait long.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, text

from turnout.ledger.databases import is_postgresql
from turnout.ledger.schema import METADATA

__all__ = ["PARTITIONED", "drop", "ensure", "first_us", "make_rest", "month_of", "names"]

_DAY_US = 86_400_000_000
_BEFORE_US, _AHEAD_US = 3_660 * _DAY_US, 62 * _DAY_US
_LAST_S = 253_402_300_799  # the end of the year 9999, where calendars end
PARTITIONED = tuple(
    table for table in METADATA.sorted_tables if table.dialect_options["postgresql"]["partition_by"] is not None
)


def month_of(time_us: int) -> str:
    """The month of a time, as `2026-11`.

    >>> month_of(1_763_719_200_000_000)
    '2025-11'
    """
    return datetime.fromtimestamp(min(time_us // 1_000_000, _LAST_S), UTC).strftime("%Y-%m")


def first_us(month: str, *, later: int = 0) -> int:
    """The first microsecond of a month, or of the one so many months later.

    >>> month_of(first_us("2025-12", later=1))
    '2026-01'
    """
    year, number = int(month[:4]), int(month[5:]) - 1 + later
    return int(datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def ensure(connection: Connection, times_us: Iterable[int], *, now_us: int) -> None:
    """Make the tables of the months of these times, as far as they lie about the present."""
    if not is_postgresql(connection):
        return
    near = [time_us for time_us in times_us if now_us - _BEFORE_US <= time_us <= now_us + _AHEAD_US]
    if not near:
        return
    month, last = month_of(min(near)), month_of(max(near))
    while month <= last:
        if not _exists(connection, _name(PARTITIONED[-1], month)):
            for table in PARTITIONED:
                _make(connection, table, month)
        month = month_of(first_us(month, later=1))


def names(connection: Connection, table: Table) -> list[str]:
    """The months that have a table of their own, the oldest first."""
    found = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(:name) ORDER BY c.relname"
        ),
        {"name": table.name},
    )
    suffixes = (name.removeprefix(f"{table.name}_") for name in found.scalars())
    return [f"{suffix[:4]}-{suffix[4:]}" for suffix in suffixes if suffix.isdecimal()]


def make_rest(connection: Connection) -> None:
    """The table for times out of all months."""
    for table in PARTITIONED:
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {table.name}_rest PARTITION OF {table.name} DEFAULT")


def drop(connection: Connection, month: str) -> None:
    """Drop a month's tables: instant, whatever they hold."""
    for table in PARTITIONED:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_name(table, month)}")


def _make(connection: Connection, table: Table, month: str) -> None:
    """Rows of the month that came while it was out of range move in from the rest: their month has come."""
    name, column = _name(table, month), _key(table)
    since, until = first_us(month), first_us(month, later=1)
    span = f"{column} >= {since} AND {column} < {until}"
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS)")
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {table.name}_rest WHERE {span} RETURNING *) INSERT INTO {name} SELECT * FROM moved"  # noqa: S608  names of ours and integers
    )
    connection.exec_driver_sql(
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until})"
    )


def _exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is not None


def _key(table: Table) -> str:
    """The column that a table is partitioned by."""
    return str(table.dialect_options["postgresql"]["partition_by"]).removeprefix("RANGE (").removesuffix(")")


def _name(table: Table, month: str) -> str:
    return f"{table.name}_{month.replace('-', '')}"
