"""Brings a database to this code's schema, forward only, all or nothing: Alembic, run where the ledger starts.

A new database gets today's tables at once; an older one is taken up revision by revision. A revision, once released, is
never edited: a change of the tables is a change of `schema` and a new file in `versions/`. A test holds that both ways
end in the same tables.
"""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, insert, inspect, text

from turnout.errors import Failed
from turnout.ledger import partitions, schema
from turnout.ledger.databases import is_postgresql

__all__ = ["GENESIS", "migrate", "newest"]

GENESIS = "0" * 64  # what the first audit row chains to
_BEFORE_ALEMBIC = "schema_version"  # the first release numbered its schemas in this table
_NUMBERED = (1, 2)  # 2: predictions have a subject
_FIRST = "0001"


@cache
def newest() -> str:
    """The schema that this code works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def migrate(connection: Connection) -> None:
    """Apply what is missing, in the transaction of this connection.

    Raises:
        Failed: the database was written by a newer Turnout.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found == newest():
        return
    config = _config()
    config.attributes["connection"] = connection
    if found is None and inspect(connection).has_table(_BEFORE_ALEMBIC):
        _take_over(connection, config)
    elif found is None:
        create(connection)
        command.stamp(config, "head")
        return
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Failed(
            f"the ledger's database has schema {found}, this Turnout knows up to {newest()}: it is too old for it"
        ) from error


def create(connection: Connection) -> None:
    """Today's tables, empty."""
    schema.METADATA.create_all(connection)
    if is_postgresql(connection):
        partitions.make_rest(connection)
    connection.execute(insert(schema.AUDIT_HEAD).values(no=0, seq=0, digest=GENESIS))


def _take_over(connection: Connection, config: Config) -> None:
    version = connection.execute(text(f"SELECT version FROM {_BEFORE_ALEMBIC}")).scalar_one()  # noqa: S608  a constant
    if version not in _NUMBERED:
        raise Failed(f"the ledger's database has schema {version}, this Turnout knows {_NUMBERED} of those numbers")
    command.stamp(config, _FIRST)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "turnout.ledger:migrations")
    return config
