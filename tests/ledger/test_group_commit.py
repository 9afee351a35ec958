from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from turnout.errors import Conflict, TurnoutError, Unavailable
from turnout.ledger import writing
from turnout.ledger.schema import GATEWAY_TAILS
from turnout.ledger.store import Store


def put(connection: Connection, path: str) -> str:
    connection.execute(insert(GATEWAY_TAILS).values(path=path, inode=1, position=0, head_bytes=0, head_digest=""))
    return path


def put_all(connection: Connection, paths: list[str]) -> list[str | TurnoutError]:
    calls.append(paths)
    return [Conflict(path) if path == "bad" else put(connection, path) for path in paths]


calls: list[list[str]] = []


def stored(store: Store) -> set[str]:
    return set(store.read(lambda connection: connection.execute(select(GATEWAY_TAILS.c.path)).scalars().all()).result())


class Gate:
    """Holds the writing thread, so that work piles up into one group."""

    def __init__(self, store: Store) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._done = store.write(self._wait)

    def __enter__(self) -> None:
        assert self._entered.wait(10)

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._done.result(10)

    def _wait(self, _: Connection) -> None:
        self._entered.set()
        self._open.wait(10)


def test_work_that_waits_commits_in_one_transaction(store: Store) -> None:
    def transaction(connection: Connection) -> Any:
        return connection.get_transaction()

    with Gate(store):
        futures = [store.write(transaction) for _ in range(5)]
    assert len({id(future.result()) for future in futures}) == 1


def fail(connection: Connection) -> None:
    put(connection, "half")
    raise Conflict("no")


def test_a_failure_that_is_alone_undoes_its_writes(store: Store) -> None:
    with pytest.raises(Conflict):
        store.write(fail).result()
    assert stored(store) == set()


def test_one_failure_undoes_its_own_writes_and_no_others(store: Store) -> None:
    with Gate(store):
        first, second, third = (
            store.write(lambda connection: put(connection, "a")),
            store.write(fail),
            store.write(lambda connection: put(connection, "b")),
        )
    assert (first.result(), third.result()) == ("a", "b")
    with pytest.raises(Conflict):
        second.result()
    assert stored(store) == {"a", "b"}


def test_a_mistake_in_one_piece_of_work_does_not_stop_the_writer(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        store.write(lambda _: 1 / 0).result()
    assert store.write(lambda connection: put(connection, "a")).result() == "a"


def test_what_the_database_refuses_cannot_spoil_what_waits_with_it(store: Store) -> None:
    with Gate(store):
        futures: list[Future[str]] = [
            store.write(lambda connection, path=path: put(connection, path)) for path in ("a", "a", "b")
        ]
    assert futures[0].result() == "a"
    assert futures[2].result() == "b"
    with pytest.raises(Unavailable, match=r"(?i)unique constraint") as caught:
        futures[1].result()
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert stored(store) == {"a", "b"}


def test_items_that_wait_for_the_same_work_are_one_call(store: Store) -> None:
    calls.clear()
    with Gate(store):
        futures = [store.write_together(put_all, path) for path in ("a", "bad", "b")]
    assert (futures[0].result(), futures[2].result()) == ("a", "b")
    with pytest.raises(Conflict):
        futures[1].result()
    assert calls == [["a", "bad", "b"]]


def test_work_given_up_by_its_caller_is_not_done(store: Store) -> None:
    with Gate(store):
        future = store.write(lambda connection: put(connection, "a"))
        assert future.cancel()
    assert stored(store) == set()


def test_a_queue_that_is_too_long_refuses_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MAX_WAITING", 2)
    with Gate(store):
        for _ in range(3):
            store.write(lambda _: None)
        with pytest.raises(Unavailable, match="more to write than it can"):
            store.write(lambda _: None)


def test_closing_finishes_what_waits(store: Store) -> None:
    opened = threading.Event()
    store.write(lambda _: opened.wait(10))
    future = store.write(lambda connection: put(connection, "a"))
    threading.Timer(0.05, opened.set).start()
    store._writer.close()
    assert future.result(0) == "a"


def test_readers_see_only_what_is_committed(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        put(connection, "a")
        started.set()
        go_on.wait(10)

    future = store.write(slowly)
    started.wait(10)
    count = select(func.count()).select_from(GATEWAY_TAILS)
    assert store.read(lambda connection: connection.execute(count).scalar_one()).result() == 0
    go_on.set()
    future.result(10)
    assert stored(store) == {"a"}
