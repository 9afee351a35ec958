"""Kills the control plane and predictors with SIGKILL, at random times, from a thread of its own.

A predictor is killed only while its Service has another one: ready by its own word, and in the configuration that Envoy
has had for a while. That is the promise under test: with two replicas one of them may die at any time.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import orjson

from turnout.embedded import lifecycle
from turnout.embedded.supervision import procfs, records
from turnout.embedded.supervision.records import Record

__all__ = ["Killer"]

_CONTROL_PLANE = 0.4  # of all kills; the first one always
_SETTLED_S = 0.5


class Killer:
    """Kills until told to stop; starts the control plane again each time."""

    def __init__(self, home: Path, *, seed: int, every_s: float, up: dict[str, object]) -> None:
        self._home, self._random, self._every_s, self._up = home, random.Random(seed), every_s, up
        self.done: Counter[str] = Counter()
        self.outages_s: list[float] = []  # from the kill of a control plane until it was back
        self.errors: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, with the control plane running."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._random.uniform(0.5, 1.5) * self._every_s):
            try:
                if not self.done["control plane"] or self._random.random() < _CONTROL_PLANE:
                    self._kill_control_plane()
                else:
                    self._kill_predictor()
            except Exception as error:  # noqa: BLE001 (told at the end, as a failure of the whole)
                self.errors.append(f"{type(error).__name__}: {error}")

    def _kill_control_plane(self) -> None:
        engine = next((record for record in records.load(self._home) if record.name == "engine"), None)
        if engine is None or not engine.is_alive:
            return
        os.kill(engine.pid, signal.SIGKILL)
        killed = time.monotonic()
        self.done["control plane"] += 1
        if self._random.random() < 0.5:  # half of the time a predictor dies while nobody looks
            self._kill_predictor()
        self._over.wait(self._random.uniform(0.0, 1.0))
        lifecycle.up(self._home, **self._up)  # type: ignore[arg-type]
        self.outages_s.append(time.monotonic() - killed)

    def _kill_predictor(self) -> None:
        groups: dict[str, list[Record]] = {}
        for record in records.load(self._home / "run"):
            if record.role == "predictor" and record.is_alive and self._serves(record):
                groups.setdefault(record.name.rsplit("-", 2)[0], []).append(record)
        several = sorted(name for name, found in groups.items() if len(found) > 1)
        if several:
            victim = self._random.choice(groups[self._random.choice(several)])
            if procfs.is_alive(victim.identity):
                os.kill(victim.pid, signal.SIGKILL)
                self.done["predictor"] += 1

    def _serves(self, record: Record) -> bool:
        """Whether a predictor is ready, and Envoy has led to it for a while."""
        service = record.name.rsplit("-", 2)[0]
        file = self._home / "envoy" / "endpoints" / f"{service}.80.json"
        with suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            if time.time() - file.stat().st_mtime < _SETTLED_S or not _lists(file, record.port):
                return False
            with closing(http.client.HTTPConnection("127.0.0.1", record.port, timeout=1)) as connection:
                connection.request("GET", "/v2/health/ready")
                return connection.getresponse().status == http.client.OK
        return False


def _lists(file: Path, port: int) -> bool:
    (resource,) = orjson.loads(file.read_bytes())["resources"]
    hosts = [entry["endpoint"]["address"]["socket_address"] for entry in resource["endpoints"][0]["lb_endpoints"]]
    return port in [host["port_value"] for host in hosts]
