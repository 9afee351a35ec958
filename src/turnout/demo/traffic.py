"""Clients: they send held-out rows through the gateway and post the true labels later, out of order, some never."""

from __future__ import annotations

import heapq
import http.client
import random
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from turnout.errors import TurnoutError
from turnout.ledger.client import LedgerClient

__all__ = ["Row", "Tally", "Target", "Traffic"]

_MOST_OVERDUE = 60


@dataclass(frozen=True)
class Row:
    """One held-out instance and its true label."""

    features: Sequence[float]
    label: int


@dataclass(frozen=True)
class Target:
    """Where the requests go: the gateway by address, the endpoint by Host header (few resolvers know *.localhost)."""

    gateway_url: str
    host: str
    model: str
    ledger_url: str
    ledger_token: str


@dataclass
class Tally:
    """What the clients saw."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)  # prediction id -> version
    right: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    lost_labels: list[str] = field(default_factory=list)


class Traffic:
    """A handful of clients with a common rhythm. `rate` (requests per second) may be changed at any time."""

    def __init__(
        self, target: Target, rows: Sequence[Row], *, rate: float, seed: int | None = None, label_share: float = 0.9
    ) -> None:
        self._target = target
        self._rows = rows
        self._random = random.Random(seed)  # noqa: S311 - which image is sent next is no secret
        self._label_share = label_share
        self.rate = rate
        self.tally = Tally()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._labels: list[tuple[float, str, int]] = []
        self._labels_changed = threading.Condition(self._lock)
        self._clients = [threading.Thread(target=self._client, name=f"client-{i}") for i in range(4)]
        self._labellers = [threading.Thread(target=self._labeller, name=f"labeller-{i}") for i in range(3)]
        for thread in (*self._clients, *self._labellers):
            thread.daemon = True

    def start(self) -> None:
        """Begin."""
        for thread in (*self._clients, *self._labellers):
            thread.start()

    def stop(self) -> None:
        """Stop sending, then post every label that is still due."""
        self._stop.set()
        for thread in self._clients:
            thread.join()
        with self._labels_changed:
            self._labels_changed.notify_all()
        for thread in self._labellers:
            thread.join()

    def _client(self) -> None:
        parts = urllib.parse.urlsplit(self._target.gateway_url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        due = time.monotonic()
        while not self._stop.is_set():
            with self._lock:
                row = self._random.choice(self._rows)
            self._send(connection, row)
            # A schedule, not a pause: a slow answer does not lower the rate. But what was missed is not caught up.
            due = max(due + len(self._clients) / self.rate, time.monotonic() - 0.1)
            self._stop.wait(max(0.0, due - time.monotonic()))
            with self._labels_changed:
                # People who label do not fall behind for ever on a slow machine: the clients wait for them.
                self._labels_changed.wait_for(lambda: self._stop.is_set() or self._overdue() < _MOST_OVERDUE, 1.0)
        connection.close()

    def _overdue(self) -> int:
        now = time.monotonic()
        return sum(when < now for when, _, _ in self._labels) if len(self._labels) >= _MOST_OVERDUE else 0

    def _send(self, connection: http.client.HTTPConnection, row: Row) -> None:
        tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, len(row.features)], "data": list(row.features)}
        headers = {"Host": self._target.host, "Content-Type": "application/json"}
        try:
            connection.request(
                "POST", f"/v2/models/{self._target.model}/infer", orjson.dumps({"inputs": [tensor]}), headers
            )
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._failed(f"{type(error).__name__}: {error}")
            return
        prediction, version = reply.headers.get("x-turnout-id"), reply.headers.get("x-turnout-version")
        if reply.status != http.HTTPStatus.OK or not prediction or not version:
            self._failed(f"{reply.status} {body[:200].decode(errors='replace')}")
            return
        self._answered(prediction, version, row.label, orjson.loads(body)["outputs"][0]["data"][0])

    def _failed(self, why: str) -> None:
        with self._lock:
            self.tally.sent += 1
            self.tally.failures.append(why)

    def _answered(self, prediction: str, version: str, label: int, predicted: int) -> None:
        with self._labels_changed:
            self.tally.sent += 1
            self.tally.answered[prediction] = version
            self.tally.right[version] += predicted == label
            if self._random.random() < self._label_share:
                # Every label has its own delay, so they arrive out of order.
                when = time.monotonic() + self._random.uniform(0.05, 0.8)
                heapq.heappush(self._labels, (when, prediction, label))
                self._labels_changed.notify()

    def _labeller(self) -> None:
        with LedgerClient(self._target.ledger_url, self._target.ledger_token) as ledger:
            while (due := self._next_label()) is not None:
                prediction, label = due
                try:
                    ledger.feedback(prediction, label=label)
                except TurnoutError as error:
                    with self._lock:
                        self.tally.lost_labels.append(str(error))
                else:
                    with self._labels_changed:
                        self.tally.labelled += 1
                        self._labels_changed.notify_all()

    def _next_label(self) -> tuple[str, int] | None:
        """The next label when its time has come; None when there will be no more."""
        with self._labels_changed:
            while True:
                if not self._labels:
                    if self._stop.is_set() and not any(client.is_alive() for client in self._clients):
                        return None
                    self._labels_changed.wait(0.1)
                    continue
                wait = self._labels[0][0] - time.monotonic()
                if wait <= 0 or self._stop.is_set():
                    _, prediction, label = heapq.heappop(self._labels)
                    return prediction, label
                self._labels_changed.wait(wait)
