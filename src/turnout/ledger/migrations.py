"""Brings a database to this code's schema, forward only, all or nothing.

Each entry of MIGRATIONS takes the schema one version up. An entry, once released, is never edited: a change of the
tables is a new entry.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, inspect, select

from turnout.errors import Failed
from turnout.ledger import schema

__all__ = ["MIGRATIONS", "migrate"]

GENESIS = "0" * 64  # what the first audit row chains to


def migrate(connection: Connection) -> None:
    """Apply what is missing.

    Raises:
        Failed: the database was written by a newer Turnout.
    """
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise Failed(
            f"the ledger's database has schema {version}, this Turnout knows {len(MIGRATIONS)}: it is too old for it"
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    connection.execute(delete(schema.SCHEMA_VERSION))
    connection.execute(insert(schema.SCHEMA_VERSION).values(version=len(MIGRATIONS)))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema.SCHEMA_VERSION.name):
        return 0
    return int(connection.execute(select(schema.SCHEMA_VERSION.c.version)).scalar_one())


def _create(connection: Connection) -> None:
    schema.METADATA.create_all(connection)
    connection.execute(insert(schema.AUDIT_HEAD).values(no=0, seq=0, digest=GENESIS))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_create,)
