"""An answered request is a recorded request, however the process ends."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.predictor import models
from tests.predictor.ledgers import FakeLedger
from tests.predictor.processes import Predictor, ended, eventually, post

pytestmark = pytest.mark.e2e

Launch = Callable[..., Predictor]

ROW = [5.1, 3.5, 1.4, 0.2]
V1 = orjson.dumps({"instances": [ROW]})
V2_DOCUMENT = {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}]}
V2 = orjson.dumps(V2_DOCUMENT)


def recording(log_dir: Path, ledger: FakeLedger, token_file: Path) -> dict[str, str]:
    """What the engine puts into a predictor's environment."""
    return {
        "POD_NAME": "digits-v4-predictor-abcde",
        "POD_NAMESPACE": "default",
        "TURNOUT_LEDGER_URL": ledger.url,
        "TURNOUT_LEDGER_TOKEN_FILE": str(token_file),
        "TURNOUT_PREDICTION_LOG_DIR": str(log_dir),
    }


def answers(predictor: Predictor, count: int) -> list[str]:
    return [predictor.call("POST", "/v2/models/digits/infer", V2).headers["x-turnout-id"] for _ in range(count)]


def test_an_answered_prediction_is_in_the_ledger_with_all_that_was_said(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    before_us = time.time_ns() // 1000
    served = launch(iris, environment=recording(tmp_path / "log", ledger, token_file))
    headers = {
        "x-turnout-assigned": "digits-v4;p=0.20;rev=k3x9",
        "x-request-id": "r-1",
        "x-turnout-caller-id": "mine",
    }
    reply = served.call("POST", "/v2/models/digits/infer", V2, headers)

    found = eventually(lambda: ledger.events.get(reply.headers["x-turnout-id"]))
    assert before_us < found.pop("time_us") <= time.time_ns() // 1000
    assert found.pop("duration_us") > 0
    assert found == {
        "id": reply.headers["x-turnout-id"],
        "namespace": "default",
        "endpoint": "digits",
        "version": "digits-v4",
        "pod": "digits-v4-predictor-abcde",
        "protocol": "v2",
        "rows": 1,
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}],
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [0]}],
        "stamp": "digits-v4;p=0.20;rev=k3x9",
        "request_id": "r-1",
        "caller_id": "mine",
        "shadow": False,
    }
    eventually(lambda: b'state="acknowledged"} 1\n' in served.get("/metrics").body)


def test_heartbeats_come_at_least_every_half_second(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    launch(iris, environment=recording(tmp_path / "log", ledger, token_file))
    eventually(lambda: len(ledger.posts) >= 4)

    marks = [beat["watermark_us"] for beat in ledger.posts]
    gaps_us = [later - earlier for earlier, later in itertools.pairwise(marks)]
    assert all(gap_us >= 0 for gap_us in gaps_us)
    assert sorted(gaps_us)[len(gaps_us) // 2] <= 500_000


def test_on_sigterm_it_turns_not_ready_answers_on_and_ships_everything(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    served = launch(iris, environment=recording(tmp_path / "log", ledger, token_file))
    ids = answers(served, 20)
    served.process.terminate()
    eventually(lambda: served.get("/v2/health/ready").status == 503)
    late = served.call("POST", "/v2/models/digits/infer", V2)

    assert (late.status, late.headers["connection"]) == (200, "close")
    assert served.get("/v2/models/digits/ready").status == 503
    assert served.get("/v2/health/live").status == 200
    assert served.stop() == 0
    assert set(ledger.events) == {*ids, late.headers["x-turnout-id"]}
    assert ledger.is_final()
    assert not list((tmp_path / "log").glob("*.ndjson"))


def test_on_sigterm_a_quiet_predictor_does_not_use_up_its_grace(launch: Launch, iris: models.Artifact) -> None:
    served = launch(iris, "--grace_s=60")

    assert served.stop(timeout_s=10.0) == 0


def test_without_a_ledger_predictions_go_on_and_arrive_later(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    ledger.status = 503
    served = launch(iris, environment=recording(tmp_path / "log", ledger, token_file))
    ids = answers(served, 10)
    eventually(lambda: "records wait in" in served.stderr)
    ids += answers(served, 10)
    ledger.status = 200

    eventually(lambda: set(ledger.events) == set(ids))
    assert ledger.late == []


def test_records_left_without_a_ledger_are_delivered_by_the_one_shot_shipper(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    served = launch(iris, environment={"TURNOUT_PREDICTION_LOG_DIR": str(tmp_path / "log"), "POD_NAME": "gone"})
    ids = answers(served, 5)
    served.kill()

    found = ended(
        sys.executable,
        "-m",
        "turnout.predictor.ship",
        f"--log_dir={tmp_path / 'log'}",
        f"--ledger_url={ledger.url}",
        f"--ledger_token_file={token_file}",
    )

    assert (found.returncode, found.stderr) == (0, "")
    assert set(ledger.events) == set(ids)
    assert (ledger.last()["log"], ledger.is_final()) == ("gone", True)


class Load:
    """Clients that ask as fast as they can, and remember which answers they got."""

    def __init__(self, predictor: Predictor, clients: int) -> None:
        self.answered: list[str] = []
        self._predictor = predictor
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        try:
            with self._predictor.connect() as connection:
                while True:
                    connection.send(post("/v2/models/digits/infer", V2))
                    self.answered.append(connection.read().headers["x-turnout-id"])
        except (OSError, EOFError, KeyError):
            return  # killed


def test_killed_under_load_every_answered_prediction_is_delivered(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    environment = recording(tmp_path / "log", ledger, token_file)
    clients, answered = 4, []
    for deaths in range(3):
        served = launch(iris, environment=environment)
        load = Load(served, clients)
        eventually(lambda load=load: len(load.answered) > 300)
        served.kill()
        load.join()
        answered += load.answered
        assert len(set(answered)) == len(answered), f"an id was given twice before death {deaths}"
    last = launch(iris, environment=environment)
    eventually(lambda: set(answered) <= set(ledger.events))

    assert last.stop() == 0
    # What is there beyond the answered ones was under way at a kill: at most one request per client.
    assert len(set(ledger.events) - set(answered)) <= 3 * clients
    assert ledger.late == []
