"""The ledger goes behind predictors on its machine, with each of its threads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledger.building import record, send
from tests.ledger.processes import LedgerProcess
from turnout.ledger import yielding

pytestmark = pytest.mark.e2e

_DEFAULT_NS = 3_000_000  # the longest that a usual slice is, with many cores


def _of_threads(pid: int, name: str) -> list[int]:
    found = [
        re.search(rf"^{name}\s+:\s+(\d+)", path.read_text(), re.M) for path in Path(f"/proc/{pid}/task").glob("*/sched")
    ]
    return [int(match[1]) for match in found if match]


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerProcess:
    running = LedgerProcess(tmp_path)
    send(running.client, record())  # the threads that parse and write have started
    return running


def test_every_thread_is_nice_also_the_one_that_writes(ledger: LedgerProcess) -> None:
    priorities = _of_threads(ledger.pid, "prio")  # 120 is nice 0
    assert ledger.stop() == 0
    assert len(priorities) >= 3
    assert min(priorities) >= 130


def test_every_thread_asks_for_a_slice_longer_than_a_predictor_has(ledger: LedgerProcess) -> None:
    slices = _of_threads(ledger.pid, "se.slice")
    assert ledger.stop() == 0
    if not slices:
        pytest.skip("Linux before 6.12 has no slices")
    assert min(slices) > _DEFAULT_NS


def test_a_session_of_its_own_is_nice_as_a_whole_and_that_of_others_is_left_alone() -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel does not group by session")
    code = "from turnout.ledger import yielding as y; y.yield_to_predictors(); print(y._AUTOGROUP.read_text())"
    command = [sys.executable, "-c", code]
    own = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True)
    assert own.stdout.split()[-1] == "10"
    shared = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shared.stdout.strip() == Path("/proc/self/autogroup").read_text().strip()


class Crowded:
    """The kernel's file, when others have just written theirs."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def write_text(self, text: str) -> None:
        self.said.append(text)
        if len(self.said) < 3:
            raise BlockingIOError


def test_a_session_is_nice_also_where_others_wish_for_that_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = Crowded()
    monkeypatch.setattr(yielding, "_AUTOGROUP", crowded)
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
    yielding._renice_session()
    assert crowded.said == ["10", "10", "10"]


def test_a_ledger_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    assert LedgerProcess(tmp_path).stop() == 0
