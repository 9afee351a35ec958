"""The database behind the ledger: one thread writes, several read at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from turnout.errors import TurnoutError, Unavailable
from turnout.ledger import databases, writing
from turnout.ledger.migrations import migrate

__all__ = ["Store", "wall_clock_us"]

T = TypeVar("T")
Item = TypeVar("Item")

_READERS = 4


def wall_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


class Store:
    """A ledger's database. Work is a function of a connection; it runs in one transaction, off the caller's thread."""

    def __init__(self, url: str, *, clock_us: Callable[[], int] = wall_clock_us) -> None:
        self.clock_us = clock_us
        address = databases.address(url)
        self._writing = databases.writer(address)
        self._reading = databases.reader(address, connections=_READERS)
        try:
            with self._writing.begin() as connection:
                migrate(connection)
        except DBAPIError as error:
            failure = databases.translated(error)
            raise Unavailable(f"cannot open the ledger's database {address.render_as_string()}: {failure}") from error
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
            raise databases.translated(error) from error
