"""Records are on disk before their replies, times never fall, and what is sealed is never written again."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from turnout.errors import Conflict, DataError, Failed, NotFound
from turnout.predictor.gaps import Gap, Gaps
from turnout.predictor.identity import Identity
from turnout.predictor.prediction_log import (
    Bounds,
    PredictionLog,
    backlog_bytes,
    lock,
    read_identity,
    read_records,
    segments,
)

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
    assert b'"id":"b"' in segments(log.folder)[-1].path.read_bytes()


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """The kernel refuses to make any file of this process longer: what a full disk does, for real and for once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_cannot_be_written_is_lost_counted_and_noted_as_one_gap(
    log: PredictionLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.append(records("a"))
    with files_end_at(0):
        log.append(records("b", "c"))
        log.append(records("d"))
    log.append(records("e"))
    log.seal()

    kept = on_disk(log.folder)
    assert [record["id"] for record in kept] == ["a", "e"]
    assert (log.appended, log.dropped) == (2, 3)
    assert log.gaps.pending() == [Gap(kept[0]["time_us"] + 1, kept[1]["time_us"] - 1, 3)]
    assert caplog.text.count("File too large") == 1


def test_a_half_written_record_ends_its_segment(log: PredictionLog) -> None:
    log.append(records("a"))
    size = backlog_bytes(log.folder)
    with files_end_at(2 * size + 10):
        log.append(records("b", "c"))
    log.append(records("d"))

    assert (log.appended, log.dropped) == (3, 1)
    assert [record["id"] for record in on_disk(log.folder)] == ["a", "b", "d"]


def test_a_growing_gap_is_the_shippers_only_when_it_is_sealed(log: PredictionLog) -> None:
    with files_end_at(0):
        log.append(records("a"))
        assert log.gaps.pending(until_us=log.sealed_until_us) == []
        log.seal()
        log.append(records("b"))

    assert [gap.events for gap in log.gaps.pending()] == [1, 1]
    assert [gap.events for gap in log.gaps.pending(until_us=log.sealed_until_us)] == [1]


def test_beyond_its_bytes_the_oldest_segments_are_given_up(tmp_path: Path, identity: Identity, clock: Clock) -> None:
    log = PredictionLog(tmp_path, identity, bounds=Bounds(max_bytes=200), clock=clock)
    for name in "abcdef":
        log.append(records(name))
        log.seal()
        clock.now_us += 2_000_000
    size = backlog_bytes(tmp_path) // 6
    log.pulse(ledger_takes=False)

    assert "".join(record["id"] for record in on_disk(tmp_path)) == "abcdef"[-(200 // size) :]
    gaps = log.gaps.pending()
    assert sum(gap.events for gap in gaps) == log.dropped == 6 - 200 // size
    assert gaps[-1].to_us < on_disk(tmp_path)[0]["time_us"]


def test_what_waited_too_long_is_given_up_also_when_an_earlier_process_left_it(
    log: PredictionLog, identity: Identity, clock: Clock
) -> None:
    log.append(records("a", "b"))
    log.close()
    clock.now_us += 11_000_000
    again = PredictionLog(log.folder, identity, bounds=Bounds(max_age_s=10.0), clock=clock)
    again.append(records("c"))
    again.pulse(ledger_takes=True)
    clock.now_us += 2_000_000
    again.pulse(ledger_takes=True)

    assert [record["id"] for record in on_disk(log.folder)] == ["c"]
    assert [gap.events for gap in again.gaps.pending()] == [2]


def test_gaps_outlive_their_process(log: PredictionLog, identity: Identity) -> None:
    with files_end_at(0):
        log.append(records("a"))
    log.close()

    assert [gap.events for gap in Gaps(log.folder).pending()] == [1]
    assert PredictionLog(log.folder, identity).gaps.pending() == log.gaps.pending()


def test_without_a_ledger_that_takes_them_segments_are_minutes_long(log: PredictionLog, clock: Clock) -> None:
    for _ in range(200):
        log.append(records("a"))
        clock.now_us += 200_000
        log.pulse(ledger_takes=False)
    assert len(segments(log.folder)) == 1
    for _ in range(200):
        log.append(records("a"))
        clock.now_us += 200_000
        log.pulse(ledger_takes=False)

    assert len(segments(log.folder)) == 2


def test_a_gap_that_not_even_a_name_can_be_written_for_is_kept_in_memory(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path / "missing")
    first = gaps.add(Gap(1, 2, 2))
    grown = gaps.add(Gap(5, 5, 1), extending=first)
    (tmp_path / "missing").mkdir()

    assert gaps.pending() == [grown] == [Gap(1, 5, 3)]
    assert gaps.add(Gap(6, 6, 1), extending=grown) == Gap(1, 6, 4)
    assert Gaps(tmp_path / "missing").pending() == [Gap(1, 6, 4)]
    gaps.forget(gaps.pending())
    assert gaps.pending() == []


def test_a_segment_that_was_shipped_meanwhile_is_no_gap(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path)

    assert not gaps.replace(tmp_path / "00000000000000000001.ndjson", Gap(1, 2, 3))
    assert (gaps.pending(), gaps.events) == ([], 0)


def test_a_folder_that_cannot_be_used_is_said_to_be(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Failed, match="cannot be used for a prediction log: "):
        PredictionLog(tmp_path / "file", identity)


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
