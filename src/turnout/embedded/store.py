"""The engine's memory: every object and the latest changes, in one SQLite file.

A write is one transaction, so that after kill -9 an object is there wholly or not at all. Each write takes the next
resourceVersion and leaves a row in `events`; watches read that table, so nobody can miss a change or see it twice.
The history is bounded: who asks for more than is kept gets `Expired` and lists again, as in Kubernetes.
Rules of the API (validation, admission, patches) live in `api`; this module knows only metadata.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from turnout.embedded import objects, sql
from turnout.embedded.kinds import KINDS
from turnout.embedded.sql import Key, Transaction
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
    """Objects by kind, namespace and name. Safe to use from any thread; one process at a time.

    Not `durable` it survives the death of the process still, but not the loss of power: for stores that end with a
    test.
    """

    def __init__(self, path: Path | str, *, history: int = 4096, durable: bool = True) -> None:
        self._history = history
        self._listeners: list[Callable[[Key], None]] = []
        self._write_lock, self._read_lock, self._listeners_lock = threading.RLock(), threading.Lock(), threading.Lock()
        self._writer = sql.connect(path, durable=durable)
        self._reader = sql.connect(path, durable=durable)
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
        key = (kind, namespace or "", name)
        with self._read_lock:
            return _found(key, sql.find(self._reader, key))

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        prefix: str = "",
    ) -> _Objects:
        """All objects of a kind, in one namespace or in all, that carry all of `labels` and are named `prefix`..."""
        wanted = (labels or {}).items()
        with self._read_lock:
            texts = sql.texts(self._reader, kind, namespace, prefix)
        # A text without the labels' own text cannot carry them: most objects need not be decoded.
        marks = [orjson.dumps({label: value})[1:-1] for label, value in wanted]
        found = [orjson.loads(text) for text in texts if all(mark in text for mark in marks)]
        return [obj for obj in found if wanted <= (obj["metadata"].get("labels") or {}).items()]

    def snapshot(self, kind: str, namespace: str | None = None, *, at: int | None = None) -> Snapshot:
        """The objects of a kind and the resourceVersion at which they were so; `at` looks back into the history.

        Raises:
            Expired: `at` is before the kept history.
        """
        with self._reading() as db:
            current = sql.counter(db, "resource_version")
            texts = sql.texts(db, kind, namespace)
            undone = [] if at is None or at >= current else _events(db, kind, namespace, after=at)
        found = [orjson.loads(text) for text in texts]
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
            reached = found[-1].resource_version if len(found) == limit else sql.counter(db, "resource_version")
        return History(changes=found, resource_version=max(reached, after))

    @property
    def resource_version(self) -> int:
        """The number of the last write."""
        with self._read_lock:
            return sql.counter(self._reader, "resource_version")

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

    def versions(self, kinds: Collection[str]) -> dict[Key, int]:
        """The resourceVersion of every object of these kinds."""
        with self._read_lock:
            rows = self._reader.execute(
                "SELECT kind, namespace, name, resource_version FROM objects"
                " WHERE kind IN (SELECT value FROM json_each(?))",
                (orjson.dumps([*kinds]).decode(),),
            ).fetchall()
        return {(row[0], row[1], row[2]): row[3] for row in rows}

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
            there = transaction.find(sql.key_of(kind, new))
            if there is not None:
                state = "is being deleted" if "deletionTimestamp" in there["metadata"] else "already exists"
                raise AlreadyExists(f'{KINDS[kind].resource} "{new["metadata"]["name"]}" {state}')
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
            current = _found(key, transaction.find(key))
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
            current = _found(key, transaction.find(key))
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
    def _writing(self, *, dry_run: bool) -> Iterator[Transaction]:
        """All of it or nothing; a dry run does everything and then nothing."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            transaction = Transaction(self._writer)
            try:
                yield transaction
                if transaction.resource_version % sql.COMPACT_EVERY == 0:
                    sql.compact(self._writer, before=transaction.resource_version - self._history)
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


def _events(db: sqlite3.Connection, kind: str, namespace: str | None, *, after: int, limit: int = -1) -> list[Change]:
    compacted = sql.counter(db, "compacted")
    if after < compacted:
        raise Expired(f"too old resource version: {after} ({compacted + 1})")
    return [
        Change(
            type=row[0],
            resource_version=row[1],
            object=orjson.loads(row[2]),
            previous=orjson.loads(row[3]) if row[3] else None,
        )
        for row in sql.changes(db, kind, namespace, after=after, limit=limit)
    ]


def _found(key: Key, obj: Object | None) -> Object:
    if obj is None:
        raise NotFound(f'{KINDS[key[0]].resource} "{key[2]}" not found')
    return obj


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
