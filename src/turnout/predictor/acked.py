"""The prediction log of the durability `acked`: a reply waits until the ledger has acknowledged its record.

Records of a tick are queued and a thread posts what is queued, one post at a time; what arrives meanwhile goes into
the next post, so the event loop never waits and the price is latency, not throughput. Nothing is kept on this node.

When the ledger does not acknowledge in time the request is answered with 503. Its record may have arrived all the
same (the answer was lost, not the post), so its id is withdrawn with every later post until the ledger confirms that,
and the watermark stays before it until then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import Failed, TurnoutError, Unavailable
from turnout.predictor.identity import Identity
from turnout.predictor.outbox import BATCH_BYTES, BATCH_RECORDS, Outbox
from turnout.predictor.prediction_log import RisingTimes, claim, segments, stamped

__all__ = ["AckedLog"]

QUEUE_BYTES = 32 * 1024 * 1024  # waiting for the ledger; more is refused at once
_PULSE_S = 0.2  # how often an idle log says that it is alive, and how often a lost ledger is asked again
_WITHDRAWN = 1000  # ids in one post

_log = logging.getLogger("turnout.predictor.log")


@dataclass(eq=False)
class _Entry:
    """One tick's records, and who waits for them."""

    ids: list[str]
    lines: list[bytes]
    first_us: int
    queued_s: float
    done: asyncio.Future[None]
    expired: bool = False  # answered with 503 before the ledger said anything

    @property
    def size(self) -> int:
        return sum(map(len, self.lines))


