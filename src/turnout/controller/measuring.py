"""What a controller tells a Prometheus server, and by what a kubelet knows that it still turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from turnout.controller.records import Action, Decision
from turnout.monitoring import DURATION_BUCKETS_S

__all__ = ["Metrics", "Result"]

Result: TypeAlias = Literal["done", "conflict", "error", "bug"]


class Metrics:
    """Counters of one replica. Series that alerts ask for begin at zero: an increase from nothing is none."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        registry = registry or CollectorRegistry()
        self._clock_s, self._turned_s = clock_s, clock_s()
        self._leading = Gauge(
            "turnout_controller_leading", "1 while this replica leads, 0 while another one does.", registry=registry
        )
        self._last_round_s = Gauge(
            "turnout_controller_last_round_timestamp_seconds",
            "When this replica, leading, last ended a round without an error, in seconds since 1970.",
            registry=registry,
        )
        self._reconciles = Counter(
            "turnout_controller_reconciles_total",
            "Reconciles of Turnouts, by how they ended; a conflict is tried again and harms nobody.",
            ("result",),
            registry=registry,
        )
        self._durations_s = Histogram(
            "turnout_controller_reconcile_duration_seconds",
            "How long a reconcile of one Turnout took.",
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._decisions = Counter(
            "turnout_controller_decisions_total", "Decisions that were committed.", ("action",), registry=registry
        )
        for result in get_args(Result):
            self._reconciles.labels(result)
        for action in get_args(Action):
            self._decisions.labels(action)

    def count_round(self, *, is_leading: bool, is_done: bool) -> None:
        """One turn of the loop, also of a replica that only waits for its turn to lead."""
        self._turned_s = self._clock_s()
        self._leading.set(is_leading)
        if is_leading and is_done:
            self._last_round_s.set_to_current_time()

    def count_reconcile(self, result: Result, *, duration_s: float) -> None:
        """One reconcile."""
        self._reconciles.labels(result).inc()
        self._durations_s.observe(duration_s)

    def count_decisions(self, decisions: Iterable[Decision]) -> None:
        """What has just been committed."""
        for decision in decisions:
            self._decisions.labels(decision.action).inc()

    def has_turned(self, *, within_s: float) -> bool:
        """Whether the loop still turns, be it in vain."""
        return self._clock_s() - self._turned_s < within_s
