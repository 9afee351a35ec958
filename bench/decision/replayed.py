"""Bars 4, 6, 8 and 16 once more through the real controller and the real ledger, in compressed time.

The ledger is the application on SQLite, the controller its reconcile; only the API server is a twin in memory. What
differs from the bars on arrays: part of the level is spent on the guardrails (as shipped), and the controller looks at
pages of labels (the tests still look at every label).
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.decision import streams
from bench.decision.rows import Row, exact, mean, median, rate
from tests.controller.fakes import FakeAliases, FakeGateway, FakeKube, inferenceservice, turnout
from tests.ledger.building import Clock, announce, record
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.controller.evidence import Test, feed
from turnout.controller.probing import Prober
from turnout.controller.reconciling import Controller
from turnout.kube.turnouts import Policy
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store

__all__ = ["arrivals", "controller"]

_VERSIONS = ("digits-v1", "digits-v2")
_WINDOW_US, _BETWEEN_US = 1_000_000, 100  # the label window, and the time from one request to the next
_MOST = 60_000  # labels of a rollout
_RIGHT, _WRONG = 7, 3


@dataclass(frozen=True)
class Told:
    """How one rollout ended, after how many labels, of which how many the challenger's."""

    verdict: str
    labels: int
    own: int


class Stage:
    """One Turnout, one controller, one ledger, and a clock that the stage moves."""

    def __init__(self, folder: Path, policy: dict[str, Any], *, seed: int) -> None:
        self.clock, self.draw, self.pages = Clock(), random.Random(seed), 0
        self.store = Store(f"sqlite:///{folder / 'ledger.db'}", clock_us=self.clock)
        self.transport = InProcess(application(self.store, token=TOKEN))
        self.ledger = LedgerClient(URL, TOKEN, transport=self.transport, timeout_s=600)
        self.kube = FakeKube(*(inferenceservice(version) for version in _VERSIONS))
        self.turnout = turnout(*_VERSIONS, policy={"labelWindow": "1s", "stepTime": "1s", **policy})
        self.kube.objects["Turnout", "digits"] = self.turnout
        self.controller = Controller(
            self.kube, self.ledger, FakeAliases(), Prober(FakeGateway(), clock=lambda: self.clock.now_us / 1e6)
        )
        self.reconcile()

    def close(self) -> None:
        """End the ledger."""
        self.transport.__exit__()
        self.store.close()

    def reconcile(self) -> None:
        """One round of the controller."""
        self.controller.reconcile(self.turnout, self.kube.world(now_us=self.clock.now_us), term=1)

    @property
    def state(self) -> dict[str, Any]:
        """What the controller has committed."""
        return self.ledger.state("digits")["state"]

    def page(self, size: int, right: Sequence[float]) -> None:
        """So many requests by the weights of the route, all labelled at once, seen when their window has passed."""
        rollout = self.state["rollout"]
        share = rollout["weights"].get(_VERSIONS[1], 0) / 100
        self.pages += 1
        caller, events = f"page-{self.pages}", {version: list[dict[str, Any]]() for version in _VERSIONS}
        for _ in range(size):
            assigned = self.draw.random() < share
            version = _VERSIONS[assigned]
            self.clock.now_us += _BETWEEN_US
            answer = _RIGHT if self.draw.random() < right[assigned] else _WRONG
            p = share if assigned else 1.0 - share
            made = record(version=version, time_us=self.clock.now_us, predicted=answer, rev=rollout["rev"], p=p)
            events[version].append(made | {"caller_id": caller})
        self._ship(events)
        self.ledger.feedback_by_caller(caller, label=_RIGHT, endpoint="digits")
        self.clock.now_us += _WINDOW_US + 1
        self._ship({version: [] for version in _VERSIONS})
        self.reconcile()

    def _ship(self, events: dict[str, list[dict[str, Any]]]) -> None:
        for version, records in events.items():
            self.ledger.events(
                log=f"{version}-predictor-abcde",
                endpoint="digits",
                version=version,
                watermark_us=self.clock.now_us,
                events=records,
            )
        # The gateway says that it is there; its errors and durations would be the same for both.
        self.ledger.gateway_log(log="gateway", watermark_us=self.clock.now_us, events=[])

    def told(self) -> Told | None:
        """The end, if it has come: the controller's audit says how."""
        state = self.state
        test = state["tests"].get("|".join(_VERSIONS))
        labelled = [test["comparison"][arm]["labelled"] for arm in ("champion", "challenger")] if test else [0, 0]
        judged = state["rollout"]["judged"].get(_VERSIONS[1])
        earned = any(challenge["earned"] for challenge in state["rollout"]["challenges"])
        if judged is None and not earned:
            return None
        return Told(judged or "promote", sum(labelled), labelled[1])


