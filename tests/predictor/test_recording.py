"""An answered request is a recorded request, however the process ends."""

from __future__ import annotations

import base64
import itertools
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.ledger.processes import LedgerProcess
from tests.predictor import models
from tests.predictor.ledgers import FakeLedger
from tests.predictor.processes import Predictor, command, ended, eventually, post, start
from turnout.ledger.client import LedgerClient
from turnout.predictor.recording import DURABILITIES

pytestmark = pytest.mark.e2e

Launch = Callable[..., Predictor]

ROW = [5.1, 3.5, 1.4, 0.2]
PACKED = base64.b64encode(struct.pack("<4f", *ROW)).decode()
V1 = orjson.dumps({"instances": [ROW]})
V2_DOCUMENT = {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}]}
V2 = orjson.dumps(V2_DOCUMENT)
PATIENT = ("--ack_timeout_s=60",)  # a loaded machine is no ledger that is away


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
        "inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "base64": PACKED}],
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [0]}],
        "stamp": "digits-v4;p=0.20;rev=k3x9",
        "request_id": "r-1",
        "caller_id": "mine",
        "shadow": False,
    }
    eventually(lambda: b'state="acknowledged"} 1\n' in served.get("/metrics").body)


@pytest.mark.parametrize(("answered", "at_most_us"), [(1, 600_000), (0, 1_200_000)], ids=["in use", "idle"])
def test_heartbeats_come_twice_a_second_in_use_and_every_second_else(
    launch: Launch,
    iris: models.Artifact,
    ledger: FakeLedger,
    token_file: Path,
    tmp_path: Path,
    answered: int,
    at_most_us: int,
) -> None:
    served = launch(iris, environment=recording(tmp_path / "log", ledger, token_file))
    ids = set(answers(served, answered))
    eventually(lambda: ledger.events.keys() >= ids)
    begun = len(ledger.posts)
    eventually(lambda: len(ledger.posts) >= begun + 4)

    marks = [beat["watermark_us"] for beat in ledger.posts[begun:]]
    gaps_us = [later - earlier for earlier, later in itertools.pairwise(marks)]
    assert all(gap_us >= 0 for gap_us in gaps_us)
    assert sorted(gaps_us)[len(gaps_us) // 2] <= at_most_us


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


def killed_under_load(launch: Callable[[], Predictor], *, deaths: int, clients: int = 4) -> list[str]:
    """Kill a predictor under load at random points, several times; the ids of what was answered."""
    answered: list[str] = []
    for death in range(deaths):
        served, enough = launch(), random.randint(50, 600)
        load = Load(served, clients)
        eventually(lambda load=load, enough=enough: len(load.answered) > enough, timeout_s=60.0)
        served.kill()
        load.join()
        answered += load.answered
        assert len(set(answered)) == len(answered), f"an id was given twice before death {death}"
    return answered


@pytest.mark.parametrize("durability", DURABILITIES)
def test_killed_under_load_every_answered_prediction_is_delivered(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path, durability: str
) -> None:
    def again() -> Predictor:
        environment = recording(tmp_path / "log", ledger, token_file)
        return launch(iris, f"--durability={durability}", *PATIENT, environment=environment)

    answered = killed_under_load(again, deaths=3)
    last = again()
    eventually(lambda: set(answered) <= set(ledger.events))

    assert last.stop() == 0
    # What is there beyond the answered ones was under way at a kill: at most one request per client.
    assert len(set(ledger.events) - set(answered)) <= 3 * 4
    assert ledger.late == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("durability", DURABILITIES)
def test_killed_fifty_times_a_real_ledger_has_every_answered_prediction_once(
    launch: Launch, iris: models.Artifact, tmp_path: Path, durability: str
) -> None:
    real = LedgerProcess(tmp_path)
    environment = {
        "POD_NAME": "digits-v4-predictor-abcde",
        "TURNOUT_LEDGER_URL": real.url,
        "TURNOUT_LEDGER_TOKEN_FILE": str(tmp_path / "ledger.token"),
        "TURNOUT_PREDICTION_LOG_DIR": str(tmp_path / "log"),
        "TURNOUT_PREDICTION_DURABILITY": durability,
    }
    answered = killed_under_load(lambda: launch(iris, *PATIENT, environment=environment), deaths=50)
    assert launch(iris, environment=environment).stop(timeout_s=60.0) == 0
    recorded = recorded_by(real.client)
    real.stop()

    assert len(set(recorded)) == len(recorded)
    assert set(answered) <= set(recorded)
    assert len(set(recorded) - set(answered)) <= 50 * 4


def recorded_by(client: LedgerClient) -> list[str]:
    """The ids of all predictions that a ledger has."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.predictions(limit=1000, cursor=cursor or None)
        found += [prediction["id"] for prediction in page["predictions"]]
        cursor = page["cursor"]
    return found


def test_acked_answers_what_the_ledger_has_and_nothing_while_it_is_away(
    launch: Launch, iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    served = launch(iris, "--durability=acked", *PATIENT, environment=recording(tmp_path / "log", ledger, token_file))
    first = served.call("POST", "/v2/models/digits/infer", V2)
    assert first.status == 200
    assert list(ledger.events) == [first.headers["x-turnout-id"]]
    ledger.status = 503
    refused = served.call("POST", "/v1/models/digits:predict", V1)

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "not recorded: the ledger does not acknowledge" in refused.error
    assert "x-turnout-id" not in refused.headers
    assert served.call("POST", "/v1/models/digits:predict", b"{}").status == 400
    ledger.status = 200
    eventually(lambda: served.call("POST", "/v1/models/digits:predict", V1).status == 200)
    assert b'state="refused"} ' in served.get("/metrics").body


def test_acked_without_a_ledger_does_not_start(iris: models.Artifact) -> None:
    found = ended(*command(iris.folder, "--model_name=digits-v4", "--durability=acked"))

    assert found.returncode == 2
    assert "InputError: durability acked: wanted --ledger_url and --log_dir" in found.stderr


def test_on_a_full_disk_predictions_go_on_and_the_ledger_is_told_what_is_lost(
    iris: models.Artifact, ledger: FakeLedger, token_file: Path, tmp_path: Path
) -> None:
    """On a file system of its own that is really full: 64 KiB, in a mount namespace that ends with the process."""
    (tmp_path / "disk").mkdir()
    ledger.status = 503
    script = f'mount -t tmpfs -o size=64k none {tmp_path / "disk"} || exit 77; exec "$@"'
    inside = ["unshare", "-rm", "sh", "-c", script, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    environment = recording(tmp_path / "disk", ledger, token_file)
    flags = ("--model_name=digits-v4", "--endpoint=digits", f"--digest={iris.digest}")
    served = start(iris.folder, tmp_path / "stderr", flags, environment, prefix=inside)
    try:
        ids = answers(served, 400)
        assert "No space left on device" in served.stderr
        ledger.status = 200
        lost = eventually(lambda: [gap for post in ledger.posts for gap in post.get("dropped", ())])
        assert served.stop() == 0
    finally:
        served.kill()

    assert 0 < sum(gap["events"] for gap in lost) == len(set(ids) - set(ledger.events))
    assert ledger.late == []
