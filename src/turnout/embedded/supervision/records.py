"""Pid records: one small file for each supervised process, so that the next engine finds what the last one left."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from turnout.embedded.supervision import procfs

__all__ = ["Record", "forget", "load", "path_of", "save", "write_aside"]


@dataclass(frozen=True)
class Record:
    """A supervised process. `pid` is 0 between its end and its next start."""

    name: str
    role: str
    argv: tuple[str, ...]
    port: int = 0
    pid: int = 0
    start: int = 0
    boot: str = ""
    started_at: float = 0.0  # seconds since the epoch
    restarts: int = 0
    exit_code: int | None = None  # of the last end; None also when another engine was its parent
    log_offset: int = 0  # where in its log this start begins
    grace_s: float = 10.0

    @property
    def identity(self) -> procfs.Identity:
        """The process that the record speaks of."""
        return procfs.Identity(pid=self.pid, start=self.start, boot=self.boot)

    @property
    def is_alive(self) -> bool:
        """Whether that process runs, and not another one that got its pid."""
        return self.pid > 0 and procfs.is_alive(self.identity)


def path_of(folder: Path, name: str) -> Path:
    """The file of one process."""
    return folder / f"{name}.json"


def save(folder: Path, record: Record) -> None:
    """Write a record aside and rename it, so that nobody ever reads half of one."""
    write_aside(path_of(folder, record.name), orjson.dumps(asdict(record)))


def write_aside(path: Path, content: bytes, *, mode: int = 0o600, is_durable: bool = False) -> None:
    """Replace a file in one step; who watches or reads it sees the old content or the new.

    A durable one is on the disk before it is renamed, so that this holds over a power failure, too.
    """
    aside = path.with_name(f".{path.name}.aside")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)


def forget(folder: Path, name: str) -> None:
    """Remove the record of a process that is gone for good."""
    path_of(folder, name).unlink(missing_ok=True)


def load(folder: Path) -> list[Record]:
    """All records; a file that is none (an older version's, a torn disk's) is left out."""
    found = []
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found.append(_parse(orjson.loads(file.read_bytes())))
    return found


def _parse(data: dict[str, Any]) -> Record:
    return Record(**{**data, "argv": tuple(data["argv"])})
