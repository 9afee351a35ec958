"""The two databases: how each is opened, how a transaction begins, and what its errors mean.

Writers come one after the other, on both. SQLite does so by itself (BEGIN IMMEDIATE); on PostgreSQL every writing
transaction first takes one advisory lock, also against ledgers in other Pods. So numbers, watermarks and the audit's
chain are handed out in the order in which they are committed, and a reader that goes on behind what it saw cannot skip
a transaction that commits late. One writer is enough: group commit makes 20,000 records a second out of it.

SQLite runs with synchronous=FULL. NORMAL would survive a killed process but may lose acknowledged events with the
power; FULL adds one fsync to a commit, which a whole group of writers shares. PostgreSQL: synchronous_commit=on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError

from turnout.errors import InputError, TurnoutError, Unavailable

__all__ = ["Full", "address", "is_of_the_work", "is_postgresql", "reader", "translated", "writer"]

_WANTED = "wanted sqlite:////absolute/path.db or postgresql://user@host/database"
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=10000",
    "foreign_keys=ON",
    "secure_delete=ON",  # what was erased is overwritten, not only unlinked
    "journal_size_limit=67108864",
    "temp_store=MEMORY",
    "mmap_size=0",  # a mapped file that is cut short kills the process; a read that fails is an error
)
_SESSION = ("SET synchronous_commit = on", "SET lock_timeout = '10s'")
# A ledger that is stopped in the middle of a transaction: a writer must not stop the others for longer than this, a
# reader stops nobody and only keeps old rows from being tidied up.
_IDLE = {"writer": "10s", "reader": "60s"}
_WRITERS_LOCK = 0x7472_6E6F_7574  # "trnout"
_CACHE_KIB = {"writer": 16_384, "reader": 4_096}
_FULL_STATES = frozenset({"53100"})  # PostgreSQL's disk_full
_FULL_NAMES = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE"})  # the latter: the file may not grow (ulimit, quota)


class Full(Unavailable):
    """There is no room left where the ledger keeps its data; nothing of the call was stored."""

    status = 507


def address(text: str) -> URL:
    """The database that a URL names.

    Raises:
        InputError: it names none that the ledger can use.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InputError(f"--database: {_WANTED}") from error
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql") or not url.database:
        raise InputError(f"--database {url.render_as_string()}: {_WANTED}")
    return url.set(drivername="postgresql+psycopg") if kind == "postgresql" else url


def writer(url: URL) -> Engine:
    """An engine with one connection, whose transactions keep all other writers out."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, begin="BEGIN IMMEDIATE", cache_kib=_CACHE_KIB["writer"], connections=1)
    engine = _postgresql(url, connections=1, idle=_IDLE["writer"])

    @event.listens_for(engine, "begin")
    def wait_for_others(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")

    return engine


def reader(url: URL, *, connections: int) -> Engine:
    """An engine whose transactions each see one state of the database."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, begin="BEGIN", cache_kib=_CACHE_KIB["reader"], connections=connections)
    engine = _postgresql(url, connections=connections, idle=_IDLE["reader"])

    @event.listens_for(engine, "begin")
    def hold_still(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def is_postgresql(connection: Connection) -> bool:
    """Which of the two a connection leads to."""
    return connection.dialect.name == "postgresql"


def translated(error: DBAPIError) -> TurnoutError:
    """The database's own error as ours; the statement and its values stay out of the message."""
    text = str(error.orig).strip().partition("\n")[0]
    state, name = getattr(error.orig, "sqlstate", None), getattr(error.orig, "sqlite_errorname", None)
    problem: TurnoutError
    if state in _FULL_STATES or name in _FULL_NAMES:
        problem = Full(f"the ledger has no room: {text}")
    elif isinstance(error, DataError):
        problem = InputError(f"the ledger's database cannot hold this: {text}")
    else:
        problem = Unavailable(f"the ledger's database failed: {text}")
    problem.__cause__ = error
    return problem


def is_of_the_work(error: DBAPIError) -> bool:
    """Whether it was the work that failed and not the database, so that other work may succeed."""
    return isinstance(error, DataError | IntegrityError | ProgrammingError)


def _sqlite(url: URL, *, begin: str, cache_kib: int, connections: int) -> Engine:
    """Transactions begin as told: the driver's own habit of beginning late would tear snapshots."""
    engine = create_engine(url, pool_size=connections, max_overflow=0)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in (*_PRAGMAS, f"cache_size=-{cache_kib}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: URL, *, connections: int, idle: str) -> Engine:
    """Connections are tried before they are used: after a restart of the server the pool mends itself."""
    details = {"application_name": "turnout-ledger", "connect_timeout": 5}
    engine = create_engine(url, pool_size=connections, max_overflow=0, pool_pre_ping=True, connect_args=details)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        for statement in (*_SESSION, f"SET idle_in_transaction_session_timeout = '{idle}'"):
            connection.execute(statement)
        connection.commit()

    return engine
