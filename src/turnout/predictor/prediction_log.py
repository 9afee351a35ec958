"""The prediction log: an answered request is a recorded request, whatever is killed afterwards.

Records go to a segment file with one `write` per tick, before the replies of that tick; what the kernel has taken
survives the death of the process. A segment is named after the time of its first record and times never repeat within
a log, so the names alone say what has been shipped: when every segment up to a name is gone, every record before that
name is acknowledged. The shipper deletes a segment when the ledger has acknowledged all of it.

This log is evidence, never a reason to fail a caller: what cannot be written (disk full), or is too much or too old
because the ledger is away, is lost, but explicitly: as a counted gap between two times that the ledger is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import orjson

from turnout.errors import Conflict, DataError, Failed, NotFound
from turnout.predictor.gaps import Gap, Gaps
from turnout.predictor.identity import Identity

__all__ = [
    "IDENTITY_FILE",
    "Bounds",
    "NoLog",
    "PredictionLog",
    "Recorder",
    "RisingTimes",
    "Segment",
    "backlog_bytes",
    "claim",
    "lock",
    "read_identity",
    "read_records",
    "segments",
    "stamped",
]

SEGMENT_BYTES = 4 * 1024 * 1024
IDENTITY_FILE = "log.json"
LOCK_FILE = "lock"
_SEGMENT_NAME = re.compile(r"(\d{20})\.ndjson")
_TRIM_S = 1.0  # how often the bounds are looked after

_log = logging.getLogger("turnout.predictor.log")


def _now_us() -> int:
    return time.time_ns() // 1000


class Recorder(Protocol):
    """Where a tick's records go: id, and the record's JSON from behind its time."""

    def append(self, records: Sequence[tuple[str, bytes]]) -> asyncio.Future[None] | None:
        """Keep all of them, in this order: None says that they are kept, a future that they will be when it is done.

        The future fails with a TurnoutError when they are not kept; their requests must not be answered then.
        """


class NoLog:
    """The twin that keeps nothing, for a server without a ledger."""

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Forget them."""


@dataclass(frozen=True)
class Bounds:
    """What may wait for the ledger; the oldest segments beyond either are lost."""

    max_bytes: int = 1024**3
    max_age_s: float = 3 * 24 * 3600.0


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the log; every record in it has `time_us` >= `first_us`."""

    first_us: int
    path: Path


class RisingTimes:
    """Times that never repeat and never fall, whatever the clock does."""

    def __init__(self, clock: Callable[[], int] = _now_us, *, after_us: int = 0) -> None:
        self._clock = clock
        self.last_us = max(clock(), after_us + 1)

    def take(self, count: int) -> int:
        """The first of `count` times in a row that are later than all before."""
        first_us = max(self.last_us + 1, self._clock())
        self.last_us = first_us + count - 1
        return first_us

    def now(self) -> int:
        """The clock's time, if it is later than what was taken; what is taken from here on is later."""
        self.last_us = max(self.last_us, self._clock())
        return self.last_us


class PredictionLog:
    """The writing side. All methods belong to the event loop's thread; `sealed_until_us` may be read by any."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        bounds: Bounds | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], int] = _now_us,
    ) -> None:
        """Take the folder for this process and go on where an earlier one stopped.

        Raises:
            Conflict: another process writes or ships this log.
            Failed: the folder cannot be written at all.
        """
        self._lock = claim(folder, identity)
        self.folder = folder
        self.gaps = Gaps(folder)
        self.appended = 0
        self._bounds = bounds or Bounds()
        self._segment_bytes = segment_bytes
        self._file = -1
        self._size = 0
        self._opened_us = 0
        self._events = 0  # records in the open segment
        self._closed: dict[int, Gap] = {}  # what would be lost with a closed one of this process, by its first time
        self._gap: Gap | None = None  # still growing
        self._trimmed_us = 0
        # A clock that was set back between two lives of the log must not make its times fall.
        self._times = RisingTimes(clock, after_us=_last_time_us(folder))
        self.sealed_until_us = self._times.last_us

    @property
    def dropped(self) -> int:
        """Records that were answered and lost."""
        return self.gaps.events

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Write the records with one call, each with a time of its own."""
        if not records:
            return
        first_us = self._times.take(len(records))
        self._write(b"".join(stamped(records, first_us)), first_us, len(records))
        if self._size > self._segment_bytes:
            self._rotate()

    def pulse(self, *, ledger_takes: bool) -> None:
        """Called several times a second: seals for a ledger that takes records, and keeps the bounds.

        While there is nobody to ship to, a segment stays open for a minute: a day would leave half a million files.
        """
        now_us = self._times.now()
        if ledger_takes or now_us - self._opened_us > 60_000_000:
            self.seal()
        if now_us - self._trimmed_us > _TRIM_S * 1e6:
            self._trimmed_us = now_us
            self._trim(now_us)

    def seal(self) -> None:
        """Close the current segment and move the watermark to now: what is recorded from here on is later."""
        self._times.now()
        self._rotate()

    def close(self) -> None:
        """Seal, and let go of the folder."""
        self.seal()
        os.close(self._lock)

    def _write(self, data: bytes, first_us: int, count: int) -> None:
        rest = memoryview(data)
        try:
            if self._file < 0:
                path = self.folder / f"{first_us:020d}.ndjson"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                self._opened_us = first_us
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            lost = bytes(rest).count(b"\n")
            self._lose(first_us + count - lost, lost, error)
            count -= lost
        else:
            if self._gap is not None:
                _log.info("%s: records are kept again", self.folder)
                self._gap = None
            self._size += len(data)
        self.appended += count
        self._events += count
        if rest:
            self._close_file()  # what was half written ends its segment, where a torn line is expected

    def _lose(self, from_us: int, events: int, error: OSError) -> None:
        if self._gap is None:
            _log.error("%s: cannot write (%s): records are lost and counted", self.folder, error.strerror)
        lost = Gap(from_us, from_us + events - 1, events)
        self._gap = self.gaps.add(lost, extending=self._gap)

    def _trim(self, now_us: int) -> None:
        """Give up the oldest segments beyond the bounds, each as a gap from its first to its last record."""
        found = segments(self.folder, until_us=self.sealed_until_us)
        sizes = dict(_sizes(found))
        self._closed = {s.first_us: self._closed[s.first_us] for s in found if s.first_us in self._closed}
        excess = sum(sizes.values()) + self._size - self._bounds.max_bytes
        oldest_us = now_us - int(self._bounds.max_age_s * 1e6)
        for segment in found:
            if excess <= 0 and segment.first_us >= oldest_us:
                return
            excess -= sizes.get(segment, 0)
            gap = self._closed.get(segment.first_us) or _read_extent(segment)
            if self.gaps.replace(segment.path, gap):
                _log.error("%s: %d records waited too long for the ledger and are lost", self.folder, gap.events)

    def _close_file(self) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):  # some file systems say only here that the disk is full
                os.close(self._file)
            self._closed[self._opened_us] = Gap(self._opened_us, self._times.last_us, self._events)
            self._file = -1
            self._size = self._events = 0

    def _rotate(self) -> None:
        self._close_file()
        self._gap = None  # the shipper may take it from here on
        self.sealed_until_us = self._times.last_us


