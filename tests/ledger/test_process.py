from __future__ import annotations

import random
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ledger.building import SECOND, announce, record, send
from tests.ledger.processes import TOKEN, LedgerProcess, command
from tests.ledger.test_gateway_log_tailer import append, line
from turnout.errors import Unavailable
from turnout.ledger.client import LedgerClient

pytestmark = pytest.mark.e2e


def now_us() -> int:
    return time.time_ns() // 1000


def eventually(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def every_id(ledger: LedgerClient) -> Counter[str]:
    found: Counter[str] = Counter()
    cursor = None
    while True:
        page = ledger.predictions(limit=1000, cursor=cursor)
        found.update(prediction["id"] for prediction in page["predictions"])
        cursor = page["cursor"]
        if cursor is None:
            return found


def test_it_starts_serves_and_ends_when_it_is_told(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    assert ledger.client.healthy()
    send(ledger.client, *(record() for _ in range(1000)))
    assert ledger.resident_mb() < 80
    assert ledger.stop() == 0
    again = LedgerProcess(tmp_path)
    assert len(every_id(again.client)) == 1000
    assert again.stop() == 0


class Shipper(threading.Thread):
    """Ships batches like a predictor: in order, each until it is acknowledged; labels what it has shipped."""

    def __init__(self, ledger: LedgerClient, left: list[list[dict[str, object]]]) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.labelled: list[str] = []
        self._ledger, self._left = ledger, left

    def run(self) -> None:
        with suppress(Unavailable):
            while self._left:
                names = [str(one["id"]) for one in self._left[0]]
                send(self._ledger, *self._left[0], watermark_us=0)
                self.acknowledged += names
                self._left.pop(0)
                self._ledger.feedback(names[0], label=7)
                self.labelled.append(names[0])


def test_kill_9_during_ingest_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    left: list[list[dict[str, object]]] = [[record() for _ in range(20)] for _ in range(150)]
    sent = {str(one["id"]) for batch in left for one in batch}
    chance = random.Random(7)
    acknowledged: set[str] = set()
    labelled: set[str] = set()
    for _ in range(4):
        ledger = LedgerProcess(tmp_path)
        shipper = Shipper(ledger.client, left)
        shipper.start()
        shipper.join(chance.uniform(0.05, 0.15))
        ledger.kill()
        shipper.join()
        acknowledged.update(shipper.acknowledged)
        labelled.update(shipper.labelled)

    ledger = LedgerProcess(tmp_path)
    stored = every_id(ledger.client)
    assert acknowledged <= stored.keys()
    Shipper(ledger.client, left).run()
    stored = every_id(ledger.client)
    assert stored.keys() == sent
    assert set(stored.values()) == {1}
    for name in labelled:
        assert len(ledger.client.prediction(name)["feedback"]) == 1
    ledger.stop()


def test_kill_9_while_following_the_gateway_neither_loses_nor_doubles_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    names = [f"q{number}" for number in range(9000)]
    chance = random.Random(7)
    for start in range(0, len(names), 3000):
        ledger = LedgerProcess(tmp_path, f"--gateway-log={path}", "--gateway-flush-ms=0")
        # Without a request id of their own, lines that were read twice would be stored twice.
        append(path, *(line("-", end_us=now_us(), id=name) for name in names[start : start + 3000]))
        threading.Event().wait(chance.uniform(0.0, 0.15))
        ledger.kill()

    ledger = LedgerProcess(tmp_path, f"--gateway-log={path}", "--gateway-flush-ms=0")
    announce(ledger.client, weights={"digits-v1": 100})
    question = {"champion": "digits-v1", "challenger": "digits-v1", "kind": "gateway", "window_us": 0}
    eventually(lambda: len(ledger.client.evidence("digits", **question)["units"]) == len(names))  # type: ignore[arg-type]
    ledger.stop()


def test_evidence_follows_the_heartbeats_of_real_time(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    announce(ledger.client)
    made = now_us()
    send(ledger.client, record(name="a", time_us=made), watermark_us=made)
    ledger.client.feedback("a", label=7)

    def is_frozen() -> bool:
        for version in ("digits-v1", "digits-v2"):
            send(ledger.client, version=version, watermark_us=now_us())
        page = ledger.client.evidence("digits", champion="digits-v1", challenger="digits-v2", window_us=SECOND // 10)
        return [unit["y"] for unit in page["units"]] == [1.0]

    eventually(is_frozen)
    assert now_us() >= made + SECOND // 10
    ledger.stop()


def test_rows_in_bulk_are_answered_while_they_are_sent(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    send(ledger.client, *(record(name=f"p{number}") for number in range(3000)))
    found = list(ledger.client.feedback_in_bulk({"id": f"p{number}", "label": 7} for number in range(3000)))
    assert Counter(one["status"] for one in found) == {201: 3000}
    csv = (line.encode() for line in ["id,label\n", *(f"p{number},7\n" for number in range(3000))])
    found = list(ledger.client.feedback_file(csv, kind="text/csv", method="PUT"))
    assert Counter(one["status"] for one in found) == {200: 3000}
    ledger.stop()


def test_an_upload_that_breaks_off_keeps_what_it_had_said(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    send(ledger.client, *(record(name=f"p{number}") for number in range(1001)))
    other = LedgerClient(ledger.url, TOKEN)

    def rows() -> Iterator[dict[str, object]]:
        yield from ({"id": f"p{number}", "label": 7} for number in range(1001))
        eventually(lambda: other.summary("digits")["labelled"] == 1000)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        list(ledger.client.feedback_in_bulk(rows()))
    assert other.healthy()
    other.close()
    ledger.stop()
    assert "Traceback" not in (tmp_path / "ledger.log").read_text()


def test_who_watches_sees_predictions_feedback_and_decisions_as_they_come(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    send(ledger.client, record(name="before", time_us=now_us()))
    watching, seen = LedgerClient(ledger.url, TOKEN), []
    news = threading.Event()

    def watch() -> None:
        for kind, head in watching.watch(endpoint="digits"):
            seen.append((kind, head.get("id") or head.get("action")))
            news.set()
            if kind == "decision":
                return

    watcher = threading.Thread(target=watch)
    watcher.start()

    def is_seen() -> bool:
        name = f"a{now_us()}"
        send(ledger.client, record(name=name, time_us=now_us()))
        ledger.client.feedback(name, label=7)
        news.wait(0.1)
        return {kind for kind, _ in tuple(seen)} >= {"prediction", "feedback"}

    eventually(is_seen)
    announce(ledger.client)
    watcher.join(10)
    assert {kind for kind, _ in seen} == {"prediction", "feedback", "decision"}
    assert ("prediction", "before") not in seen
    watching.close()
    assert ledger.stop() == 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(f"--database=sqlite:///{tmp_path}/l.db", f"--token-file={tmp_path}/token", f"--port={port}")
    assert ended.returncode == 1
    assert ended.stderr == f"turnout.ledger: Failed: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("token", "database", "code", "message"),
    [
        (None, "sqlite:////tmp/unused.db", 2, "InputError: --token-file {folder}/token: No such file"),
        (" \n", "sqlite:////tmp/unused.db", 2, "InputError: --token-file {folder}/token: the file is empty"),
        ("x", "postgresql://ann:secret@host/db", 2, "InputError: --database: a password on the command line is seen"),
        ("x", "mysql://host/db", 2, "InputError: --database mysql://host/db: wanted sqlite:"),
        ("x", "sqlite:////nowhere/l.db", 1, "Unavailable: cannot open the ledger's database"),
    ],
)
def test_a_start_that_cannot_succeed_says_why_in_one_line(
    tmp_path: Path, token: str | None, database: str, code: int, message: str
) -> None:
    if token is not None:
        (tmp_path / "token").write_text(token)
    ended = run(f"--database={database}", f"--token-file={tmp_path}/token")
    assert ended.returncode == code
    assert ended.stderr.startswith("turnout.ledger: " + message.format(folder=tmp_path))
    assert ended.stderr.count("\n") == 1