def _rollout(policy: dict[str, Any], effect: float, page: int, most: int, seed: int) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), policy, seed=seed)
        try:
            for _ in range(most // page):
                stage.page(page, (0.9, 0.9 + effect))
                told = stage.told()
                if told is not None:
                    return told
            return Told("hold", most, 0)
        finally:
            stage.close()


def _thirds(page: int) -> dict[str, Any]:
    """The steps of bar 8, each a third of the labels; the controller's own rule would raise the share far sooner."""
    lasts_us = _MOST // 3 // page * (_WINDOW_US + 1 + page * _BETWEEN_US)
    return {"steps": [5, 20, 50], "stepTime": f"{lasts_us // 1_000}ms"}


_CELLS: dict[str, tuple[dict[str, Any], float, int, int]] = {
    # name: policy, effect, labels per page, rollouts. Without a margin only "better" would be promoted.
    "roll back, 20/80, 10 pt": ({"steps": [20], "margin": 0.0}, -0.10, 25, 60),
    "roll back, 20/80, 5 pt": ({"steps": [20], "margin": 0.0}, -0.05, 50, 40),
    "promote, 50/50, 2 pt": ({"steps": [50], "margin": 0.02}, +0.02, 50, 40),
    "equal": (_thirds(200), 0.0, 200, 30),
    "-2 pt": (_thirds(200), -0.02, 200, 30),
    "-5 pt": (_thirds(100), -0.05, 100, 40),
    "+2 pt": (_thirds(100), +0.02, 100, 40),
    "+2 pt, sooner": ({"steps": [5, 20, 50]}, +0.02, 100, 200),
}


def controller(scale: float = 1.0) -> list[Row]:
    """The bars through the controller and its ledger."""
    jobs, owners = [], []
    for name, (policy, effect, page, runs) in _CELLS.items():
        for seed in range(max(int(runs * scale), 2)):
            jobs.append((policy, effect, page, _MOST, seed))
            owners.append(name)
    found = streams.in_parallel("controller", _rollout, jobs)
    ends = {name: [t for t, owner in zip(found, owners, strict=True) if owner == name] for name in _CELLS}

    def own(name: str, verdict: str) -> np.ndarray:
        return np.array([told.own for told in ends[name] if told.verdict == verdict])

    def share(name: str, verdict: str) -> np.ndarray:
        return np.array([told.verdict == verdict for told in ends[name]])

    note = {"note": "real controller and ledger; level split over guardrails"}
    thirds = {"note": f"{note['note']}; steps by thirds of {_MOST:,} labels"}
    sooner = {"note": f"{note['note']}; steps as soon as minLabels allow", "counted": False}
    bad = np.array([told.labels for told in ends["-5 pt"]])
    return [
        mean("4c", "canary labels to roll back, 20/80, 5 pt", own("roll back, 20/80, 5 pt", "rollback"), 408, **note),
        mean("4c", "canary labels to roll back, 20/80, 10 pt", own("roll back, 20/80, 10 pt", "rollback"), 123, **note),
        mean("6c", "canary labels to promote, 50/50, 2 pt better", own("promote, 50/50, 2 pt", "promote"), 820, **note),
        rate("8c", "promoted, equal", share("equal", "promote"), 0.95, ">=", **thirds),
        rate("8c", "promoted, 2 pt worse", share("-2 pt", "promote"), 0.05, **thirds),
        rate("8c", "rolled back, 5 pt worse", share("-5 pt", "rollback"), 0.99, ">=", **thirds),
        median("8c", "median labels to the verdict, 5 pt worse", bad, 5000, **thirds),
        rate("8c", "promoted, 2 pt better", share("+2 pt", "promote"), 0.999, ">=", **thirds),
        rate("8c", "promoted, 2 pt better", share("+2 pt, sooner", "promote"), 0.999, ">=", **sooner),
    ]


def _units(folder: Path, *, seed: int, records: list[dict[str, Any]], twice: bool) -> dict[str, Any]:
    """The units that the ledger gives for these records and labels, when they come in an order of this seed."""
    clock, draw = Clock(), random.Random(seed)
    store = Store(f"sqlite:///{folder / f'{seed}.db'}", clock_us=clock)
    transport = InProcess(application(store, token=TOKEN))
    try:
        ledger = LedgerClient(URL, TOKEN, transport=transport, timeout_s=600)
        announce(ledger, rev="r1", weights={_VERSIONS[0]: 80, _VERSIONS[1]: 20})
        clock.now_us = max(made["time_us"] for made in records)
        things = [("record", made) for made in records] + [("label", made) for made in records]
        things += things[::3] if twice else []
        draw.shuffle(things)
        for kind, made in things:
            if kind == "record":
                _send(ledger, made["version"], [made], watermark_us=0)
            else:
                ledger.feedback(made["id"], label=_RIGHT)
        clock.now_us += 61_000_000
        for version in _VERSIONS:
            _send(ledger, version, [], watermark_us=clock.now_us)
        return ledger.evidence("digits", champion=_VERSIONS[0], challenger=_VERSIONS[1], window_us=60_000_000)
    finally:
        transport.__exit__()
        store.close()


def _send(ledger: LedgerClient, version: str, records: list[dict[str, Any]], *, watermark_us: int) -> None:
    ledger.events(
        log=f"{version}-predictor-abcde",
        endpoint="digits",
        version=version,
        watermark_us=watermark_us,
        events=records,
    )


def arrivals(scale: float = 1.0) -> list[Row]:
    """The same records and labels in any order within the window, some twice: the same units, the same evidence."""
    draw, records = random.Random(16), []
    for i in range(max(int(1000 * scale), 100)):
        assigned = draw.random() < 0.2
        answer = _RIGHT if draw.random() < (0.6 if assigned else 0.9) else _WRONG
        p = 0.2 if assigned else 0.8
        made = record(version=_VERSIONS[assigned], predicted=answer, rev="r1", p=p, name=f"{i:032x}")
        records.append(made | {"time_us": made["time_us"] + i * 1000})
    evidence, units = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(3):
            page = _units(Path(folder), seed=seed, records=records, twice=seed > 0)
            test = Test.begin(*_VERSIONS, Policy(), family=1, since_us=0)
            feed(test, "predictions", page, {})
            evidence.append(test.comparison.rollback_evidence)
            units.append(len(page["units"]))
    moved = max(abs(e / evidence[0] - 1.0) for e in evidence)
    return [
        exact("16", "relative difference of the evidence over arrival orders, through the ledger", moved, 1e-9),
        exact("16", "units beyond the requests when a third of all calls comes twice", max(units) - len(records), 0),
    ]
