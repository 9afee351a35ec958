"""One run: load, killer and operator together, then the reckoning."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import objects
from tests.chaos.killing import Killer
from tests.chaos.objects import ECHO, Model
from tests.chaos.operating import Operator
from tests.embedded import running
from turnout.embedded import lifecycle
from turnout.embedded.supervision import procfs, records

__all__ = ["Outcome", "Plan", "run"]

_ROOT = Path(__file__).parents[2]
_QUIET_S = 30.0


@dataclass(frozen=True)
class Plan:
    """What to do for how long."""

    seconds: float
    seed: int
    rate: int = 240
    connections: int = 12
    kill_every_s: float = 2.5
    model: Model = ECHO
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of it. Times in seconds."""

    seed: int
    seconds: float
    requests: int
    requests_per_second: float
    failed: int
    failures: list[dict[str, Any]]
    gateway: list[dict[str, Any]]  # the gateway's words on what it could not answer
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    kills: dict[str, int]
    actions: dict[str, int]
    longest_outage_s: float
    lost: list[str]
    leaked: list[str]
    errors: list[str]

    @property
    def is_good(self) -> bool:
        """Nothing failed, nothing is lost, nothing is left."""
        return not (self.failed or self.lost or self.leaked or self.errors)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run(home: Path, plan: Plan, *, say: Any = lambda text: None) -> Outcome:
    """Bring an engine up on `home`, do as the plan says, take it down."""
    up = {"gateway_port": 0, "without": running.WITHOUT}
    errors: list[str] = []
    try:
        port = running.Running(_up(home, up)).gateway_port
        up["gateway_port"] = port
        if plan.model is ECHO:
            running.Running(home).apply(running.RUNTIME)
        operator = Operator(home / "kubeconfig", plan.model, list(plan.places), seed=plan.seed)
        operator.prepare()
        killer = Killer(home, seed=plan.seed, every_s=plan.kill_every_s, up=dict(up))
        load = _Load(port, plan)
        errors += _operate(operator, killer, until=time.monotonic() + plan.seconds, say=say)
        seen = load.stop()
        errors += killer.errors
        operator.wait_quiet()
        lost, leaked = operator.lost(), _strangers(home, operator)
        gateway = _refusals(home / "envoy" / "access.log")
    finally:
        lifecycle.down(home)
    leaked += [f"{marker} is left behind as pid {identity.pid}" for identity, marker in procfs.marked(f"{home}/run/")]
    return _outcome(plan, seen, operator, killer, gateway=gateway, lost=lost, leaked=leaked, errors=errors)


def _up(home: Path, up: dict[str, Any]) -> Path:
    lifecycle.up(home, **up)
    return home


def _operate(operator: Operator, killer: Killer, *, until: float, say: Any) -> list[str]:
    """Act until the time is over; what went wrong with it."""
    killer.start()
    began, told = time.monotonic(), 0
    try:
        while time.monotonic() < until:
            operator.act()
            passed = int(time.monotonic() - began)
            if passed >= told + 15:
                told = passed
                say(f"{passed} s: {dict(killer.done)} killed, {dict(operator.done)} done")
    except Exception as error:  # noqa: BLE001 (told with the figures)
        return [f"{type(error).__name__}: {error}"]
    finally:
        killer.stop()
    return []


class _Load:
    """The load's process."""

    def __init__(self, port: int, plan: Plan) -> None:
        content = {"port": port, "rate": plan.rate, "connections": plan.connections}
        content["targets"] = objects.targets(plan.model)  # type: ignore[assignment]
        command = [sys.executable, "-m", "tests.chaos.load", json.dumps(content)]
        self._began = time.monotonic()
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)

    def stop(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=60)
        found: dict[str, Any] = json.loads(output)
        return {**found, "elapsed": time.monotonic() - self._began}


def _strangers(home: Path, operator: Operator) -> list[str]:
    """Predictor processes that no pod knows of; those on their way out are given their time."""
    deadline = time.monotonic() + _QUIET_S
    while True:
        pods = {f"default.{name}" for name in operator.pods()}
        alive = {record.name for record in records.load(home / "run") if record.role == "predictor" and record.is_alive}
        unknown = [
            f"pid {identity.pid} of {marker} has no record"
            for identity, marker in procfs.leaders(f"{home}/run/")
            if identity.pid not in {record.pid for record in records.load(home / "run")}
        ]
        found = [*(f"{name} has no pod" for name in alive - pods), *unknown]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _refusals(log: Path) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in log.read_text().splitlines())
    return [line for line in lines if int(line["code"]) >= 500 or not int(line["code"])][:20]


def _outcome(plan: Plan, seen: dict[str, Any], operator: Operator, killer: Killer, **found: list[Any]) -> Outcome:
    times = sorted(seen["seconds"]) or [0.0]

    def at(share: float) -> float:
        seconds: float = times[min(len(times) - 1, int(share * len(times)))]
        return round(1000 * seconds, 1)

    return Outcome(
        seed=plan.seed,
        seconds=round(seen["elapsed"], 1),
        requests=seen["sent"],
        requests_per_second=round(seen["sent"] / seen["elapsed"], 1),
        failed=seen["failed"],
        failures=seen["failures"],
        p50_ms=at(0.5),
        p99_ms=at(0.99),
        slowest_ms=at(1.0),
        kills=dict(killer.done),
        actions=dict(operator.done),
        longest_outage_s=round(max(killer.outages_s, default=0.0), 2),
        **found,
    )
