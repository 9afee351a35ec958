"""Things that go wrong, and what a user sees then."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Engine
from turnout.errors import Failed
from turnout.ledger.client import LedgerClient

pytestmark = pytest.mark.e2e

BODY = json.dumps(
    {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
).encode()


class Clients:
    """Asks a version, over and over, until told to stop."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.codes: Counter[int | str] = Counter()
        self.answered: set[str] = set()
        self._address = urllib.parse.urlsplit(engine.addresses.gateway_url)
        self._name = name
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(3)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, n: int) -> None:
        deadline, start = time.monotonic() + 30, self.total
        while self.total < start + n:
            assert time.monotonic() < deadline, self.codes
            time.sleep(0.01)

    @property
    def total(self) -> int:
        return sum(self.codes.values())

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=10)
        headers = {"Host": f"{self._name}-default.localhost", "Content-Type": "application/json"}
        while not self._stop.is_set():
            try:
                connection.request("POST", f"/v2/models/{self._name}/infer", BODY, headers)
                reply = connection.getresponse()
                reply.read()
                code: int | str = reply.status
                prediction = reply.headers.get("x-turnout-id")
            except OSError as error:
                connection.close()
                code, prediction = type(error).__name__, None
            with self._lock:
                self.codes[code] += 1
                if code == 200 and prediction:
                    self.answered.add(prediction)
            self._stop.wait(0.005)


def pids(engine: Engine, name: str) -> list[int]:
    parts = json.loads(engine.run("turnout", "status", "--json").stdout)["parts"]
    return [part["pid"] for part in parts if f"{name}-predictor-" in part["part"] and part["pid"]]


def recorded(engine: Engine, name: str) -> Counter[str]:
    found: Counter[str] = Counter()
    with LedgerClient(engine.addresses.ledger_url, engine.addresses.ledger_token) as ledger:
        cursor = None
        while True:
            page = ledger.predictions(version=name, limit=1000, cursor=cursor)
            found.update(row["id"] for row in page["predictions"])
            cursor = page.get("cursor")
            if not cursor:
                return found


def until_recorded(engine: Engine, name: str, answered: set[str]) -> Counter[str]:
    deadline = time.monotonic() + 20
    while not answered <= (found := recorded(engine, name)).keys() and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def test_with_two_replicas_no_request_fails_when_one_is_killed(
    engine: Engine, sample: Callable[..., dict[str, Any]]
) -> None:
    sample("pair-v1", minReplicas=2)
    engine.kube.wait_until(
        "Deployment",
        "pair-v1-predictor",
        namespace="default",
        holds=lambda obj: obj["status"].get("readyReplicas") == 2,
        what="two ready replicas",
        timeout_s=20,
    )
    with Clients(engine, "pair-v1") as clients:
        clients.wait_for(100)
        os.kill(pids(engine, "pair-v1")[0], signal.SIGKILL)
        clients.wait_for(300)
    assert clients.codes.keys() == {200}
    found = until_recorded(engine, "pair-v1", clients.answered)
    assert clients.answered <= found.keys()
    assert set(found.values()) == {1}
    engine.kube.delete("InferenceService", "pair-v1", namespace="default")


def test_with_one_replica_the_gap_is_503_and_nothing_answered_is_lost(
    engine: Engine, sample: Callable[..., dict[str, Any]]
) -> None:
    sample("single-v1", minReplicas=1)
    with Clients(engine, "single-v1") as clients:
        clients.wait_for(100)
        before = pids(engine, "single-v1")
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 20
        seen = clients.codes[200]
        while clients.codes[200] < seen + 100:
            assert time.monotonic() < deadline, clients.codes
            time.sleep(0.01)
    assert clients.codes.keys() <= {200, 503}
    found = until_recorded(engine, "single-v1", clients.answered)
    assert clients.answered <= found.keys()
    assert set(found.values()) == {1}
    assert pids(engine, "single-v1") != before
    engine.kube.delete("InferenceService", "single-v1", namespace="default")


def test_a_model_file_altered_after_registration_is_not_served_and_the_conditions_say_why(
    engine: Engine, tmp_path: Path
) -> None:
    import hashlib

    import yaml

    folder = tmp_path / "model"
    shutil.copytree(ROOT / "kserve" / "samples" / "models" / "iris", folder)
    digest = "sha256:" + hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    onnx = folder / "model.onnx"
    onnx.write_bytes(onnx.read_bytes() + b"\0")
    obj = yaml.safe_load((ROOT / "kserve" / "samples" / "iris-v1.yaml").read_text())
    obj["metadata"].update(name="altered-v1", namespace="default")
    obj["metadata"].setdefault("annotations", {})["turnout.dev/digest"] = digest
    obj["spec"]["predictor"]["model"]["storageUri"] = folder.as_uri()
    engine.kube.apply(obj)
    with pytest.raises(Failed, match=r"model\.onnx"):
        engine.kube.wait("InferenceService", "altered-v1", namespace="default", timeout_s=20)
    status = engine.kube.get("InferenceService", "altered-v1", namespace="default")["status"]
    conditions = {c["type"]: c for c in status["conditions"]}
    assert conditions["Ready"]["status"] == "False"
    assert "model.onnx" in conditions["PredictorReady"]["message"]
    engine.kube.delete("InferenceService", "altered-v1", namespace="default")


def test_turnout_run_with_the_engine_down_says_so_at_once(tmp_path: Path) -> None:
    import subprocess

    from tests.e2e.conftest import BIN

    began = time.monotonic()
    done = subprocess.run(
        [str(BIN / "turnout"), "run", str(ROOT / "examples" / "digits" / "forest.yaml")],
        env={**os.environ, "TURNOUT_HOME": str(tmp_path), "KUBECONFIG": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "turnout up" in done.stderr
    assert time.monotonic() - began < 15
