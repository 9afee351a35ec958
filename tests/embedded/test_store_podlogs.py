from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from turnout.embedded.api.logs import LogOptions
from turnout.embedded.podlogs import PodLogs
from turnout.embedded.supervision.processes import Phase, State

RUNNING = State(
    name="ns.p", role="r", phase=Phase.RUNNING, pid=7, port=1, started_at=1, restarts=0, exit_code=None, log_offset=0
)


class Log:
    """One log, its process, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.path, self.state = folder / "ns.p.log", RUNNING
        self.logs = PodLogs(folder, state_of=lambda name: self.state)

    def write(self, text: str, *, now: float) -> None:
        with self.path.open("a") as file:
            file.write(text)
        self.logs.sample(now=now)

    def restart(self) -> None:
        self.state = replace(self.state, log_offset=self.path.stat().st_size)
        self.logs.note_start("ns.p")

    def read(self, options: LogOptions) -> str:
        return next(self.logs.read("ns.p", options, now=1000.0)).decode()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_lines_since_a_time_are_those_that_were_not_there_before_it(log: Log) -> None:
    log.write("one\n", now=10.0)
    log.write("two\nthree\n", now=20.0)
    assert log.read(LogOptions(since=15.0)) == "two\nthree\n"
    assert log.read(LogOptions(since=15.0, tail_lines=1)) == "three\n"


def test_lines_can_carry_their_times(log: Log) -> None:
    log.write("one\n", now=0.0)
    with log.path.open("a") as file:
        file.write("two\n")  # nobody has looked since
    first, second = log.read(LogOptions(timestamps=True)).splitlines()
    assert first == "1970-01-01T00:00:00.000000000Z one"
    assert second == "1970-01-01T00:16:40.000000000Z two"


def test_the_previous_run_ends_where_this_one_begins(log: Log) -> None:
    for word in ("first", "second", "third"):
        log.restart() if log.path.exists() else log.logs.note_start("ns.p")
        log.write(f"{word}\n", now=1.0)
    assert log.read(LogOptions()) == "third\n"
    assert log.read(LogOptions(previous=True)) == "second\n"


def test_between_two_runs_the_last_one_is_the_previous_one(log: Log) -> None:
    log.write("first\n", now=1.0)
    log.state = replace(log.state, pid=0, phase=Phase.BACKOFF)
    assert log.read(LogOptions(previous=True)) == "first\n"


def test_an_index_does_not_outlive_the_lines_that_it_is_about(log: Log) -> None:
    log.write("a long line that is cut\n", now=10.0)
    log.path.write_text("")
    log.write("new\n", now=50.0)
    assert log.read(LogOptions(since=40.0)) == "new\n"


def test_following_goes_on_where_reading_ended(log: Log) -> None:
    log.write("one\n", now=1.0)
    pieces = log.logs.read("ns.p", LogOptions(follow=True), now=2.0)
    assert next(pieces) == b"one\n"
    log.write("two\n", now=3.0)
    assert next(piece for piece in pieces if piece) == b"two\n"
