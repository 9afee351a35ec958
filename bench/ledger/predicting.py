"""Predictions while the ledger is busy, stopped and back: do callers notice?"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from pathlib import Path

import orjson

from bench.ledger.asking import p99
from bench.ledger.servers import Ledger

__all__ = ["ratios"]

_MODEL = Path(__file__).parents[2] / "kserve" / "samples" / "models" / "iris"
_PER_S = 200.0  # requests, each at its own time, whether or not the one before was answered
_BUSY_PER_S = 5_000  # predictions of others that the ledger takes meanwhile, on the same two cores
_ROUNDS = 5


def ratios(database: str, folder: Path, *, seconds: float) -> dict[str, list[float]]:
    """p99 of predictions while the ledger is busy, stopped, and back, over that with it idle; a value each round."""
    found: dict[str, list[float]] = {"busy": [], "stopped": [], "back": []}
    with Ledger(database, folder) as ledger:
        flags = [
            f"--log_dir={folder / 'log'}",
            f"--ledger_url={ledger.url}",
            f"--ledger_token_file={ledger.token_file}",
        ]
        predictor = _Predictor(*flags)
        for _ in range(_ROUNDS):
            idle = p99(predictor.load(seconds))
            feeder = _feeder(ledger, seconds=seconds + 2)
            found["busy"].append(p99(predictor.load(seconds)) / idle)
            feeder.wait()
            ledger.stop()
            found["stopped"].append(p99(predictor.load(seconds)) / idle)
            ledger.start()
            found["back"].append(p99(predictor.load(seconds)) / idle)
        predictor.stop()
    return found


def _feeder(ledger: Ledger, *, seconds: float) -> subprocess.Popen[str]:
    """Feeding already. A process of its own: its threads must not keep the one that measures from measuring."""
    command = [sys.executable, "-m", "bench.ledger.feeding", ledger.url, str(seconds), str(_BUSY_PER_S)]
    feeder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert feeder.stdout is not None
    if feeder.stdout.readline() != "feeding\n":
        raise SystemExit("bench.ledger: the feeder did not start")
    return feeder


class _Predictor:
    """A running predictor of irises, which records what it answers."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "turnout.predictor", "--http_port=0", "--pod=bench", *flags]
        command += [f"--model_dir={_MODEL}", "--model_name=iris-v1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise SystemExit(f"bench.ledger: the predictor did not start: {line!r}")
        self._port = int(found[1])

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def load(self, seconds: float) -> list[float]:
        """Milliseconds from when each request was due to its answer: who is late to send has waited too."""
        tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
        body, found = orjson.dumps({"inputs": [tensor]}), []
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        began = time.perf_counter()
        for number in range(int(seconds * _PER_S)):
            due = began + number / _PER_S
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.request("POST", "/v2/models/iris-v1/infer", body, {"content-type": "application/json"})
            if (reply := connection.getresponse()).status != 200:
                raise SystemExit(f"bench.ledger: a prediction was answered with {reply.status}")
            reply.read()
            found.append((time.perf_counter() - due) * 1000)
        connection.close()
        return found
