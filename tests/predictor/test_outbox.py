"""Segments reach the ledger exactly once in effect, and nothing that it says can block the rest."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.predictor.ledgers import FakeLedger
from turnout.errors import InputError, Unavailable
from turnout.predictor import outbox
from turnout.predictor.gaps import Gap
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.outbox import REJECTED_FILE, Outbox
from turnout.predictor.prediction_log import PredictionLog, segments

REST = b'"rows":1}'


@pytest.fixture
def log(tmp_path: Path, identity: Identity) -> PredictionLog:
    return PredictionLog(tmp_path / "log", identity)


@pytest.fixture
def box(log: PredictionLog, identity: Identity, ledger: FakeLedger, token_file: Path) -> Outbox:
    return Outbox(log.folder, identity, LedgerConnection(ledger.url, str(token_file), timeout_s=5.0), log.gaps)


def fill(log: PredictionLog, *ids: str) -> None:
    log.append([(prediction_id, REST) for prediction_id in ids])
    log.seal()


def rejected(log: PredictionLog) -> list[dict[str, str]]:
    return [orjson.loads(line) for line in (log.folder / REJECTED_FILE).read_bytes().splitlines()]


def test_segments_are_delivered_in_order_and_deleted(log: PredictionLog, box: Outbox, ledger: FakeLedger) -> None:
    fill(log, "a", "b")
    fill(log, "c")

    assert box.ship(until_us=log.sealed_until_us)

    assert list(ledger.events) == ["a", "b", "c"]
    assert segments(log.folder) == []
    assert box.acknowledged == 3
    assert not box.ship(until_us=log.sealed_until_us)


def test_a_post_says_whose_log_it_is_and_how_far_it_is_complete(
    log: PredictionLog, box: Outbox, ledger: FakeLedger
) -> None:
    fill(log, "a")
    box.ship()
    box.heartbeat(watermark_us=log.sealed_until_us)

    first, second = ledger.posts
    assert first["watermark_us"] < ledger.events["a"]["time_us"] <= second["watermark_us"]
    assert (second["events"], second["final"]) == (0, False)
    assert {key: first[key] for key in ("log", "namespace", "endpoint", "version")} == {
        "log": "digits-v4-predictor-abcde",
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v4",
    }


def test_long_segments_go_in_several_posts(
    log: PredictionLog, box: Outbox, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH_RECORDS", 3)
    fill(log, *"abcdefgh")
    box.ship()

    assert [post["events"] for post in ledger.posts] == [3, 3, 2]
    assert ledger.late == []


def test_fat_records_go_in_several_posts(
    log: PredictionLog, box: Outbox, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH_BYTES", 10)
    fill(log, *"abc")
    box.ship()

    assert [post["events"] for post in ledger.posts] == [1, 1, 1]


def test_a_segment_stays_until_all_of_it_is_acknowledged(log: PredictionLog, box: Outbox, ledger: FakeLedger) -> None:
    fill(log, "a")
    ledger.status = 503
    with pytest.raises(Unavailable, match="wanted 200, found 503"):
        box.ship()
    assert len(segments(log.folder)) == 1
    ledger.status = 200
    box.ship()

    assert ledger.arrivals == {"a": 1}
    assert segments(log.folder) == []


def test_rejected_records_are_set_aside_and_the_others_arrive(
    log: PredictionLog, box: Outbox, ledger: FakeLedger
) -> None:
    ledger.reject = {"b"}
    fill(log, "a", "b", "c")
    box.ship()

    assert list(ledger.events) == ["a", "c"]
    assert (box.acknowledged, box.rejected) == (2, 1)
    assert [(entry["reason"], orjson.loads(entry["record"])["id"]) for entry in rejected(log)] == [("not wanted", "b")]
    assert segments(log.folder) == []


def test_a_record_that_spoils_its_batch_is_found_and_set_aside(
    log: PredictionLog, box: Outbox, ledger: FakeLedger
) -> None:
    ledger.poison = b'"e"'
    fill(log, *"abcdefgh")
    box.ship()

    assert sorted(ledger.events) == [*"abcdfgh"]
    assert "refused with 422" in rejected(log)[0]["reason"]
    assert box.rejected == 1


def test_gaps_are_told_before_what_is_later_and_then_forgotten(
    log: PredictionLog, box: Outbox, ledger: FakeLedger
) -> None:
    fill(log, "a")
    lost = log.gaps.add(Gap(log.sealed_until_us + 1, log.sealed_until_us + 2, 2))
    log.seal()
    fill(log, "b")
    box.ship()

    told = [post for post in ledger.posts if post.get("dropped")]
    assert [post["dropped"] for post in told] == [[{"from_us": lost.from_us, "to_us": lost.to_us, "events": 2}]]
    assert told[0]["watermark_us"] < ledger.events["a"]["time_us"]
    assert log.gaps.pending() == []
    assert not box.ship()


def test_gaps_that_the_ledger_does_not_take_are_told_again(log: PredictionLog, box: Outbox, ledger: FakeLedger) -> None:
    log.gaps.add(Gap(1, 2, 2))
    ledger.status = 503
    with pytest.raises(Unavailable):
        box.ship()
    ledger.status = 200

    assert box.ship()
    assert ledger.last()["dropped"] == [{"from_us": 1, "to_us": 2, "events": 2}]


def test_what_is_set_aside_does_not_fill_the_disk(
    log: PredictionLog, box: Outbox, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REJECTED_BYTES", 100)
    ledger.reject = set("abcdef")
    fill(log, *"abcdef")
    box.ship()

    assert box.rejected == 6
    assert len(rejected(log)) < 6


def test_an_empty_segment_is_cleared_away(log: PredictionLog, box: Outbox, ledger: FakeLedger) -> None:
    (log.folder / "00000000000000000001.ndjson").touch()
    box.ship()

    assert segments(log.folder) == []
    assert ledger.posts == []


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (401, None, "wanted 200, found 401"),
        (500, None, "wanted 200, found 500"),
        (200, b"<html>", "wanted a ledger's answer"),
        (200, b"[]", "wanted a ledger's answer"),
        (200, b'{"rejected": [{}]}', "wanted a ledger's answer"),
    ],
)
def test_an_answer_that_is_no_ledgers_keeps_the_records(
    log: PredictionLog, box: Outbox, ledger: FakeLedger, status: int, answer: bytes | None, message: str
) -> None:
    ledger.status, ledger.answer = status, answer
    fill(log, "a")

    with pytest.raises(Unavailable, match=message):
        box.ship()
    assert len(segments(log.folder)) == 1


def test_a_refused_heartbeat_is_tried_again_later(box: Outbox, ledger: FakeLedger) -> None:
    ledger.status = 400

    with pytest.raises(Unavailable, match="refused with 400"):
        box.heartbeat(watermark_us=1)


def test_a_wrong_token_and_a_missing_one_keep_the_records(log: PredictionLog, box: Outbox, token_file: Path) -> None:
    fill(log, "a")
    token_file.write_text("another")
    with pytest.raises(Unavailable, match="found 401"):
        box.ship()
    token_file.unlink()
    with pytest.raises(Unavailable, match="cannot read the ledger's token"):
        box.ship()


def test_a_ledger_that_is_gone_keeps_the_records_and_one_that_is_back_gets_them(
    log: PredictionLog, box: Outbox, ledger: FakeLedger
) -> None:
    fill(log, "a")
    box.ship()
    ledger.close()
    fill(log, "b")
    with pytest.raises(Unavailable, match="does not answer"):
        box.ship()

    again = FakeLedger(ledger.port)
    box.ship()
    again.close()

    assert list(again.events) == ["b"]


@pytest.mark.parametrize("url", ["", "ledger:8080", "ftp://ledger", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="ledger_url: wanted http://host:port"):
        LedgerConnection(url, "token")
