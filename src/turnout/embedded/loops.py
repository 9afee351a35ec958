"""Level-triggered work: a loop looks at keys, one at a time, whenever something about them may have changed.

Changes only say where to look, never what to do, so that many of them cost one look, a lost one costs nothing but
time, and a restart is no special case. A key that fails is tried again later; the others do not wait for it.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from turnout.embedded.store import Key, Stale, Store
from turnout.errors import NotFound

__all__ = ["Dispatcher", "Loop", "Reconciler"]

_log = logging.getLogger(__name__)

_AFTER_A_RACE_S = 0.02
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.1, 30.0


class Reconciler(Protocol):
    """What a loop runs."""

    def keys(self) -> list[Key]:
        """Everything there is to look at when the engine starts."""

    def affected(self, changed: Key) -> list[Key]:
        """Where to look when this object has changed."""

    def reconcile(self, key: Key) -> float | None:
        """Bring the world closer to what is wanted; when to look again (seconds), or None. Safe to call twice."""


class Loop:
    """Runs a reconciler in a thread of its own.

    `gather_s` is how long a look waits for further changes: for a reconciler that looks at everything each time.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        *,
        name: str,
        failed: Callable[[Key, Exception], None] = lambda key, error: None,
        gather_s: float = 0.0,
    ) -> None:
        self._reconciler, self._failed, self._gather_s = reconciler, failed, gather_s
        self._condition = threading.Condition()
        self._due: dict[Key, float] = {}
        self._queue: list[tuple[float, Key]] = []
        self._failures: dict[Key, int] = {}
        self._first: set[Key] = set()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Look at everything once, then at what changes."""
        keys = self._reconciler.keys()
        self._first = set(keys)
        self.enqueue(*keys)
        self._thread.start()

    def stop(self) -> None:
        """Finish the key in hand and end."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def enqueue(self, *keys: Key, after_s: float = 0.0) -> None:
        """Look at these keys soon; an earlier time that is already set stays."""
        due = time.monotonic() + after_s
        with self._condition:
            for key in keys:
                if due < self._due.get(key, float("inf")):
                    self._due[key] = due
                    heapq.heappush(self._queue, (due, key))
            self._condition.notify_all()

    def notice(self, changed: Iterable[Key]) -> None:
        """Objects have changed."""
        affected = (key for change in changed for key in self._reconciler.affected(change))
        self.enqueue(*affected, after_s=self._gather_s)

    def wait_first_look(self, timeout_s: float) -> bool:
        """Wait until everything that was there at the start was looked at; whether that came true in time."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._first, timeout_s)

    def _run(self) -> None:
        while (key := self._next()) is not None:
            try:
                again_s = self._reconciler.reconcile(key)
                self._failures.pop(key, None)
            except (NotFound, Stale):  # somebody wrote or deleted in between: look again
                again_s = _AFTER_A_RACE_S
            except Exception as error:  # noqa: BLE001 (the outer loop: one broken object must not stop the others)
                again_s = self._note_failure(key, error)
            if again_s is not None:
                self.enqueue(key, after_s=again_s)
            with self._condition:
                self._first.discard(key)
                self._condition.notify_all()

    def _next(self) -> Key | None:
        with self._condition:
            while not self._is_stopping:
                now = time.monotonic()
                if self._queue and self._queue[0][0] <= now:
                    due, key = heapq.heappop(self._queue)
                    if self._due.get(key) == due:  # else an earlier look has made this entry stale
                        del self._due[key]
                        return key
                    continue
                self._condition.wait(self._queue[0][0] - now if self._queue else None)
        return None

    def _note_failure(self, key: Key, error: Exception) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        _log.exception("%s: %s", self._thread.name, "/".join(key))
        self._failed(key, error)
        return float(min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2 ** min(count - 1, 16)))


class Dispatcher:
    """Tells every loop what has changed in the store, from one thread."""

    def __init__(self, store: Store, loops: Sequence[Loop]) -> None:
        self._subscription, self._loops = store.subscribe(), loops
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin; changes since the construction are not missed."""
        self._thread.start()

    def stop(self) -> None:
        """End within a quarter of a second."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._subscription.close()

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            changed = self._subscription.wait(0.25)
            for loop in self._loops if changed else ():
                loop.notice(changed)
