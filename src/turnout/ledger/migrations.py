"""Brings a database to this code's schema, forward only, all or nothing.

A new database gets today's tables at once; an older one is taken up step by step. A step, once released, is never
edited: a change of the tables is a change of `schema` and a new step.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, inspect, select, text

from turnout.errors import Failed
from turnout.ledger import schema

__all__ = ["GENESIS", "STEPS", "migrate", "newest"]

GENESIS = "0" * 64  # what the first audit row chains to


def _subjects(connection: Connection) -> None:
    """Predictions know their sticky user."""
    connection.execute(text("ALTER TABLE predictions ADD COLUMN subject TEXT"))


STEPS: tuple[Callable[[Connection], None], ...] = (_subjects,)  # the first takes schema 1 to schema 2


def newest() -> int:
    """The schema that this code works with."""
    return 1 + len(STEPS)


def migrate(connection: Connection) -> None:
    """Apply what is missing.

    Raises:
        Failed: the database was written by a newer Turnout.
    """
    if not inspect(connection).has_table(schema.SCHEMA_VERSION.name):
        schema.METADATA.create_all(connection)
        connection.execute(insert(schema.AUDIT_HEAD).values(no=0, seq=0, digest=GENESIS))
        connection.execute(insert(schema.SCHEMA_VERSION).values(version=newest()))
        return
    version = int(connection.execute(select(schema.SCHEMA_VERSION.c.version)).scalar_one())
    if version > newest():
        raise Failed(f"the ledger's database has schema {version}, this Turnout knows {newest()}: it is too old for it")
    for step in STEPS[version - 1 :]:
        step(connection)
    connection.execute(delete(schema.SCHEMA_VERSION))
    connection.execute(insert(schema.SCHEMA_VERSION).values(version=newest()))
