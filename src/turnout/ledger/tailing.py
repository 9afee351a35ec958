"""Follows a gateway's access log file, whoever keeps what is read.

Where reading goes on is kept with what was read, so a kill at any moment loses no line. Only whole lines are taken. A
file that was renamed is read to its end before the next one is begun; one that was truncated is begun again, which the
digest of its first bytes tells also when it has grown since.

The watermark: lines come in the order in which answers end, so it follows the last line with a small allowance; while
nothing comes it follows the clock, behind the longest time that the gateway keeps lines in memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from turnout.errors import InputError, TurnoutError
from turnout.ledger import access_log
from turnout.ledger.gateway import GatewayRequest

__all__ = ["Place", "Sink", "Tailer"]

_POLL_S = 0.2
_CHUNK = 256 * 1024
_HEAD_BYTES = 256
_DISORDER_US = 500_000  # a gateway's threads write next to each other
_IDLE_STEP_US = 1_000_000  # how often the watermark moves while nothing comes
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where reading goes on: in which file, told by inode and first bytes, and at which byte."""

    inode: int = 0
    position: int = 0
    head_bytes: int = 0
    head_digest: str = hashlib.sha256(b"").hexdigest()

    def is_in(self, file: FileIO) -> bool:
        """Whether this open file is the one, and was not truncated since."""
        status = os.fstat(file.fileno())
        return (
            status.st_ino == self.inode
            and status.st_size >= self.position
            and _digest(file, self.head_bytes) == self.head_digest
        )


class Sink(Protocol):
    """Who keeps what is read, and where reading goes on."""

    def clock_us(self) -> int:
        """Microseconds since 1970."""

    def saved(self) -> Place:
        """Where reading goes on; a new Place at the very first time."""

    def keep(self, requests: list[GatewayRequest], *, watermark_us: int, place: Place) -> None:
        """Keep requests, watermark and place; TurnoutError when that did not work and is to be tried again."""


class Tailer:
    """Reads one file for ever, on its own thread between `start` and `stop`."""

    def __init__(self, sink: Sink, path: Path, *, log: str = "gateway", flush_us: int = 10_000_000) -> None:
        """`flush_us`: how long the gateway may keep a line before it writes it (Envoy: --file-flush-interval-msec)."""
        self._sink = sink
        self._path = path
        self._log = log
        self._silence_us = flush_us + 1_000_000
        self._place = sink.saved()
        self._file: FileIO | None = None
        self.is_at_end = False
        """Whether the last look found nothing that was not taken before."""
        self._watermark_us = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-log", daemon=True)

    def start(self) -> None:
        """Begin to follow the file; it need not exist yet."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the transaction under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._close()

    def step(self) -> bool:
        """Take what can be taken in one transaction; False when there was nothing to do."""
        now_us = self._sink.clock_us()
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return False
        if not self._place.is_in(self._file):
            self._place = Place(inode=os.fstat(self._file.fileno()).st_ino)  # truncated, or never read
        is_rotated = self._is_rotated(self._file)  # asked before reading: what was written until then is read first
        if lines := _whole_lines(self._file, self._place.position):
            self._take(lines)
            return True
        if is_rotated:
            self._close()
            self._place = Place()
            return True
        self._advance(now_us - self._silence_us)
        return False

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.is_at_end = False
            try:
                is_busy = self.step()
                self.is_at_end = not is_busy
            except (OSError, TurnoutError) as error:
                _log.warning("gateway log %s: %s; trying again", self._path, error)
                is_busy = False
            except Exception:  # noqa: BLE001  a mistake of ours must not end the gateway's evidence for good
                _log.exception("gateway log %s: trying again", self._path)
                is_busy = False
            if not is_busy:
                self._stopping.wait(_POLL_S)

    def _open(self) -> FileIO | None:
        """The file in which reading was going on, whatever its name is now; else the one at the path."""
        candidates = (self._path, *sorted(self._path.parent.glob(f"{self._path.name}?*")))
        for path in candidates if self._place.inode else (self._path,):
            try:
                file = path.open("rb", buffering=0)
            except OSError:
                continue  # not written yet, or just removed
            if self._place.is_in(file) or not self._place.inode:
                return file
            file.close()
        if not self._place.inode:
            return None
        self._place = Place()  # the file is gone for good
        return self._open()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _is_rotated(self, file: FileIO) -> bool:
        """Whether the gateway writes to another file by now: not already when that was created, empty."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return there.st_ino != os.fstat(file.fileno()).st_ino and there.st_size > 0

    def _take(self, lines: bytes) -> None:
        if self._file is None:
            return
        position = self._place.position + len(lines)
        head_bytes = min(position, _HEAD_BYTES)
        place = Place(
            inode=self._place.inode,
            position=position,
            head_bytes=head_bytes,
            head_digest=_digest(self._file, head_bytes),
        )
        requests = list(self._parsed(lines))
        seen_us = max((request.ended_us for request in requests), default=0) - _DISORDER_US
        self._commit(
            [request for request in requests if access_log.is_kept(request)], watermark_us=seen_us, place=place
        )

    def _parsed(self, lines: bytes) -> Iterator[GatewayRequest]:
        position = self._place.position
        for line in lines.splitlines(keepends=True):
            place = f"{self._log}:{self._place.inode}:{position}"
            position += len(line)
            try:
                yield access_log.parse(line.strip(), place=place)
            except InputError as error:
                _log.warning("gateway log %s, byte %d: left out, %s", self._path, position - len(line), error)

    def _advance(self, until_us: int) -> None:
        if until_us >= self._watermark_us + _IDLE_STEP_US:
            self._commit([], watermark_us=until_us, place=self._place)

    def _commit(self, requests: list[GatewayRequest], *, watermark_us: int, place: Place) -> None:
        """Only when it is kept, the place is ours."""
        self._watermark_us = max(self._watermark_us, watermark_us)
        self._sink.keep(requests, watermark_us=self._watermark_us, place=place)
        self._place = place


def _whole_lines(file: FileIO, position: int) -> bytes:
    """The next lines that end, at most a chunk of them; a single longer one is taken whole."""
    file.seek(position)
    data = file.read(_CHUNK) or b""
    if len(data) == _CHUNK and b"\n" not in data:
        data += file.readline()
    return data[: data.rfind(b"\n") + 1]


def _digest(file: FileIO, length: int) -> str:
    return hashlib.sha256(os.pread(file.fileno(), length, 0)).hexdigest()
