"""The SQL of the store: its tables, and the writes of one transaction.

Knows rows and versions; what a write means, and who may do it, is the store's business.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import orjson

from turnout.embedded import objects

__all__ = ["COMPACT_EVERY", "Key", "Transaction", "changes", "compact", "connect", "counter", "find", "key_of", "texts"]

Object = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace ("" without one), name
Row = tuple[str, int, bytes, bytes | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  resource_version INTEGER NOT NULL, uid TEXT NOT NULL, owners TEXT, deleting INTEGER NOT NULL, json BLOB NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
  resource_version INTEGER PRIMARY KEY, type TEXT NOT NULL,
  kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, json BLOB NOT NULL, previous BLOB
);
CREATE INDEX IF NOT EXISTS events_of_kind ON events (kind, resource_version);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES ('resource_version', 1000), ('compacted', 1000);
"""  # Versions start high, so that a small number is an old one for every client, as on a cluster.
COMPACT_EVERY = 64  # writes; a deletion of many rows at once would delay the write that does it


def key_of(kind: str, obj: Object) -> Key:
    """Where an object is kept."""
    return kind, objects.namespace_of(obj), obj["metadata"]["name"]


def connect(path: Path | str, *, durable: bool = True) -> sqlite3.Connection:
    """Open the file, and make its tables if they are not there."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    # FULL: what a client was told survives the loss of power too; it costs one fsync a write.
    synchronous = "FULL" if durable else "OFF"
    db.executescript(f"PRAGMA synchronous = {synchronous}; PRAGMA journal_mode = WAL; PRAGMA cache_size = -2000;")
    db.executescript(_SCHEMA)
    return db


def counter(db: sqlite3.Connection, name: str) -> int:
    """One of the counters: `resource_version` or `compacted`."""
    return int(db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()[0])


def find(db: sqlite3.Connection, key: Key) -> Object | None:
    """The stored object."""
    row = db.execute("SELECT json FROM objects WHERE kind = ? AND namespace = ? AND name = ?", key).fetchone()
    found: Object | None = orjson.loads(row[0]) if row else None
    return found


def texts(db: sqlite3.Connection, kind: str, namespace: str | None, prefix: str = "") -> list[bytes]:
    """The JSON of each object of a kind, in one namespace or in all, whose name begins with `prefix`, in order."""
    rows = db.execute(
        "SELECT json FROM objects WHERE kind = ? AND (? IS NULL OR namespace = ?) AND substr(name, 1, ?) = ?"
        " ORDER BY namespace, name",
        (kind, namespace, namespace, len(prefix), prefix),
    ).fetchall()
    return [row[0] for row in rows]


def changes(db: sqlite3.Connection, kind: str, namespace: str | None, *, after: int, limit: int) -> list[Row]:
    """Type, resourceVersion, object and previous object of each write of a kind, in order; a negative limit is none."""
    return db.execute(
        "SELECT type, resource_version, json, previous FROM events WHERE kind = ? AND resource_version > ?"
        " AND (? IS NULL OR namespace = ?) ORDER BY resource_version LIMIT ?",
        (kind, after, namespace, namespace, limit),
    ).fetchall()


def compact(db: sqlite3.Connection, *, before: int) -> None:
    """Forget the writes up to a resourceVersion."""
    if before > 0:
        db.execute("DELETE FROM events WHERE resource_version <= ?", (before,))
        db.execute("UPDATE counters SET value = MAX(value, ?) WHERE name = 'compacted'", (before,))


class Transaction:
    """The writes that one transaction may do; `written` says which objects they were."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.resource_version = counter(db, "resource_version")
        self.written: list[Key] = []

    def find(self, key: Key) -> Object | None:
        """The stored object, as this transaction sees it."""
        return find(self._db, key)

    def put(self, kind: str, *, current: Object | None, new: Object) -> Object:
        """Insert (without a `current`) or replace; the object gets the next resourceVersion."""
        key = key_of(kind, new)
        new["metadata"]["resourceVersion"] = str(self._next())
        owners = " ".join(owner["uid"] for owner in new["metadata"].get("ownerReferences", ()) if owner.get("uid"))
        deleting = "deletionTimestamp" in new["metadata"]
        self._db.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, self.resource_version, new["metadata"]["uid"], owners or None, deleting, orjson.dumps(new)),
        )
        self._log("ADDED" if current is None else "MODIFIED", key, new, current)
        return new

    def remove(self, key: Key, *, current: Object, last: Object) -> Object:
        """Delete; `last` is what watchers are told it was."""
        gone = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self._next())}}
        self._db.execute("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", key)
        self._log("DELETED", key, gone, current)
        return gone

    def _next(self) -> int:
        self.resource_version += 1
        self._db.execute("UPDATE counters SET value = ? WHERE name = 'resource_version'", (self.resource_version,))
        return self.resource_version

    def _log(self, change: str, key: Key, obj: Object, previous: Object | None) -> None:
        before = None if previous is None else orjson.dumps(previous)
        self._db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.resource_version, change, *key, orjson.dumps(obj), before),
        )
        self.written.append(key)
