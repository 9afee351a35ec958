"""The database behind the ledger: one thread writes, several read at the same time.

SQLite runs with synchronous=FULL. NORMAL would survive a killed process but may lose acknowledged events with the
power; FULL adds one fsync to a commit (0.3 ms on a plain SSD), which a whole group of writers shares.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from turnout.errors import InputError, TurnoutError, Unavailable
from turnout.ledger import writing
from turnout.ledger.migrations import migrate

__all__ = ["Store", "wall_clock_us"]

T = TypeVar("T")
Item = TypeVar("Item")

_READERS = 4
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=10000",
    "foreign_keys=ON",
    "secure_delete=ON",  # what was erased is overwritten, not only unlinked
    "journal_size_limit=67108864",
    "temp_store=MEMORY",
)


def wall_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


class Store:
    """A ledger's database. Work is a function of a connection; it runs in one transaction, off the caller's thread."""

    def __init__(self, url: str, *, clock_us: Callable[[], int] = wall_clock_us) -> None:
        self.clock_us = clock_us
        self._writing = _engine(url, begin="BEGIN IMMEDIATE", cache_kib=4096, connections=1)
        self._reading = _engine(url, begin="BEGIN", cache_kib=1024, connections=_READERS)
        try:
            with self._writing.begin() as connection:
                migrate(connection)
        except DBAPIError as error:
            raise Unavailable(f"cannot open the ledger's database {url}: {error.orig}") from error
        self._writer = writing.GroupWriter(self._writing)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-reader")

    @property
    def is_writable(self) -> bool:
        """Whether the writing thread lives."""
        return self._writer.is_alive

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a transaction; the future is done when it is committed."""
        return self._writer.write(work)

    def write_together(self, work: Callable[[Connection, list[Item]], list[T | TurnoutError]], item: Item) -> Future[T]:
        """Run `work` in a transaction once for all the items that wait; one result or error per item."""
        return self._writer.write_together(work, item)

    def read(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` on a snapshot of what is committed."""
        return self._readers.submit(self._read, work)

    def compute(self, work: Callable[[], T]) -> Future[T]:
        """Run what takes long and needs no database off the caller's thread."""
        return self._readers.submit(work)

    def close(self) -> None:
        """Commit what waits and let the database go."""
        self._writer.close()
        self._readers.shutdown()
        self._writing.dispose()
        self._reading.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise writing.unavailable(error) from error


def _engine(url: str, *, begin: str, cache_kib: int, connections: int) -> Engine:
    """An engine whose transactions begin as told: the driver's own habit of beginning late would tear snapshots."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(f"--database {url}: wanted sqlite:////absolute/path.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise InputError(f"--database {parsed}: wanted sqlite:////absolute/path.db")
    engine = create_engine(parsed, pool_size=connections, max_overflow=0)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in (*_PRAGMAS, f"cache_size=-{cache_kib}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