def stamped(records: Sequence[tuple[str, bytes]], first_us: int) -> list[bytes]:
    """The records as lines, each with a time of its own."""
    return [
        b'{"id":"%b","time_us":%d,%b\n' % (prediction_id.encode(), time_us, rest)
        for time_us, (prediction_id, rest) in enumerate(records, start=first_us)
    ]


def claim(folder: Path, identity: Identity) -> int:
    """Take a log's folder for this process and note in it whose it is; returns the lock.

    Raises:
        Conflict: another process writes or ships this log.
        Failed: the folder cannot be written at all.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder)
        _note(folder / IDENTITY_FILE, orjson.dumps(asdict(identity)))
    except OSError as error:
        raise Failed(f"{folder}: cannot be used for a prediction log: {error.strerror}") from error
    return held


def _note(path: Path, content: bytes) -> None:
    """Written aside and renamed, and not at all when it is there: a full disk must not spoil what was noted before."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    aside.rename(path)


def lock(folder: Path) -> int:
    """An open file that keeps every other process out of the folder until it is closed.

    Raises:
        Conflict: somebody else holds it.
    """
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise Conflict(f"{folder}: this prediction log is in use by another process") from error
    return file


def segments(folder: Path, *, until_us: int | None = None) -> list[Segment]:
    """The segments whose records all lie at or before a watermark that `seal` has set, oldest first."""
    found = []
    for entry in os.scandir(folder):
        name = _SEGMENT_NAME.fullmatch(entry.name)
        if name and (until_us is None or int(name[1]) <= until_us):
            found.append(Segment(first_us=int(name[1]), path=Path(entry.path)))
    return sorted(found)


def read_records(path: Path) -> list[bytes]:
    """The whole lines of a segment; a torn last line was never answered and is dropped."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [line for line in whole.split(b"\n") if line]


def read_identity(folder: Path) -> Identity:
    """Whose log a folder is.

    Raises:
        NotFound: no predictor ever wrote there.
        DataError: the file does not say.
    """
    path = folder / IDENTITY_FILE
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFound(f"{path}: not found: no predictor has kept its log here") from error
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    try:
        return Identity(**{key: str(document[key]) for key in ("namespace", "endpoint", "version", "pod")})
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: wanted namespace, endpoint, version and pod, found {document}") from error


def _read_extent(segment: Segment) -> Gap:
    """What would be lost with a segment of an earlier process."""
    try:
        records = read_records(segment.path)
    except FileNotFoundError:  # shipped since it was listed
        records = []
    last_us = _time_us(records[-1]) if records else 0
    return Gap(segment.first_us, max(segment.first_us, last_us), len(records))


def _last_time_us(folder: Path) -> int:
    """The time of the newest record that is still here; 0 without any."""
    last = max(segments(folder), default=None)
    if last is None:
        return 0
    return max([last.first_us, *(_time_us(line) for line in read_records(last.path)[-1:])])


def _time_us(line: bytes) -> int:
    try:
        return int(orjson.loads(line)["time_us"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0


def backlog_bytes(folder: Path) -> int:
    """How much is written and not yet acknowledged."""
    return sum(size for _, size in _sizes(segments(folder)))


def _sizes(found: Iterable[Segment]) -> Iterable[tuple[Segment, int]]:
    for segment in found:
        with contextlib.suppress(FileNotFoundError):  # acknowledged and deleted since it was listed
            yield segment, segment.path.stat().st_size
