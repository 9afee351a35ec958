"""The shipping thread: on time, patient, and done when told to finish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.predictor.ledgers import FakeLedger
from tests.predictor.processes import eventually
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.outbox import Outbox
from turnout.predictor.prediction_log import PredictionLog, segments
from turnout.predictor.shipper import Shipper


@pytest.fixture
def log(tmp_path: Path, identity: Identity) -> PredictionLog:
    return PredictionLog(tmp_path / "log", identity)


@pytest.fixture
def shipper(log: PredictionLog, identity: Identity, ledger: FakeLedger, token_file: Path) -> Iterator[Shipper]:
    box = Outbox(log.folder, identity, LedgerConnection(ledger.url, str(token_file), timeout_s=5.0))
    found = Shipper(log, box)
    found.start()
    yield found
    found.finish(timeout_s=10.0)


def record(log: PredictionLog, *ids: str) -> None:
    log.append([(prediction_id, b'"rows":1}') for prediction_id in ids])


def test_records_arrive_and_heartbeats_go_on_without_any(
    log: PredictionLog, shipper: Shipper, ledger: FakeLedger
) -> None:
    record(log, "a")
    log.seal()
    eventually(lambda: "a" in ledger.events)
    log.seal()

    eventually(lambda: ledger.last()["watermark_us"] >= log.sealed_until_us)
    assert ledger.late == []


def test_a_lost_ledger_gets_everything_when_it_is_back(
    log: PredictionLog, shipper: Shipper, ledger: FakeLedger
) -> None:
    ledger.status = 503
    eventually(lambda: not shipper.available)
    record(log, "a", "b")
    log.seal()
    ledger.status = 200

    eventually(lambda: sorted(ledger.events) == ["a", "b"])
    eventually(lambda: shipper.available)
    assert segments(log.folder) == []


def test_finishing_ships_the_rest_and_ends_the_log(log: PredictionLog, shipper: Shipper, ledger: FakeLedger) -> None:
    record(log, "a")
    log.seal()

    assert shipper.finish(timeout_s=10.0)
    assert list(ledger.events) == ["a"]
    assert ledger.is_final()


def test_finishing_without_a_ledger_says_so_and_keeps_the_records(
    log: PredictionLog, shipper: Shipper, ledger: FakeLedger
) -> None:
    ledger.status = 503
    record(log, "a")
    log.seal()

    assert not shipper.finish(timeout_s=10.0)
    assert len(segments(log.folder)) == 1
    ledger.status = 200


def test_a_mistake_of_ours_does_not_end_shipping(
    log: PredictionLog, shipper: Shipper, ledger: FakeLedger, caplog: pytest.LogCaptureFixture
) -> None:
    strange = log.folder / "00000000000000000001.ndjson"
    strange.mkdir()  # a folder where a segment should be: nobody expects that
    eventually(lambda: not shipper.available)
    strange.rmdir()
    record(log, "a")
    log.seal()

    eventually(lambda: "a" in ledger.events)
    assert "shipping failed" in caplog.text
