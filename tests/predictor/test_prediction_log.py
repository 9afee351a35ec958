"""Records are on disk before their replies, times never fall, and what is sealed is never written again."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from turnout.errors import Conflict, DataError, NotFound
from turnout.predictor import prediction_log
from turnout.predictor.identity import Identity
from turnout.predictor.prediction_log import PredictionLog, backlog_bytes, lock, read_identity, read_records, segments

REST = b'"rows":1}'


def records(*ids: str) -> list[tuple[str, bytes]]:
    return [(prediction_id, REST) for prediction_id in ids]


def on_disk(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for segment in segments(folder) for line in read_records(segment.path)]


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now_us: int = 1_000_000) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, identity: Identity, clock: Clock) -> PredictionLog:
    return PredictionLog(tmp_path / "log", identity, clock=clock)


def test_a_record_is_on_disk_when_append_returns(log: PredictionLog) -> None:
    log.append(records("a", "b"))

    assert [(record["id"], record["rows"]) for record in on_disk(log.folder)] == [("a", 1), ("b", 1)]
    assert log.appended == 2


def test_times_rise_even_when_the_clock_stands_still_or_goes_back(log: PredictionLog, clock: Clock) -> None:
    log.append(records("a", "b"))
    clock.now_us -= 500
    log.append(records("c"))
    log.seal()
    log.append(records("d"))

    times = [record["time_us"] for record in on_disk(log.folder)]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


def test_everything_up_to_the_watermark_is_sealed_and_the_rest_is_later(log: PredictionLog, clock: Clock) -> None:
    log.append(records("a"))
    assert segments(log.folder, until_us=log.sealed_until_us) == []
    clock.now_us += 10
    log.seal()
    log.append(records("b"))

    sealed = segments(log.folder, until_us=log.sealed_until_us)
    assert [record["id"] for segment in sealed for record in map(orjson.loads, read_records(segment.path))] == ["a"]
    assert on_disk(log.folder)[1]["time_us"] > log.sealed_until_us


def test_an_idle_log_moves_its_watermark_with_the_clock(log: PredictionLog, clock: Clock) -> None:
    clock.now_us += 5_000
    log.seal()

    assert log.sealed_until_us == clock.now_us
    assert segments(log.folder) == []


def test_a_large_segment_is_closed_without_waiting(tmp_path: Path, identity: Identity) -> None:
    log = PredictionLog(tmp_path, identity, segment_bytes=100)
    for index in range(20):
        log.append(records(f"{index}"))

    assert len(segments(tmp_path)) > 3
    assert len(on_disk(tmp_path)) == 20


def test_a_new_process_goes_on_later_than_the_old_one_ended(
    log: PredictionLog, identity: Identity, clock: Clock
) -> None:
    log.append(records("a", "b", "c"))
    log.close()
    clock.now_us -= 100

    again = PredictionLog(log.folder, identity, clock=clock)
    again.append(records("d"))

    times = [record["time_us"] for record in on_disk(log.folder)]
    assert times == sorted(set(times))


def test_a_torn_last_line_is_dropped(log: PredictionLog) -> None:
    log.append(records("a", "b"))
    log.seal()
    path = segments(log.folder)[0].path
    path.write_bytes(path.read_bytes()[:-5])

    assert [record["id"] for record in on_disk(log.folder)] == ["a"]


def test_a_damaged_segment_does_not_keep_the_next_process_from_starting(log: PredictionLog, identity: Identity) -> None:
    log.append(records("a"))
    log.close()
    segments(log.folder)[0].path.write_bytes(b"\0\0\0\n")

    PredictionLog(log.folder, identity).append(records("b"))


def test_when_the_disk_is_full_records_are_dropped_and_counted(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(prediction_log.os, "write", full)
        log.append(records("a", "b"))
        log.append(records("c"))
    log.append(records("d"))

    assert (log.appended, log.dropped) == (1, 3)
    assert [record["id"] for record in on_disk(log.folder)] == ["d"]
    assert caplog.text.count("No space left on device") == 1


def test_a_half_written_record_ends_its_segment(log: PredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    calls = itertools.count()

    def half(file: int, data: bytes) -> int:
        if next(calls):
            raise OSError(28, "No space left on device")
        return real(file, bytes(data)[: len(data) - 10])

    with monkeypatch.context() as patched:
        patched.setattr(prediction_log.os, "write", half)
        log.append(records("a", "b"))
    log.append(records("c"))

    assert (log.appended, log.dropped) == (2, 1)
    assert [record["id"] for record in on_disk(log.folder)] == ["a", "c"]


def test_a_folder_belongs_to_one_process_at_a_time(log: PredictionLog, identity: Identity) -> None:
    with pytest.raises(Conflict, match="in use by another process"):
        PredictionLog(log.folder, identity)
    log.close()

    os.close(lock(log.folder))


def test_a_folder_says_whose_log_it_is(log: PredictionLog, identity: Identity, tmp_path: Path) -> None:
    assert read_identity(log.folder) == identity
    with pytest.raises(NotFound, match="no predictor has kept its log here"):
        read_identity(tmp_path)
    for text, message in (("{", "not JSON"), ("{}", "wanted namespace, endpoint, version and pod")):
        (tmp_path / "log.json").write_text(text)
        with pytest.raises(DataError, match=message):
            read_identity(tmp_path)


def test_the_backlog_is_what_is_written_and_not_yet_acknowledged(log: PredictionLog) -> None:
    assert backlog_bytes(log.folder) == 0
    log.append(records("a"))
    path = segments(log.folder)[0].path
    assert backlog_bytes(log.folder) == path.stat().st_size
    path.unlink()

    assert backlog_bytes(log.folder) == 0
