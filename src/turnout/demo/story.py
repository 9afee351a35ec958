"""The story, in order. It starts the parts, plays the clients, and waits; what happens is decided by the controller."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from turnout import report as reports
from turnout import runs
from turnout.demo import checking, report, telling
from turnout.demo.data import live_rows, write_digits
from turnout.demo.stages import Place
from turnout.demo.traffic import Target, Traffic
from turnout.demo.watching import Watcher
from turnout.errors import Failed
from turnout.kube import client, discovery
from turnout.ledger.client import LedgerClient

__all__ = ["Script", "Told", "tell"]

_EXAMPLES = Path(__file__).parent / "digits"
_NAME, _WINDOW = "name: digits", "2s"
_TIMES = re.compile(rf"((?:labelWindow|bake): ){_WINDOW}")
_CHAMPION_TIMEOUT_S, _VERDICT_TIMEOUT_S = 60.0, 180.0
_BUSY, _QUIET = 250.0, 30.0  # requests per second while a verdict is awaited, and while a model is trained


@dataclass(frozen=True)
class Script:
    """What is played. `expected` holds for the story as it is written; other files may end otherwise."""

    first: Path
    second: Path
    third: Path
    gate: bool
    keep: bool
    seed: int | None
    expected: bool

    @classmethod
    def of(cls, *, first: Path | None, second: Path | None, gate: bool, keep: bool, seed: int | None) -> Self:
        """The script with the given files in place of the usual ones."""
        return cls(
            first=first or _EXAMPLES / "naive-bayes.yaml",
            second=second or _EXAMPLES / "forest.yaml",
            third=_EXAMPLES / "forest-shuffled.yaml",
            gate=gate,
            keep=keep,
            seed=seed,
            expected=first is None and second is None and gate,
        )


@dataclass
class Stage:
    """What the story knows while it is told."""

    place: Place
    console: Console
    endpoint: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    records: list[runs.RunRecord] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        """A named part of the story: announced, timed."""
        self.console.print(f"\n[bold]{title}[/]")
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 2)
            self.console.print(f"  [dim]{self.seconds[name]:.1f} s[/]")


@dataclass(frozen=True)
class Told:
    """How the story ended, and what happened, as in result.json."""

    ended_well: bool
    result: Mapping[str, Any]


def tell(script: Script, *, place: Place, console: Console) -> Told:
    """Play the script there.

    Whatever happens, what was started is stopped (unless `keep`): a request to end is an interruption like Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    place.prepare()
    try:
        told = _play(script, Stage(place, console), began)
    except BaseException:
        place.end(keep=False, console=console)
        raise
    place.end(keep=script.keep, console=console)
    return told


def _play(script: Script, stage: Stage, began: float) -> Told:
    with stage.phase("up", f"1. {stage.place.title}"):
        stage.place.begin()
        stage.endpoint = stage.place.endpoint()
        data = stage.place.home / "data"
        write_digits(data / "data")
    kube = client.connect()
    addresses = discovery.discover(kube)
    watcher = Watcher(kube, stage.endpoint)
    watcher.start()
    target = Target(
        gateway_url=addresses.gateway_url,
        host=f"{stage.endpoint}.{addresses.domain}",
        model=stage.endpoint,
        ledger_url=addresses.ledger_url,
        ledger_token=addresses.ledger_token,
    )
    with stage.phase("run_v1", f"2. turnout run {script.first.name}: the first version"):
        _run(script.first, stage, data, gate=True)
        watcher.until(lambda s: bool(s.get("champion")), what="a first champion", timeout_s=_CHAMPION_TIMEOUT_S)
    traffic = Traffic(target, live_rows(data / "data"), rate=_QUIET, seed=script.seed)
    traffic.start()
    try:
        with stage.phase("run_v2", f"3. turnout run {script.second.name}: a challenger, while clients use the first"):
            _run(script.second, stage, data, gate=script.gate)
        with stage.phase("canary_v2", "4. the controller decides about it, from labels that arrive late"):
            _await_verdict(stage, watcher, traffic)
        with stage.phase(
            "run_v3", f"5. turnout run {script.third.name}: trained on shuffled labels, gate off on purpose"
        ):
            _run(script.third, stage, data, gate=True)
        with stage.phase("canary_v3", "6. the controller decides about it by the same mechanism"):
            _await_verdict(stage, watcher, traffic)
    finally:
        traffic.stop()
        watcher.stop()
    with stage.phase("check", "7. every answered request is in the ledger exactly once"):
        ledger = LedgerClient(addresses.ledger_url, addresses.ledger_token)
        audit = checking.decisions(ledger, stage.endpoint)
        books = checking.books(ledger, stage.endpoint, traffic.tally)
    stage.seconds["total"] = round(time.monotonic() - began, 2)
    result = checking.result(
        records=stage.records,
        audit=audit,
        books=books,
        tally=traffic.tally,
        status=watcher.status,
        seconds=stage.seconds,
    )
    checking.write(stage.place.home / "result.json", result)
    turnout = kube.get("Turnout", stage.endpoint, namespace="default")
    page = report.write(stage.place.home, result, reports.gather(turnout, ledger))
    telling.table(result, stage.console)
    telling.trace(result, stage.console, endpoint=stage.endpoint, kube=kube, ledger=ledger)
    stage.console.print(f"\nreport  {page}\nresult  {stage.place.home / 'result.json'}", soft_wrap=True)
    return Told(telling.verdict(result, stage.console, expected=script.expected), result)


def _run(spec: Path, stage: Stage, data: Path, *, gate: bool) -> None:
    def progress(event: runs.Progress) -> None:
        if event.seconds is not None:
            stage.console.print(f"  {event.step:<24} {event.state:<10} {event.seconds:5.1f} s")

    record = stage.place.execute(_named(spec, stage), namespace="default", gate=gate, data_root=data, progress=progress)
    stage.records.append(record)
    if record.state == runs.CANCELLED:
        raise KeyboardInterrupt  # a request to end, which the run has taken for itself and written down
    if record.failure is not None:
        step, sentence, log = record.failure
        raise Failed(f"run {record.id}: step {step} failed: {sentence}\n  its log: {log}")
    stage.console.print(f"  {record.outcome}", soft_wrap=True)


def _named(spec: Path, stage: Stage) -> Path:
    """The spec for this story's endpoint and place."""
    window = stage.place.label_window
    if stage.endpoint == "digits" and window == _WINDOW:
        return spec
    text = spec.read_text(encoding="utf-8").replace(_NAME, f"name: {stage.endpoint}", 1)
    copy = stage.place.home / "data" / spec.name
    # Who bakes for less than a label window waits for labels that have not come yet.
    copy.write_text(_TIMES.sub(rf"\g<1>{window}", text), encoding="utf-8")
    return copy


def _await_verdict(stage: Stage, watcher: Watcher, traffic: Traffic) -> None:
    """Busy clients until the version of the last run was judged. A promoted one bakes while the next is trained."""
    version = stage.records[-1].version
    if version is None:
        stage.console.print("  the gate stopped it: no request ever reached it")
        return
    traffic.rate = _BUSY
    decided = watcher.until(
        lambda s: version in (s.get("judged") or {}),
        what=f"a verdict about {version}",
        timeout_s=_VERDICT_TIMEOUT_S,
    )
    traffic.rate = _QUIET
    stage.console.print(f"  {version}: [bold]{decided['judged'][version]}[/], champion is {decided['champion']}")
