"""The prediction log: an answered request is a recorded request, whatever is killed afterwards.

Records go to a segment file with one `write` per tick, before the replies of that tick; what the kernel has taken
survives the death of the process. A segment is named after the time of its first record and times never repeat within
a log, so the names alone say what has been shipped: when every segment up to a name is gone, every record before that
name is acknowledged. The shipper deletes a segment when the ledger has acknowledged all of it.

A record that cannot be written (disk full) is counted as dropped and its request is answered: this log is evidence,
never a reason to fail a caller.
"""

from __future__ import annotations

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

from turnout.errors import Conflict, DataError, NotFound
from turnout.predictor.identity import Identity

__all__ = [
    "NoLog",
    "PredictionLog",
    "Recorder",
    "Segment",
    "backlog_bytes",
    "lock",
    "read_identity",
    "read_records",
    "segments",
]

SEGMENT_BYTES = 4 * 1024 * 1024
IDENTITY_FILE = "log.json"
LOCK_FILE = "lock"
_SEGMENT_NAME = re.compile(r"(\d{20})\.ndjson")

_log = logging.getLogger("turnout.predictor.log")


def _now_us() -> int:
    return time.time_ns() // 1000


class Recorder(Protocol):
    """Where a tick's records go: id, and the record's JSON from behind its time."""

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Keep all of them, in this order, before returning."""


class NoLog:
    """The twin that keeps nothing, for a server without a ledger."""

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Forget them."""


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the log; every record in it has `time_us` >= `first_us`."""

    first_us: int
    path: Path


class PredictionLog:
    """The writing side. All methods belong to the event loop's thread; `sealed_until_us` may be read by any."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], int] = _now_us,
    ) -> None:
        """Take the folder for this process and go on where an earlier one stopped.

        Raises:
            Conflict: another process writes or ships this log.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock(folder)
        (folder / IDENTITY_FILE).write_bytes(orjson.dumps(asdict(identity)))
        self.folder = folder
        self.appended = 0
        self.dropped = 0
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._file = -1
        self._size = 0
        self._failing = False
        # A clock that was set back between two lives of the log must not make its times fall.
        self._last_us = max(clock(), _last_time_us(folder) + 1)
        self.sealed_until_us = self._last_us

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Write the records with one call, each with a time of its own."""
        if not records:
            return
        first_us = max(self._last_us + 1, self._clock())
        lines = [
            b'{"id":"%b","time_us":%d,%b\n' % (prediction_id.encode(), time_us, rest)
            for time_us, (prediction_id, rest) in enumerate(records, start=first_us)
        ]
        self._last_us = first_us + len(records) - 1
        self._write(b"".join(lines), first_us)
        if self._size > self._segment_bytes:
            self._rotate()

    def seal(self) -> None:
        """Close the current segment and move the watermark to now: what is recorded from here on is later."""
        self._last_us = max(self._last_us, self._clock())
        self._rotate()

    def close(self) -> None:
        """Seal, and let go of the folder."""
        self.seal()
        os.close(self._lock)

    def _write(self, data: bytes, first_us: int) -> None:
        rest = memoryview(data)
        try:
            if self._file < 0:
                path = self.folder / f"{first_us:020d}.ndjson"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            lost = bytes(rest).count(b"\n")
            self.dropped += lost
            self.appended -= lost
            if not self._failing:
                _log.error("%s: cannot write (%s): records are dropped and counted", self.folder, error.strerror)
            self._failing = True
            self._rotate()  # what was half written ends its segment, where a torn line is expected
        else:
            self._failing = False
            self._size += len(data)
        self.appended += data.count(b"\n")

    def _rotate(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._size = 0
        self.sealed_until_us = self._last_us


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
    return sum(_sizes(segments(folder)))


def _sizes(found: Iterable[Segment]) -> Iterable[int]:
    for segment in found:
        try:
            yield segment.path.stat().st_size
        except FileNotFoundError:  # acknowledged and deleted since it was listed
            continue
