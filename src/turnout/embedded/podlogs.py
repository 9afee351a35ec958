"""The logs of pods as clients ask for them: this run or the one before, the last lines, since a time, with times.

Processes write their logs themselves and go on without the engine, so a line does not carry the time when it was
written. The engine samples how long each log is, once a second, and knows a line's time to that second; a line that
was written while no engine looked gets the time of the next look.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from turnout.embedded.api.logs import LogOptions
from turnout.embedded.supervision import logfiles
from turnout.embedded.supervision.processes import State

__all__ = ["PodLogs"]

_SAMPLE, _START = "size", "start"


@dataclass(frozen=True)
class _Index:
    """What is known of a log: where runs began, and how long it was when."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    times: tuple[float, ...]

    def time_of(self, end: int, *, otherwise: float) -> float:
        """When the line that ends at this offset was there for the first time."""
        place = bisect.bisect_left(self.sizes, end)
        return self.times[place] if place < len(self.times) else otherwise


class PodLogs:
    """Reads logs, and keeps their indexes; `state_of` gives the process of a name."""

    def __init__(self, folder: Path, *, state_of: Callable[[str], State | None]) -> None:
        self._folder, self._state_of = folder, state_of
        self._sizes: dict[Path, int] = {}
        self._starts: dict[str, int] = {}

    def note_start(self, name: str) -> None:
        """Remember where the present run of a process begins in its log."""
        state = self._state_of(name)
        if state is not None and self._starts.get(name) != state.log_offset:
            self._starts[name] = state.log_offset
            _append(logfiles.path_of(self._folder, name), f"{_START} {state.log_offset}")

    def sample(self, *, now: float) -> None:
        """Write down how long the logs have become."""
        for path in self._folder.glob("*.log"):
            size, before = path.stat().st_size, self._sizes.get(path, 0)
            if size < before:  # it was cut: what was known is about bytes that are gone
                _index_of(path).unlink(missing_ok=True)
            if size != before:
                self._sizes[path] = size
                _append(path, f"{_SAMPLE} {size} {now:.3f}")

    def read(self, name: str, options: LogOptions, *, now: float) -> Iterator[bytes]:
        """The pieces of a log; with `follow` they do not end, and are empty now and then."""
        path = logfiles.path_of(self._folder, name)
        begin, end = self._run(name, path, is_previous=options.previous)
        index = _read_index(path)
        lines = _lines(path, begin, end)
        timed = [(index.time_of(offset, otherwise=now), line) for offset, line in lines]
        if options.since is not None:
            timed = [(time, line) for time, line in timed if time >= options.since]
        if options.tail_lines is not None:
            timed = timed[len(timed) - min(options.tail_lines, len(timed)) :]
        yield b"".join(_shown(line, time, with_time=options.timestamps) for time, line in timed)
        if options.follow and not options.previous:
            yield from _followed(path, lines[-1][0] if lines else begin, with_time=options.timestamps)

    def _run(self, name: str, path: Path, *, is_previous: bool) -> tuple[int, int | None]:
        """Where the run that is asked for begins and ends in the log."""
        state = self._state_of(name)
        begin = state.log_offset if state is not None else 0
        if not is_previous or state is None or not state.pid:  # between two runs the last one is the previous one
            return begin, None
        before = [start for start in _read_index(path).starts if start < begin]
        return (before[-1] if before else 0), begin


def _index_of(log: Path) -> Path:
    return log.with_name(f"{log.name}.index")


def _append(log: Path, line: str) -> None:
    with _index_of(log).open("a", encoding="ascii") as file:
        file.write(line + "\n")


def _read_index(log: Path) -> _Index:
    path = _index_of(log)
    entries = [line.split() for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []
    samples = [entry for entry in entries if entry[:1] == [_SAMPLE] and len(entry) == 3]
    return _Index(
        starts=tuple(int(entry[1]) for entry in entries if entry[:1] == [_START] and len(entry) == 2),
        sizes=tuple(int(entry[1]) for entry in samples),
        times=tuple(float(entry[2]) for entry in samples),
    )


def _lines(path: Path, begin: int, end: int | None) -> list[tuple[int, bytes]]:
    """The lines of a part of a log, each with the offset of its end."""
    content = logfiles.read(path, offset=begin)
    offset, found = begin, []
    for line in content[: None if end is None else end - begin].splitlines(keepends=True):
        offset += len(line)
        found.append((offset, line))
    return found


def _followed(path: Path, offset: int, *, with_time: bool) -> Iterator[bytes]:
    for piece in logfiles.follow(path, offset=offset):
        now = datetime.now(UTC).timestamp()
        yield b"".join(_shown(line, now, with_time=with_time) for line in piece.splitlines(keepends=True))


def _shown(line: bytes, time: float, *, with_time: bool) -> bytes:
    if not with_time:
        return line
    moment = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{moment}000Z ".encode() + line
