"""What the ledger tells a Prometheus server: its replies, what it was sent, and what it holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.errors import TurnoutError
from turnout.ledger import summaries
from turnout.ledger.store import Store
from turnout.monitoring import DURATION_BUCKETS_S

__all__ = ["ROUTE", "Holdings", "Measured", "Metrics"]

ROUTE = "turnout.route"  # in an ASGI scope: method and path of the operation, once it is known
_STRANGERS = ("", "")  # a request without an operation: its path is anybody's invention
_READ_S = 2.0


class Metrics:
    """Counters of one ledger process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._replies = Counter(
            "turnout_ledger_requests_total",
            "Replies by operation and status code; of requests that are no operation's, by status code.",
            ("method", "route", "code"),
            registry=registry,
        )
        self._durations_s = Histogram(
            "turnout_ledger_request_duration_seconds",
            "From a request's head to the head of its reply.",
            ("method", "route"),
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._events = Counter(
            "turnout_ledger_events_total",
            "Records of predictors and lines of gateways that were sent, by what became of them; late ones are taken.",
            ("source", "state"),
            registry=registry,
        )

    def count_reply(self, operation: tuple[str, str], *, status: int, duration_s: float) -> None:
        """One reply; `operation` is a method and a path with its variables' names."""
        self._replies.labels(*operation, status).inc()
        self._durations_s.labels(*operation).observe(duration_s)

    def count_events(self, source: str, states: Mapping[str, int]) -> None:
        """What became of a batch."""
        for state, count in states.items():
            self._events.labels(source, state).inc(count)


class Measured:
    """An application whose replies are counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; count when a reply begins, for one may go on for hours."""
        began_s = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                operation = scope.get(ROUTE, _STRANGERS)
                duration_s = time.perf_counter() - began_s
                self._metrics.count_reply(operation, status=message["status"], duration_s=duration_s)
            await send(message)

        await self._app(scope, receive, counted)


class Holdings(Collector):
    """What is in the database, looked up when somebody asks; every replica says the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Whether the database answers, and if so, how much it has been given."""
        reading = self._store.read(summaries.all_time)
        try:
            found = reading.result(_READ_S)
        except (TurnoutError, TimeoutError):
            reading.cancel()
            found = {}
        yield GaugeMetricFamily("turnout_ledger_database_up", "1 if the database answers, else 0.", value=bool(found))
        records = GaugeMetricFamily(
            "turnout_ledger_records", "What the ledger has been given since there is one.", labels=("kind",)
        )
        for kind, count in found.items():
            records.add_metric((kind,), count)
        yield records
