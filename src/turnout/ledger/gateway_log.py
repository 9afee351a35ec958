"""Follows a gateway's access log file into the ledger.

Where reading goes on is kept in the database and written in the same transaction as the rows that were read, so a kill
at any moment neither loses a line nor takes one twice. Only whole lines are taken. A file that was renamed is read to
its end before the next one is begun; one that was truncated is begun again, which the digest of its first bytes tells
also when it has grown since.

The watermark: lines come in the order in which answers end, so it follows the last line with a small allowance; while
nothing comes it follows the clock, behind the longest time that the gateway keeps lines in memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from turnout.errors import InputError, TurnoutError
from turnout.ledger import access_log, gateway
from turnout.ledger.gateway import GatewayBatch, GatewayRequest
from turnout.ledger.schema import GATEWAY_TAILS
from turnout.ledger.store import Store

__all__ = ["GatewayLogTailer"]

_POLL_S = 0.2
_CHUNK = 256 * 1024
_HEAD_BYTES = 256
_DISORDER_US = 500_000  # a gateway's threads write next to each other
_IDLE_STEP_US = 1_000_000  # how often the watermark moves while nothing comes
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Place:
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


class GatewayLogTailer:
    """Reads one file for ever, on its own thread between `start` and `stop`."""

    def __init__(self, store: Store, path: Path, *, log: str = "gateway", flush_us: int = 10_000_000) -> None:
        """`flush_us`: how long the gateway may keep a line before it writes it (Envoy: --file-flush-interval-msec)."""
        self._store = store
        self._path = path
        self._log = log
        self._silence_us = flush_us + 1_000_000
        self._place = store.read(self._saved).result()
        self._file: FileIO | None = None
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
        now_us = self._store.clock_us()
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return False
        if not self._place.is_in(self._file):
            self._place = _Place(inode=os.fstat(self._file.fileno()).st_ino)  # truncated, or never read
        is_rotated = self._is_rotated(self._file)  # asked before reading: what was written until then is read first
        if lines := _whole_lines(self._file, self._place.position):
            self._take(lines)
            return True
        if is_rotated:
            self._close()
            self._place = _Place()
            return True
        self._advance(now_us - self._silence_us)
        return False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                is_busy = self.step()
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
        self._place = _Place()  # the file is gone for good
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
        place = _Place(
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

    def _commit(self, requests: list[GatewayRequest], *, watermark_us: int, place: _Place) -> None:
        """Rows, watermark and place in one transaction; only then is the place ours."""
        self._watermark_us = max(self._watermark_us, watermark_us)
        batch = GatewayBatch(
            log=self._log, watermark_us=self._watermark_us, final=False, requests=requests, rejected=[]
        )

        def write(connection: Connection) -> None:
            gateway.take(connection, batch, now_us=self._store.clock_us())
            connection.execute(delete(GATEWAY_TAILS).where(GATEWAY_TAILS.c.path == str(self._path)))
            connection.execute(insert(GATEWAY_TAILS).values(path=str(self._path), **asdict(place)))

        self._store.write(write).result()
        self._place = place

    def _saved(self, connection: Connection) -> _Place:
        columns = (getattr(GATEWAY_TAILS.c, field.name) for field in fields(_Place))
        found = connection.execute(select(*columns).where(GATEWAY_TAILS.c.path == str(self._path))).one_or_none()
        return _Place(**found._mapping) if found else _Place()


def _whole_lines(file: FileIO, position: int) -> bytes:
    """The next lines that end, at most a chunk of them; a single longer one is taken whole."""
    file.seek(position)
    data = file.read(_CHUNK) or b""
    if len(data) == _CHUNK and b"\n" not in data:
        data += file.readline()
    return data[: data.rfind(b"\n") + 1]


def _digest(file: FileIO, length: int) -> str:
    return hashlib.sha256(os.pread(file.fileno(), length, 0)).hexdigest()
