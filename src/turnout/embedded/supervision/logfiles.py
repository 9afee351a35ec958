"""Logs of supervised processes: one file each, appended to; a long one is moved aside once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["follow", "last_line", "path_of", "read", "rotate_all"]

_LONGEST_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_POLL_S = 0.1


def path_of(folder: Path, name: str) -> Path:
    """The log of one process."""
    return folder / f"{name}.log"


def rotate_all(folder: Path, *, longest_bytes: int = _LONGEST_BYTES) -> None:
    """Copy what has grown too long to NAME.log.1 and empty it.

    The writers hold the file open for appending, so it cannot be renamed away from them; what they write between the
    copy and the cut is lost.
    """
    for path in folder.glob("*.log"):
        if path.stat().st_size > longest_bytes:
            path.with_name(f"{path.name}.1").write_bytes(path.read_bytes())
            os.truncate(path, 0)


def last_line(path: Path, *, offset: int = 0, until: int | None = None) -> str:
    """The last line with something in it that was written after `offset`, and before `until`."""
    start = _start(path, offset) if until is None else max(offset, until - _TAIL_BYTES, 0)
    content = _bytes_from(path, start)
    if until is not None:
        content = content[: max(until - start, 0)]
    lines = content.decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def read(path: Path, *, offset: int = 0, tail_lines: int | None = None) -> bytes:
    """What was written after `offset`, or the last lines of it."""
    content = _bytes_from(path, offset)
    if tail_lines is None:
        return content
    lines = content.splitlines(keepends=True)
    return b"".join(lines[len(lines) - min(tail_lines, len(lines)) :])


def follow(path: Path, *, offset: int) -> Iterator[bytes]:
    """What is written from now on; an empty piece at least every tenth of a second, so that a reader may leave."""
    while True:
        size = path.stat().st_size if path.exists() else 0
        offset = min(offset, size)  # it was cut: begin again
        content = _bytes_from(path, offset)
        offset += len(content)
        yield content
        if not content:
            time.sleep(_POLL_S)


def _start(path: Path, offset: int) -> int:
    size = path.stat().st_size if path.exists() else 0
    return max(min(offset, size), size - _TAIL_BYTES)


def _bytes_from(path: Path, offset: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(min(offset, size))
        return file.read()