class AckedLog(threading.Thread):
    """Recorder and shipper in one. `append`, `pulse` and `finish` belong to the event loop's thread."""

    def __init__(
        self, folder: Path, identity: Identity, outbox: Outbox, *, loop: asyncio.AbstractEventLoop, timeout_s: float
    ) -> None:
        """Take the folder: an earlier process may have left records there, which are shipped first.

        Raises:
            Conflict: another process writes or ships this log.
            Failed: the folder cannot be written at all.
        """
        super().__init__(name="acknowledger", daemon=True)
        self.folder = folder
        self.available = True
        self.refused = 0  # predictions answered with 503, because their records were not acknowledged
        self._lock = claim(folder, identity)
        self._outbox = outbox
        self._loop = loop
        self._timeout_s = timeout_s
        self._times = RisingTimes()
        self._sealed_us = self._times.last_us
        self._changed = threading.Condition()
        self._queue: list[_Entry] = []
        self._queued_bytes = 0
        self._posting: list[_Entry] = []
        self._stopping = False
        self._withdrawn: list[str] = []  # this and the next are the thread's alone
        self._leftovers = True  # until looked

    # --- the event loop ---

    def append(self, records: Sequence[tuple[str, bytes]]) -> asyncio.Future[None] | None:
        """A future that is done when the ledger has the records; it fails with Unavailable or Failed."""
        if not records:
            return None
        done: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            if problem := self._problem():
                self._refuse(done, len(records), problem)
                return done
            first_us = self._times.take(len(records))
            ids = [prediction_id for prediction_id, _ in records]
            lines = [line[:-1] for line in stamped(records, first_us)]
            entry = _Entry(ids, lines, first_us, time.monotonic(), done)
            self._queue.append(entry)
            self._queued_bytes += entry.size
            self._changed.notify()
        return done

    def pulse(self) -> None:
        """Called several times a second: moves the watermark, and refuses what has waited for too long."""
        limit_s = time.monotonic() - self._timeout_s
        with self._changed:
            self._sealed_us = self._times.now()
            late = [entry for entry in self._queue if entry.queued_s < limit_s]
            self._queue = [entry for entry in self._queue if entry.queued_s >= limit_s]
            self._queued_bytes -= sum(entry.size for entry in late)
            for entry in self._posting:
                if entry.queued_s < limit_s and not entry.expired:
                    entry.expired = True
                    late.append(entry)
        for entry in late:
            self._refuse(entry.done, len(entry.ids), f"it did not answer within {self._timeout_s:g} s")

    def finish(self, *, timeout_s: float) -> bool:
        """Deliver what is queued and end the log; False when that did not work in time."""
        with self._changed:
            self._sealed_us = self._times.now()
            self._stopping = True
            self._changed.notify()
        self.join(timeout_s)
        os.close(self._lock)
        return not self.is_alive() and self.available

    def _problem(self) -> str:
        if not self.available:
            return "it is away"
        return "it is too far behind" if self._queued_bytes > QUEUE_BYTES else ""

    def _refuse(self, done: asyncio.Future[None], count: int, why: str) -> None:
        self.refused += count
        message = f"not recorded: the ledger does not acknowledge ({why}) and this version answers nothing unrecorded"
        done.set_exception(Unavailable(f"{message}; try again"))

    # --- the thread ---

    def run(self) -> None:
        """Until `finish`: deliver what is queued, and in between what an earlier process left."""
        while True:
            batch, sealed_us, ending = self._next()
            try:
                self._pass(batch, sealed_us=sealed_us, ending=ending)
                self._note(available=True)
            except Unavailable as error:
                self._note(available=False, reason=str(error))
                self._fail(batch, error)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end recording for good
                _log.exception("delivering failed")
                self._fail(batch, Unavailable(str(error)))
            if ending:
                return

    def _next(self) -> tuple[list[_Entry], int, bool]:
        """What to post, up to when everything is delivered then, and whether that is all there will ever be."""
        with self._changed:
            # A lost ledger is asked at the pulse's pace, however many requests come in.
            self._changed.wait_for(lambda: self._stopping or (self._queue and self.available), _PULSE_S)
            batch: list[_Entry] = []
            records = size = 0
            for entry in self._queue:
                if batch and (records + len(entry.ids) > BATCH_RECORDS or size + entry.size > BATCH_BYTES):
                    break
                batch.append(entry)
                records += len(entry.ids)
                size += entry.size
            del self._queue[: len(batch)]
            self._queued_bytes -= size
            self._posting = list(batch)
            sealed_us = self._queue[0].first_us - 1 if self._queue else self._sealed_us
            return batch, sealed_us, self._stopping and not batch

    def _pass(self, batch: list[_Entry], *, sealed_us: int, ending: bool) -> None:
        """One round; takes out of the batch what has been settled."""
        self._take_back(until_us=batch[0].first_us - 1 if batch else sealed_us)
        if batch:
            self._post(batch)
        while self._leftovers:
            self._leftovers = self._outbox.ship_oldest()
            if not ending:
                break  # one at a time: callers wait
        if not batch or ending:
            self._outbox.heartbeat(watermark_us=self._promise(sealed_us), final=ending)

    def _take_back(self, *, until_us: int) -> None:
        """Withdraw what was not answered. In the same transaction the watermark passes it, so that it cannot become
        evidence even if its post is still under way somewhere."""
        while self._withdrawn:
            some = self._withdrawn[:_WITHDRAWN]
            self._outbox.deliver([], watermark_us=self._promise(until_us), withdrawn=some)
            del self._withdrawn[: len(some)]

    def _post(self, batch: list[_Entry]) -> None:
        records = [line for entry in batch for line in entry.lines]
        rejections = self._outbox.deliver(records, watermark_us=self._promise(batch[0].first_us - 1))
        start = 0
        for entry in batch:
            reasons = [rejections[index] for index in range(start, start + len(entry.ids)) if index in rejections]
            start += len(entry.ids)
            self._settle(
                entry, Failed(f"not recorded: the ledger refuses the record: {reasons[0]}") if reasons else None
            )
        batch.clear()

    def _promise(self, watermark_us: int) -> int:
        """Nothing is promised past a record that an earlier process left here."""
        left = segments(self.folder)[:1] if self._leftovers else []
        return min([watermark_us, *(segment.first_us - 1 for segment in left)])

    def _fail(self, batch: list[_Entry], error: Unavailable) -> None:
        for entry in batch:
            self._settle(entry, error)
        with self._changed:
            never_sent, self._queue, self._queued_bytes = self._queue, [], 0
        for entry in never_sent:
            self._loop.call_soon_threadsafe(self._resolve, entry, error)

    def _settle(self, entry: _Entry, error: TurnoutError | None) -> None:
        with self._changed:
            expired, entry.expired = entry.expired, True  # `pulse` leaves it alone from here on
        if error is not None or expired:
            self._withdrawn.extend(entry.ids)
        if not expired:
            self._loop.call_soon_threadsafe(self._resolve, entry, error)

    def _resolve(self, entry: _Entry, error: TurnoutError | None) -> None:
        if error is None:
            entry.done.set_result(None)
        elif isinstance(error, Unavailable):
            self._refuse(entry.done, len(entry.ids), str(error))
        else:
            entry.done.set_exception(error)

    def _note(self, *, available: bool, reason: str = "") -> None:
        if available != self.available:
            _log.warning("the ledger acknowledges again" if available else f"{reason}; predictions are refused")
        self.available = available
