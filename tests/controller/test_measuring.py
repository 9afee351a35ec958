"""What a Prometheus server and a kubelet learn of a controller."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from tests.controller.test_reconciling import Stage
from turnout.controller.__main__ import Rounds
from turnout.controller.measuring import Metrics, Result
from turnout.controller.records import Action
from turnout.errors import Conflict, Unavailable


class Watched:
    """Metrics with the clock of a test."""

    def __init__(self) -> None:
        self.registry, self.now_s = CollectorRegistry(), 0.0
        self.metrics = Metrics(self.registry, clock_s=lambda: self.now_s)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"turnout_controller_{name}", labels)


def test_what_alerts_ask_for_is_zero_before_it_happens() -> None:
    watched = Watched()
    assert {watched.value("decisions_total", action=action) for action in get_args(Action)} == {0}
    assert {watched.value("reconciles_total", result=result) for result in get_args(Result)} == {0}


def test_decisions_are_counted_when_they_are_committed() -> None:
    watched, stage = Watched(), Stage("digits-v1", "digits-v2")
    stage.controller.metrics = watched.metrics
    stage.play({"digits-v1": 0.96, "digits-v2": 0.6}, until="rollback")
    actions = stage.ledger.actions
    assert {action: watched.value("decisions_total", action=action) for action in set(actions)} == {
        action: actions.count(action) for action in set(actions)
    }


@pytest.mark.parametrize(
    ("error", "result"),
    [(None, "done"), (Conflict("faster"), "conflict"), (Unavailable("away"), "error"), (RuntimeError("bug"), "bug")],
)
def test_reconciles_are_counted_by_how_they_end(error: Exception | None, result: str) -> None:
    watched, stage, ended = Watched(), Stage("digits-v1"), threading.Event()

    def reconcile(*_: Any, **__: Any) -> None:
        ended.set()
        if error:
            raise error

    stage.controller.reconcile = reconcile  # type: ignore[method-assign]
    rounds = Rounds(stage.controller, watched.metrics)
    rounds.go(stage.kube.world(now_us=0), term=1)
    assert ended.wait(10)
    rounds.stop()
    assert watched.value("reconciles_total", result=result) == 1
    assert watched.value("reconcile_duration_seconds_count") == 1


def test_a_round_counts_for_who_leads_and_when_it_ends_well() -> None:
    watched = Watched()
    watched.metrics.count_round(is_leading=False, is_done=True)
    watched.metrics.count_round(is_leading=True, is_done=False)
    assert (watched.value("leading"), watched.value("last_round_timestamp_seconds")) == (1, 0)
    watched.metrics.count_round(is_leading=True, is_done=True)
    assert watched.value("last_round_timestamp_seconds") > 1.7e9  # type: ignore[operator]


def test_a_loop_that_turns_in_vain_lives_and_one_that_stands_does_not() -> None:
    watched = Watched()
    watched.now_s = 100
    watched.metrics.count_round(is_leading=False, is_done=False)
    watched.now_s = 399
    assert watched.metrics.has_turned(within_s=300)
    watched.now_s = 401
    assert not watched.metrics.has_turned(within_s=300)


def test_an_address_that_is_none_ends_a_controller_before_it_begins() -> None:
    command = [sys.executable, "-m", "turnout.controller", "--metrics=9090"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (
        2,
        "turnout.controller: InputError: --metrics: wanted host:port, found '9090'\n",
    )
