"""What a Prometheus server learns of the ledger."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.ledger.building import announce, batch, record, send
from tests.ledger.processes import LedgerProcess
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.errors import Unavailable
from turnout.ledger.api.app import application
from turnout.ledger.api.measuring import Holdings, Metrics
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store


class Watched:
    """A ledger, and what it says of itself."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.transport = InProcess(application(store, token=TOKEN, metrics=Metrics(self.registry)))
        self.client = LedgerClient(URL, TOKEN, transport=self.transport)
        self.http = httpx.Client(transport=self.transport, base_url=URL)
        self.registry.register(Holdings(store))

    def replies(self, method: str, route: str, code: int) -> float | None:
        labels = {"method": method, "route": route, "code": str(code)}
        return self.registry.get_sample_value("turnout_ledger_requests_total", labels)

    def events(self, source: str, state: str) -> float | None:
        return self.registry.get_sample_value("turnout_ledger_events_total", {"source": source, "state": state})

    def records(self, kind: str) -> float | None:
        return self.registry.get_sample_value("turnout_ledger_records", {"kind": kind})

    @property
    def database_is_up(self) -> float | None:
        return self.registry.get_sample_value("turnout_ledger_database_up")


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


def test_replies_are_counted_by_operation_not_by_what_stands_in_the_path(watched: Watched) -> None:
    send(watched.client, record(name="a"), record(name="b"))
    watched.client.prediction("a")
    watched.client.prediction("b")
    assert watched.replies("GET", "/v1/predictions/{id}", 200) == 2
    took = {"method": "GET", "route": "/v1/predictions/{id}"}
    assert watched.registry.get_sample_value("turnout_ledger_request_duration_seconds_count", took) == 2


def test_a_strangers_inventions_are_one_series(watched: Watched) -> None:
    for path in ("/v1/predictions", "/a", "/b"):
        assert watched.http.request("BREW", path).status_code == 401
    assert watched.replies("", "", 401) == 3


def test_refusals_and_mistakes_are_replies_of_their_operation(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnout.ledger import summaries

    def mistake(*_: Any, **__: Any) -> None:
        raise RuntimeError

    own = {"authorization": f"Bearer {TOKEN}"}
    assert watched.http.post("/v1/events", content=b"{", headers=own).status_code == 400
    monkeypatch.setattr(summaries, "of", mistake)
    assert watched.http.get("/v1/turnouts/digits/summary", headers=own).status_code == 500
    assert watched.replies("POST", "/v1/events", 400) == 1
    assert watched.replies("GET", "/v1/turnouts/{name}/summary", 500) == 1


def test_what_was_sent_is_counted_by_what_became_of_it(watched: Watched) -> None:
    body = batch([record(name="a"), record(name="b"), {"id": "no record"}])
    for _ in range(2):
        watched.http.post("/v1/events", json=body, headers={"authorization": f"Bearer {TOKEN}"}).raise_for_status()
    counts = {state: watched.events("predictor", state) for state in ("accepted", "duplicates", "late", "rejected")}
    assert counts == {"accepted": 2, "duplicates": 2, "late": 0, "rejected": 2}


def test_what_the_ledger_holds_is_looked_up(watched: Watched) -> None:
    assert (watched.database_is_up, watched.records("predictions")) == (1, 0)
    send(watched.client, record(name="a"), record(name="b"))
    watched.client.feedback("a", label=7)
    announce(watched.client)
    assert (watched.records("predictions"), watched.records("labelled"), watched.records("shadow")) == (2, 1, 0)
    assert watched.records("audit") == 1


def test_a_database_that_is_away_is_said_and_hides_nothing_else(
    watched: Watched, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(watched.client, record())

    def away(_: object) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(Unavailable("no connection"))
        return failed

    monkeypatch.setattr(store, "read", away)
    assert (watched.database_is_up, watched.records("predictions")) == (0, None)
    assert watched.replies("POST", "/v1/events", 200) == 1


@pytest.mark.e2e
def test_a_ledger_shows_its_metrics_at_the_port_that_it_is_told_and_nowhere_else(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path, "--metrics=127.0.0.1:0")
    send(ledger.client, record())
    said = (tmp_path / "ledger.log").read_text()
    url = said.partition("metrics: ")[2].split()[0]
    shown = httpx.get(url).text
    assert 'turnout_ledger_requests_total{code="200",method="POST",route="/v1/events"} 1.0' in shown
    assert 'turnout_ledger_records{kind="predictions"} 1.0' in shown
    assert httpx.get(f"{ledger.url}/metrics").status_code == 401
    assert ledger.stop() == 0
