"""Group commit: one thread that writes for everybody.

Whatever waits when a transaction ends goes into the next one together, each piece of work in its own savepoint, and
nobody is answered before the commit. So a thousand single posts a second cost a hundred commits, not a thousand, and a
lone post waits for nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from turnout.errors import TurnoutError, Unavailable
from turnout.ledger import databases

__all__ = ["GroupWriter"]

T = TypeVar("T")
Item = TypeVar("Item")
_Work: TypeAlias = Callable[[Connection, list[Any]], list[Any]]

_MAX_GROUP = 500
_MAX_WAITING = 5_000  # a queue without end would only hide that the ledger cannot keep up


@dataclass(frozen=True)
class _Job:
    """One caller's wish; jobs with the same `work` that meet in a group are one call of it."""

    work: _Work
    item: Any
    future: Future[Any] = field(default_factory=Future)


class GroupWriter:
    """Runs work that writes on one thread, in groups that commit together."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether work is still being taken."""
        return self._thread.is_alive()

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work`; the future is done after the commit. What it raises undoes its own writes and nothing else."""
        return self._submit(_Job(lambda connection, _: [work(connection)], None))

    def write_together(self, work: Callable[[Connection, list[Item]], list[T | TurnoutError]], item: Item) -> Future[T]:
        """Run `work` once for all items that wait for it; it answers with one result or error per item."""
        return self._submit(_Job(work, item))

    def close(self) -> None:
        """Finish what waits, then stop."""
        self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: _Job) -> Future[Any]:
        if not self.is_alive:
            raise Unavailable("the ledger is closed")
        if self._jobs.qsize() > _MAX_WAITING:
            raise Unavailable("the ledger has more to write than it can; send it again later")
        self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first, *self._waiting()]
            self._commit([job for job in jobs if job.future.set_running_or_notify_cancel()])

    def _waiting(self) -> Iterator[_Job]:
        for _ in range(_MAX_GROUP):
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is None:
                self._jobs.put(None)  # closing: it ends the loop after this group
                return
            yield job

    def _commit(self, jobs: list[_Job]) -> None:
        """One transaction. If the database refuses what is in it, each job has its own: one cannot spoil the others."""
        groups = _together(jobs)
        try:
            with self._engine.begin() as connection:
                settled = [pair for group in groups for pair in _attempt(connection, group, is_alone=len(groups) == 1)]
        except DBAPIError as error:
            if len(jobs) > 1 and databases.is_of_the_work(error):
                for job in jobs:
                    self._commit([job])
                return
            settled = [(job, databases.translated(error)) for job in jobs]
        except _Abandoned as error:
            settled = [(job, error.__cause__) for job in jobs]
        for job, result in settled:
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)


class _Abandoned(Exception):
    """The only work of a transaction failed, so the transaction goes with it; the cause is what its callers get."""


def _together(jobs: list[_Job]) -> list[list[_Job]]:
    groups: dict[_Work, list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.work, []).append(job)
    return list(groups.values())


def _attempt(connection: Connection, jobs: list[_Job], *, is_alone: bool) -> list[tuple[_Job, Any]]:
    """Run one group's work; alone in its transaction it needs no savepoint, which a lone post would feel."""
    try:
        with nullcontext() if is_alone else connection.begin_nested():
            results = jobs[0].work(connection, [job.item for job in jobs])
    except DBAPIError:
        raise  # the transaction may be gone with it, so nothing of this group may be acknowledged
    except Exception as error:
        # The thread serves others too: whatever it is, whoever asked for the work gets it.
        if is_alone:
            raise _Abandoned from error
        results = [error] * len(jobs)
    return list(zip(jobs, results, strict=True))
