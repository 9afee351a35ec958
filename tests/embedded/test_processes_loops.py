"""Level-triggered loops: coalesced, one broken key never in the way of another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.running import eventually
from turnout.embedded.loops import Dispatcher, Loop
from turnout.embedded.store import Key, Stale, Store

Act = Callable[[Key], float | None]


def key(name: str) -> Key:
    return ("ConfigMap", "default", name)


class Recorder:
    """A reconciler that counts its looks and does what the test says."""

    def __init__(self, act: Act = lambda key: None, *, first: tuple[Key, ...] = ()) -> None:
        self.looks: Counter[str] = Counter()
        self.act, self.first = act, first

    def keys(self) -> list[Key]:
        return list(self.first)

    def affected(self, changed: Key) -> list[Key]:
        return [changed] if changed[0] == "ConfigMap" else []

    def reconcile(self, key: Key) -> float | None:
        self.looks[key[2]] += 1
        return self.act(key)


@pytest.fixture
def start() -> Iterator[Callable[[Recorder], Loop]]:
    loops: list[Loop] = []

    def begin(recorder: Recorder) -> Loop:
        loops.append(Loop(recorder, name="test"))
        loops[-1].start()
        return loops[-1]

    yield begin
    for loop in loops:
        loop.stop()


def test_everything_is_looked_at_once_at_the_start(start: Callable[[Recorder], Loop]) -> None:
    recorder = Recorder(first=(key("a"), key("b")))
    assert start(recorder).wait_first_look(5)
    assert recorder.looks == {"a": 1, "b": 1}


def test_changes_during_a_look_are_one_more_look(start: Callable[[Recorder], Loop]) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def act(_: Key) -> None:
        inside.set()
        go_on.wait(5)

    recorder = Recorder(act)
    loop = start(recorder)
    loop.enqueue(key("a"))
    inside.wait(5)
    for _ in range(20):
        loop.enqueue(key("a"))
    go_on.set()
    eventually(lambda: recorder.looks["a"] == 2)
    loop.enqueue(key("b"))
    eventually(lambda: recorder.looks["b"] == 1)
    assert recorder.looks["a"] == 2


def test_a_key_that_fails_is_tried_again_and_the_others_do_not_wait(start: Callable[[Recorder], Loop]) -> None:
    def act(found: Key) -> None:
        if found[2] == "bad" and recorder.looks["bad"] < 3:
            raise RuntimeError("broken")

    recorder = Recorder(act, first=(key("bad"), key("good")))
    loop = start(recorder)
    assert loop.wait_first_look(5)
    assert recorder.looks["good"] == 1
    eventually(lambda: recorder.looks["bad"] == 3)


def test_a_failure_is_told_with_its_key(start: Callable[[Recorder], Loop]) -> None:
    told: list[tuple[Key, str]] = []

    def act(_: Key) -> None:
        raise RuntimeError("broken")

    loop = Loop(Recorder(act, first=(key("a"),)), name="test", failed=lambda k, error: told.append((k, str(error))))
    loop.start()
    eventually(lambda: told)
    loop.stop()
    assert told[0] == (key("a"), "broken")


def test_a_stale_write_is_looked_at_again_at_once(start: Callable[[Recorder], Loop]) -> None:
    def act(_: Key) -> None:
        if recorder.looks["a"] == 1:
            raise Stale("somebody was faster")

    recorder = Recorder(act, first=(key("a"),))
    start(recorder)
    eventually(lambda: recorder.looks["a"] == 2, within_s=1.0)


def test_a_look_can_ask_for_the_next_one(start: Callable[[Recorder], Loop]) -> None:
    recorder = Recorder(lambda found: 0.01 if recorder.looks["a"] < 3 else None, first=(key("a"),))
    start(recorder)
    eventually(lambda: recorder.looks["a"] == 3)


def test_changes_of_the_store_reach_the_loops_that_care(tmp_path: Path, start: Callable[[Recorder], Loop]) -> None:
    recorder = Recorder()
    store = Store(tmp_path / "store.db", durable=False)
    dispatcher = Dispatcher(store, [start(recorder)])
    dispatcher.start()
    store.create("ConfigMap", {"metadata": {"name": "a", "namespace": "default"}})
    store.create("Secret", {"metadata": {"name": "b", "namespace": "default"}})
    eventually(lambda: recorder.looks["a"] == 1)
    dispatcher.stop()
    store.close()
    assert recorder.looks == {"a": 1}
