"""Several processes behind one port: one scrape counts for all, the dead are replaced, the end is clean."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.predictor import models
from tests.predictor.ledgers import FakeLedger
from tests.predictor.processes import Predictor, command, ended, eventually

pytestmark = pytest.mark.e2e

Launch = Callable[..., Predictor]
V1 = orjson.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]})
PREDICT = "/v1/models/digits:predict"


def children(predictor: Predictor) -> list[int]:
    pid = predictor.process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def counted(predictor: Predictor, name: str, labels: str = "") -> float:
    want = f'{name}{{model="digits",version="digits-v4"{labels}}} '
    lines = predictor.get("/metrics").body.decode().splitlines()
    return sum(float(line.removeprefix(want)) for line in lines if line.startswith(want))


def test_one_scrape_counts_what_all_workers_answered(
    launch: Launch, iris: models.Artifact, tmp_path: Path, token_file: Path, ledger: FakeLedger
) -> None:
    flags = ("--log_dir", str(tmp_path / "log"), "--pod", "pod", "--ledger_url", ledger.url)
    predictor = launch(iris, "--workers=2", *flags, "--ledger_token_file", str(token_file))
    for _ in range(40):
        assert predictor.call("POST", PREDICT, V1).status == 200
    predictor.call("POST", PREDICT, b"{}")

    # The number of scrapes is unknown, but they are no predictions.
    assert counted(predictor, "turnout_request_duration_seconds_count") == 40
    assert counted(predictor, "turnout_rows_total") == 40
    assert counted(predictor, "turnout_requests_total", ',code="400"') == 1
    assert counted(predictor, "turnout_workers") == 2
    acknowledged = ',state="acknowledged"'
    eventually(lambda: counted(predictor, "turnout_prediction_log_records_total", acknowledged) == 40)
    assert {event["pod"] for event in ledger.events.values()} == {"pod", "pod.worker-1"}
    assert predictor.stop() == 0
    assert eventually(lambda: sum(post["final"] for post in ledger.posts) == 2)


def test_a_worker_that_dies_is_replaced_and_its_counts_stay(launch: Launch, iris: models.Artifact) -> None:
    predictor = launch(iris, "--workers=2")
    for _ in range(10):
        predictor.call("POST", PREDICT, V1)
    before = children(predictor)

    os.kill(before[0], signal.SIGKILL)

    eventually(lambda: len(set(children(predictor)) - set(before)) == 1)
    for _ in range(10):  # those that the kernel deals to the dead one's socket wait for its successor
        assert predictor.call("POST", PREDICT, V1).status == 200
    assert counted(predictor, "turnout_request_duration_seconds_count") == 20
    assert predictor.stop() == 0


def test_workers_end_with_the_process_above_them(launch: Launch, iris: models.Artifact) -> None:
    predictor = launch(iris, "--workers=2", "--grace_s=0")
    workers = children(predictor)

    predictor.kill()

    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_an_artifact_that_cannot_be_served_ends_all_of_them(iris: models.Artifact) -> None:
    found = ended(*command(iris.folder, "--workers=2", "--model_name=digits-v4", "--digest=sha256:0"))

    assert found.returncode == 3
    assert "ModelError" in found.stderr


def test_a_port_that_is_taken_is_not_shared_with_a_stranger(iris: models.Artifact) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as stranger:
        port = stranger.getsockname()[1]
        flags = (f"--http_port={port}", "--workers=2", "--model_name=digits-v4")
        found = ended(*command(iris.folder, *flags))

    assert found.returncode == 1
    assert "this port is taken by another process" in found.stderr


def test_with_several_workers_the_set_of_versions_is_fixed(launch: Launch, iris: models.Artifact) -> None:
    predictor = launch(iris, "--workers=2", f"--repository={iris.folder.parent}")

    reply = predictor.call("POST", "/v2/repository/models/other/load")

    assert reply.status == 409
    assert "this server has 2 workers" in reply.error
