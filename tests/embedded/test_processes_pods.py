"""Pods as views of processes, readiness, and prediction logs that a dead process left."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.embedded.running import eventually
from tests.predictor.ledgers import TOKEN, FakeLedger
from turnout.embedded.serving import podstatus, probing
from turnout.embedded.serving.podstatus import Life
from turnout.embedded.serving.probing import Probe, Prober
from turnout.embedded.serving.shipping import Progress, Shippers
from turnout.embedded.supervision.processes import Phase, State

Object = dict[str, Any]
POD: Object = {
    "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {
        "containers": [{"name": "kserve-container", "image": "echo:1"}],
        "initContainers": [{"name": "storage-initializer", "image": "s"}],
    },
}


def state(phase: str = Phase.RUNNING, *, restarts: int = 0, exit_code: int | None = None) -> State:
    pid = 7 if phase == Phase.RUNNING else 0
    return State("p", "predictor", phase, pid, 1001, 1_700_000_000.0, restarts, exit_code, 0)


def container(status: Object) -> Object:
    found: Object = status["containerStatuses"][0]
    return found


def ready(status: Object) -> str:
    return str(next(entry["status"] for entry in status["conditions"] if entry["type"] == "Ready"))


def test_a_ready_process_is_a_ready_pod() -> None:
    found = podstatus.render(POD, Life(state=state(), is_ready=True))
    assert (found["phase"], ready(found), container(found)["started"]) == ("Running", "True", True)
    assert container(found)["state"] == {"running": {"startedAt": "2023-11-14T22:13:20Z"}}
    assert found["initContainerStatuses"][0]["ready"] is True


def test_one_in_back_off_shows_a_crash_loop_with_its_last_words() -> None:
    life = Life(state=state(Phase.BACKOFF, restarts=2, exit_code=3), is_ready=False, last_words="why")
    found = podstatus.render(POD, life)
    assert container(found)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container(found)["lastState"]["terminated"] == {"exitCode": 3, "reason": "Error", "message": "why"}
    assert (container(found)["restartCount"], ready(found)) == (2, "False")


def test_signals_and_unseen_ends_have_the_exit_codes_of_containers() -> None:
    assert podstatus.exit_code(state(exit_code=-9)) == 137
    assert podstatus.exit_code(state(exit_code=None)) == 137
    assert podstatus.exit_code(state(exit_code=3)) == 3


def test_a_missing_model_is_a_failed_initializer() -> None:
    first = podstatus.failed_initializer(POD, message="gone", attempts=0)["initContainerStatuses"][0]
    later = podstatus.failed_initializer(POD, message="gone", attempts=1)["initContainerStatuses"][0]
    assert first["state"]["terminated"]["exitCode"] == 1
    assert later["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert later["lastState"]["terminated"]["message"] == "gone"


def test_a_pod_that_cannot_start_waits_with_the_reason() -> None:
    found = podstatus.waiting(POD, reason="NoCommand", message="none")
    assert (found["phase"], container(found)["state"]["waiting"]["reason"]) == ("Pending", "NoCommand")


def test_probes_are_the_containers_own_or_a_connection() -> None:
    own = {"readinessProbe": {"httpGet": {"path": "/ready"}, "timeoutSeconds": 2, "failureThreshold": 5}}
    assert Probe.of(own, port=9) == Probe(port=9, path="/ready", timeout_s=2, failures=5)
    assert Probe.of({}, port=9) == Probe(port=9, path=None)


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    """Answers 200 until told otherwise."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.status = 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def test_asking_tells_good_answers_from_bad_ones_and_silence(server: http.server.HTTPServer) -> None:
    port = server.server_address[1]
    assert asyncio.run(probing.ask(Probe(port=port, path="/")))
    assert asyncio.run(probing.ask(Probe(port=port)))
    server.status = 503  # type: ignore[attr-defined]
    assert not asyncio.run(probing.ask(Probe(port=port, path="/")))
    assert not asyncio.run(probing.ask(Probe(port=1)))


def test_a_followed_process_turns_ready_and_a_new_one_of_its_name_starts_unready(
    server: http.server.HTTPServer,
) -> None:
    told: list[str] = []
    prober = Prober(told.append)
    probe = Probe(port=server.server_address[1], path="/")
    assert not prober.follow("a", pid=1, probe=probe)
    eventually(lambda: told == ["a"])
    assert prober.follow("a", pid=1, probe=probe)
    assert not prober.follow("a", pid=2, probe=probe)
    prober.close()


def test_an_adopted_process_is_as_ready_as_it_was(server: http.server.HTTPServer) -> None:
    prober = Prober(lambda name: None)
    assert prober.follow("a", pid=1, probe=Probe(port=1, path="/"), is_ready=True)
    prober.close()


def log_folder(home: Path, *, records: bytes = b"") -> Path:
    """The folder of a pod that has ended."""
    folder = home / "pods" / "default.p"
    folder.mkdir(parents=True)
    identity = {"namespace": "default", "endpoint": "iris", "version": "iris-v1", "pod": "p"}
    (folder / "log.json").write_bytes(orjson.dumps(identity))
    if records:
        (folder / f"{1:020}.ndjson").write_bytes(records)
    return folder


def shippers(home: Path, **environment: str) -> Shippers:
    for name in ("run", "logs"):
        (home / name).mkdir(exist_ok=True)
    return Shippers(pods=home / "pods", run=home / "run", logs=home / "logs", environment=environment)


def finish(found: Shippers, *, ended_well: bool) -> Progress:
    def look() -> Progress | None:
        progress = found.finish("default.p", ended_well=ended_well)
        return None if progress is Progress.UNDERWAY else progress

    progress: Progress = eventually(look)
    return progress


def test_what_a_killed_predictor_left_is_shipped_and_its_log_ended(tmp_path: Path) -> None:
    folder = log_folder(tmp_path, records=orjson.dumps({"id": "a" * 32, "time_us": 1}) + b"\n")
    (tmp_path / "token").write_text(TOKEN)
    ledger = FakeLedger()
    found = shippers(tmp_path, TURNOUT_LEDGER_URL=ledger.url, TURNOUT_LEDGER_TOKEN_FILE=str(tmp_path / "token"))
    assert finish(found, ended_well=False) is Progress.DONE
    ledger.close()
    assert list(ledger.events) == ["a" * 32]
    assert ledger.is_final()
    assert not folder.exists()


def test_one_that_ended_well_left_nothing_to_ship(tmp_path: Path) -> None:
    folder = log_folder(tmp_path)
    found = shippers(tmp_path, TURNOUT_LEDGER_URL="http://127.0.0.1:1")
    assert found.finish("default.p", ended_well=True) is Progress.DONE
    assert not folder.exists()


def test_records_that_cannot_be_shipped_stay(tmp_path: Path) -> None:
    folder = log_folder(tmp_path, records=b"{}\n")
    (folder / "log.json").write_text("{}")  # nobody can say whose they are
    found = shippers(tmp_path, TURNOUT_LEDGER_URL="http://127.0.0.1:1")
    assert finish(found, ended_well=False) is Progress.FAILED
    assert folder.exists()


def test_without_a_ledger_the_records_stay_for_the_next_engine(tmp_path: Path) -> None:
    folder = log_folder(tmp_path, records=b"{}\n")
    assert shippers(tmp_path).finish("default.p", ended_well=False) is Progress.DONE
    assert folder.exists()
