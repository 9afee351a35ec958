"""The engine's memory: every object and the latest changes, in one SQLite file.

A write is one transaction, so that after kill -9 an object is there wholly or not at all. Each write takes the next
resourceVersion and leaves a row in `events`; watches read that table, so nobody can miss a change or see it twice.
The history is bounded: who asks for more than is kept gets `Expired` and lists again, as in Kubernetes.
Rules of the API (validation, admission, patches) live in `api`; this module knows only metadata.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from turnout.embedded import objects
from turnout.embedded.kinds import KINDS
from turnout.errors import Conflict, NotFound, TurnoutError

__all__ = [
    "AlreadyExists",
    "Change",
    "Expired",
    "History",
    "Key",
    "Owned",
    "Snapshot",
    "Stale",
    "Store",
    "Subscription",
]

Object = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace ("" without one), name

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
_COMPACT_EVERY = 64  # writes; a deletion of many rows at once would delay the write that does it


class AlreadyExists(Conflict):
    """An object of that name is there already."""


class Stale(Conflict):
    """The object is not (any more) in the state that the writer wanted to change."""


class Expired(TurnoutError):
    """The history that was asked for is no longer kept; list again. HTTP 410."""

    status = 410


@dataclass(frozen=True)
class Change:
    """One write: ADDED, MODIFIED or DELETED, the object after it, and before it (None for a new one)."""

    type: str
    resource_version: int
    object: Object
    previous: Object | None


@dataclass(frozen=True)
class Snapshot:
    """Objects as they all were at one resourceVersion, in the order of namespace and name."""

    objects: list[Object]
    resource_version: int


@dataclass(frozen=True)
class History:
    """Changes in order; all of them up to `resource_version`, from which to ask on."""

    changes: list[Change]
    resource_version: int


@dataclass(frozen=True)
class Owned:
    """An object that names owners, and their uids."""

    key: Key
    owner_uids: frozenset[str]


# Inside the class below, `list` is a method.
_Objects: TypeAlias = list[Object]
_Keys: TypeAlias = list[Key]
_AllOwned: TypeAlias = list[Owned]


class Subscription:
    """Names of what changed since the last look; many changes of one object are one entry."""

    def __init__(self, store: Store) -> None:
        self._changed: set[Key] = set()
        self._condition = threading.Condition()
        self._stop = store.listen(self._note)

    def _note(self, key: Key) -> None:
        with self._condition:
            self._changed.add(key)
            self._condition.notify_all()

    def wait(self, timeout_s: float) -> set[Key]:
        """What changed since the last call; waits for a change at most `timeout_s`, then the set is empty."""
        with self._condition:
            self._condition.wait_for(lambda: bool(self._changed), timeout_s)
            changed, self._changed = self._changed, set()
            return changed

    def close(self) -> None:
        """Stop listening."""
        self._stop()


class Store:
    """Objects by kind, namespace and name. Safe to use from any thread; one process at a time."""

    def __init__(self, path: Path | str, *, history: int = 4096) -> None:
        self._history = history
        self._listeners: list[Callable[[Key], None]] = []
        self._write_lock, self._read_lock, self._listeners_lock = threading.RLock(), threading.Lock(), threading.Lock()
        self._writer = _connect(path)
        self._writer.executescript(_SCHEMA)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    # Reading

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """One object.

        Raises:
            NotFound: there is none of that name.
        """
        with self._read_lock:
            found = _find(self._reader, (kind, namespace or "", name))
        if found is None:
            raise NotFound(f'{KINDS[kind].resource} "{name}" not found')
        return found

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> _Objects:
        """All objects of a kind, in one namespace or in all, that carry all of `labels`."""
        wanted = (labels or {}).items()
        found = self.snapshot(kind, namespace).objects
        return [obj for obj in found if wanted <= (obj["metadata"].get("labels") or {}).items()]

    def snapshot(self, kind: str, namespace: str | None = None, *, at: int | None = None) -> Snapshot:
        """The objects of a kind and the resourceVersion at which they were so; `at` looks back into the history.

        Raises:
            Expired: `at` is before the kept history.
        """
        with self._reading() as db:
            current = _counter(db, "resource_version")
            rows = db.execute(
                "SELECT json FROM objects WHERE kind = ? AND (? IS NULL OR namespace = ?) ORDER BY namespace, name",
                (kind, namespace, namespace),
            ).fetchall()
            undone = [] if at is None or at >= current else _events(db, kind, namespace, after=at)
        found = [orjson.loads(row[0]) for row in rows]
        if at is None or at >= current:
            return Snapshot(objects=found, resource_version=current)
        return Snapshot(objects=_undo(found, undone), resource_version=at)

    def changes(self, kind: str, namespace: str | None = None, *, after: int, limit: int = 500) -> History:
        """The writes of a kind after a resourceVersion, in order, and how far they reach.

        Raises:
            Expired: some of them are no longer kept.
        """
        with self._reading() as db:
            found = _events(db, kind, namespace, after=after, limit=limit)
            reached = found[-1].resource_version if len(found) == limit else _counter(db, "resource_version")
        return History(changes=found, resource_version=max(reached, after))

    @property
    def resource_version(self) -> int:
        """The number of the last write."""
        with self._read_lock:
            return _counter(self._reader, "resource_version")

    def owned(self) -> _AllOwned:
        """Every object that has owners; what the garbage collection looks at."""
        with self._read_lock:
            rows = self._reader.execute(
                "SELECT kind, namespace, name, owners FROM objects WHERE owners IS NOT NULL"
            ).fetchall()
        return [Owned(key=(row[0], row[1], row[2]), owner_uids=frozenset(row[3].split())) for row in rows]

    def dying(self) -> _Keys:
        """What was deleted and is still there, because of its finalizers."""
        with self._read_lock:
            rows = self._reader.execute("SELECT kind, namespace, name FROM objects WHERE deleting").fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    def uids(self) -> set[str]:
        """The uids of all objects."""
        with self._read_lock:
            return {row[0] for row in self._reader.execute("SELECT uid FROM objects")}

    def keys(self, namespace: str) -> _Keys:
        """Everything in one namespace."""
        with self._read_lock:
            rows = self._reader.execute(
                "SELECT kind, namespace, name FROM objects WHERE namespace = ?", (namespace,)
            ).fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    # Writing

    def create(self, kind: str, obj: Object, *, dry_run: bool = False) -> Object:
        """Store a new object; gives it uid, creationTimestamp, generation and resourceVersion.

        Raises:
            AlreadyExists: there is one of that name.
        """
        new = objects.born(KINDS[kind], obj)
        with self._writing(dry_run=dry_run) as transaction:
            return transaction.put(kind, current=None, new=new)

    def update(self, kind: str, obj: Object, *, status: bool = False, dry_run: bool = False) -> Object:
        """Replace an object (or only its status). With a metadata.resourceVersion it must be the current one.

        Raises:
            NotFound: there is none of that name.
            Stale: somebody changed it since.
        """
        metadata = obj["metadata"]
        return self.mutate(
            kind, metadata["name"], metadata.get("namespace"), lambda _: obj, status=status, dry_run=dry_run
        )

    def mutate(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        change: Callable[[Object], Object],
        *,
        status: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Read, change and write in one transaction; a change that changes nothing writes nothing.

        `change` gets a copy of its own. It runs under the store's lock: it must be quick and must not use the store
        to write.

        Raises:
            NotFound: there is none of that name.
            Stale: the changed object carries another resourceVersion or uid than the stored one.
        """
        key = (kind, namespace or "", name)
        with self._writing(dry_run=dry_run) as transaction:
            current = transaction.find(key)
            wanted = change(orjson.loads(orjson.dumps(current)))
            _check_preconditions(key, current, wanted["metadata"].get("uid"), wanted["metadata"].get("resourceVersion"))
            new = objects.changed(KINDS[kind], current, wanted, status=status)
            if objects.is_gone(new):
                return transaction.remove(key, current=current, last=new)
            return current if objects.same(current, new) else transaction.put(kind, current=current, new=new)

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        finalizers: tuple[str, ...] = (),
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, or mark it while it has finalizers (`finalizers` are added); returns its last state.

        Raises:
            NotFound: there is none of that name.
            Stale: it has another uid or resourceVersion than asked for.
        """
        key = (kind, namespace or "", name)
        with self._writing(dry_run=dry_run) as transaction:
            current = transaction.find(key)
            _check_preconditions(key, current, uid, resource_version)
            last = objects.dying(current, finalizers=finalizers)
            if objects.is_gone(last):
                return transaction.remove(key, current=current, last=current)
            return current if objects.same(current, last) else transaction.put(kind, current=current, new=last)

    # Being told

    def subscribe(self) -> Subscription:
        """A coalescing view of what changes from now on."""
        return Subscription(self)

    def listen(self, callback: Callable[[Key], None]) -> Callable[[], None]:
        """Call `callback` after every write, from the writer's thread; returns how to stop. It must be quick."""
        with self._listeners_lock:
            self._listeners.append(callback)

        def stop() -> None:
            with self._listeners_lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return stop

    # Transactions

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Several reads of one state."""
        with self._read_lock:
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")

    @contextmanager
    def _writing(self, *, dry_run: bool) -> Iterator[_Transaction]:
        """All of it or nothing; a dry run does everything and then nothing."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            transaction = _Transaction(self._writer)
            try:
                yield transaction
                if transaction.resource_version % _COMPACT_EVERY == 0:
                    _compact(self._writer, before=transaction.resource_version - self._history)
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("ROLLBACK" if dry_run else "COMMIT")
        if not dry_run:
            self._tell(transaction.written)

    def _tell(self, keys: _Keys) -> None:
        with self._listeners_lock:
            listeners = tuple(self._listeners)
        for key in keys:
            for listener in listeners:
                listener(key)


