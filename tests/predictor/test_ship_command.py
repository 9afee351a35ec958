"""`python -m turnout.predictor.ship`: the records of a dead Pod, delivered once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.predictor.ledgers import FakeLedger
from turnout.predictor import ship
from turnout.predictor.identity import Identity
from turnout.predictor.prediction_log import PredictionLog, segments


@pytest.fixture
def left_behind(tmp_path: Path, identity: Identity) -> Path:
    log = PredictionLog(tmp_path / "log", identity)
    log.append([("a", b'"rows":1}'), ("b", b'"rows":1}')])
    log.close()
    return log.folder


def flags(folder: Path, ledger: FakeLedger, token_file: Path) -> list[str]:
    return [f"--log_dir={folder}", f"--ledger_url={ledger.url}", f"--ledger_token_file={token_file}", "--timeout_s=0.2"]


def test_what_is_left_is_delivered_and_the_log_ended(
    left_behind: Path, ledger: FakeLedger, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ship.main(flags(left_behind, ledger, token_file), {}) == 0

    assert sorted(ledger.events) == ["a", "b"]
    assert ledger.last()["log"] == "digits-v4-predictor-abcde"
    assert ledger.is_final()
    assert segments(left_behind) == []
    assert "digits-v4-predictor-abcde: 2 records delivered, log ended" in capsys.readouterr().out


def test_it_may_be_said_again(left_behind: Path, ledger: FakeLedger, token_file: Path) -> None:
    ship.main(flags(left_behind, ledger, token_file), {})

    assert ship.main(flags(left_behind, ledger, token_file), {}) == 0
    assert ledger.arrivals == {"a": 1, "b": 1}


def test_the_command_line_overrules_the_folder(left_behind: Path, ledger: FakeLedger, token_file: Path) -> None:
    names = ["--log=other", "--namespace=shop", "--endpoint=cats", "--version=cats-v1"]
    (left_behind / "log.json").unlink()

    assert ship.main([*flags(left_behind, ledger, token_file), *names], {}) == 0
    assert {key: ledger.last()[key] for key in ("log", "namespace", "endpoint", "version")} == {
        "log": "other",
        "namespace": "shop",
        "endpoint": "cats",
        "version": "cats-v1",
    }


def test_the_log_of_a_living_process_is_left_alone(
    tmp_path: Path, identity: Identity, ledger: FakeLedger, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = PredictionLog(tmp_path / "log", identity)

    assert ship.main(flags(log.folder, ledger, token_file), {}) == 1
    assert "Conflict" in capsys.readouterr().err
    assert ledger.posts == []


def test_without_a_ledger_it_fails_and_keeps_the_records(
    left_behind: Path, ledger: FakeLedger, token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.status = 503

    assert ship.main(flags(left_behind, ledger, token_file), {}) == 1
    assert "Unavailable" in capsys.readouterr().err
    assert len(segments(left_behind)) == 1


@pytest.mark.parametrize(("name", "message"), [("", "no predictor has kept its log here"), ("none", "not found")])
def test_a_folder_that_is_no_log_is_said_to_be_none(  # the folder exists or not
    tmp_path: Path, ledger: FakeLedger, token_file: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert ship.main(flags(tmp_path / name, ledger, token_file), {}) == 1
    assert message in capsys.readouterr().err


def test_a_url_that_is_none_is_wrong_use(left_behind: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship.main([f"--log_dir={left_behind}", "--ledger_url=nonsense"], {}) == 2
    assert "ledger_url: wanted http://host:port" in capsys.readouterr().err


def test_the_logs_of_all_workers_are_delivered_each_under_its_name(
    left_behind: Path, identity: Identity, ledger: FakeLedger, token_file: Path
) -> None:
    worker = PredictionLog(left_behind / "worker-1", replace(identity, pod=f"{identity.pod}.worker-1"))
    worker.append([("c", b'"rows":1}')])
    worker.close()

    assert ship.main(flags(left_behind, ledger, token_file), {}) == 0
    assert sorted(ledger.events) == ["a", "b", "c"]
    ended = {post["log"] for post in ledger.posts if post["final"]}
    assert ended == {"digits-v4-predictor-abcde", "digits-v4-predictor-abcde.worker-1"}