class _Transaction:
    """The writes that one transaction may do."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.resource_version = _counter(db, "resource_version")
        self.written: list[Key] = []

    def find(self, key: Key) -> Object:
        found = _find(self._db, key)
        if found is None:
            raise NotFound(f'{KINDS[key[0]].resource} "{key[2]}" not found')
        return found

    def put(self, kind: str, *, current: Object | None, new: Object) -> Object:
        """Insert (without a `current`) or replace; the object gets the next resourceVersion."""
        key = (kind, objects.namespace_of(new), new["metadata"]["name"])
        if current is None and _find(self._db, key) is not None:
            raise AlreadyExists(f'{KINDS[kind].resource} "{key[2]}" already exists')
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


def _connect(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    # FULL: what a client was told survives the loss of power too; it costs one fsync a write.
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -2000;")
    return db


def _counter(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()[0])


def _find(db: sqlite3.Connection, key: Key) -> Object | None:
    row = db.execute("SELECT json FROM objects WHERE kind = ? AND namespace = ? AND name = ?", key).fetchone()
    found: Object | None = orjson.loads(row[0]) if row else None
    return found


def _events(db: sqlite3.Connection, kind: str, namespace: str | None, *, after: int, limit: int = -1) -> list[Change]:
    compacted = _counter(db, "compacted")
    if after < compacted:
        raise Expired(f"too old resource version: {after} ({compacted + 1})")
    rows = db.execute(
        "SELECT type, resource_version, json, previous FROM events WHERE kind = ? AND resource_version > ?"
        " AND (? IS NULL OR namespace = ?) ORDER BY resource_version LIMIT ?",
        (kind, after, namespace, namespace, limit),
    ).fetchall()
    return [
        Change(
            type=row[0],
            resource_version=row[1],
            object=orjson.loads(row[2]),
            previous=orjson.loads(row[3]) if row[3] else None,
        )
        for row in rows
    ]


def _undo(current: list[Object], changes: list[Change]) -> list[Object]:
    """The state before `changes`, from the state after them."""
    state = {(objects.namespace_of(obj), obj["metadata"]["name"]): obj for obj in current}
    for change in reversed(changes):
        key = (objects.namespace_of(change.object), change.object["metadata"]["name"])
        if change.previous is None:
            state.pop(key, None)
        else:
            state[key] = change.previous
    return [state[key] for key in sorted(state)]


def _compact(db: sqlite3.Connection, *, before: int) -> None:
    if before > 0:
        db.execute("DELETE FROM events WHERE resource_version <= ?", (before,))
        db.execute("UPDATE counters SET value = MAX(value, ?) WHERE name = 'compacted'", (before,))


def _check_preconditions(key: Key, current: Object, uid: str | None, resource_version: str | None) -> None:
    """Refuse to write over a state that the writer has not seen."""
    metadata = current["metadata"]
    if uid and uid != metadata["uid"]:
        raise Stale(f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}")
    if resource_version and resource_version != metadata["resourceVersion"]:
        raise Stale(
            f'Operation cannot be fulfilled on {KINDS[key[0]].resource} "{key[2]}": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )
