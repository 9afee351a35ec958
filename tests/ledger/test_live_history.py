"""Which versions answered when: the answer of the audit against a model of it, for random histories and times."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.ledger.building import NOON, SECOND, Clock, announce, record, send
from turnout.ledger import audit, history
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store

_WEIGHTS = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(1, 100), min_size=1)
# Endpoint, seconds since the change before (of any endpoint), weights; and whether a decision was written with it.
_CHANGES = st.lists(st.tuples(st.sampled_from(["digits", "wine"]), st.integers(0, 30), _WEIGHTS, st.booleans()))
_TIMES = st.lists(st.integers(-5, 400), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(changes=_CHANGES, times=_TIMES)
def test_at_any_time_the_answer_is_what_a_replay_of_the_changes_gives(
    changes: list[tuple[str, int, dict[str, int], bool]], times: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'ledger.db'}")
        try:
            written = store.write(lambda connection: _write(connection, changes)).result()
            for seconds in times:
                at_us = NOON + seconds * SECOND
                answer = store.read(lambda c, at=at_us: history.at(c, at_us=at, namespace=None, endpoint=None)).result()
                replayed = {endpoint: weights for time_us, endpoint, weights in written if time_us <= at_us}
                assert {found["endpoint"]: found["weights"] for found in answer} == replayed
                for found in answer:
                    later = [t for t, endpoint, _ in written if endpoint == found["endpoint"] and t > at_us]
                    assert found["until_us"] == (min(later) if later else None)
        finally:
            store.close()


def _write(
    connection: Connection, changes: list[tuple[str, int, dict[str, int], bool]]
) -> list[tuple[int, str, dict[str, int]]]:
    now_us, written = NOON, []
    for number, (endpoint, seconds, weights, decided) in enumerate(changes):
        now_us += seconds * SECOND
        entries = [audit.Entry("weights", "controller", {"rev": f"r{number}", "weights": weights})]
        if decided:
            entries.insert(0, audit.Entry("step", "controller", {"version": "v2"}))
        audit.append(connection, entries, namespace="default", turnout=endpoint, now_us=now_us)
        written.append((now_us, endpoint, weights))
    return written


def test_an_endpoint_names_its_weights_the_decision_and_the_audit_row(ledger: LedgerClient, clock: Clock) -> None:
    announce(ledger, rev="r1", weights={"digits-v1": 100}, action="adopt")
    clock.advance(10)
    announce(ledger, rev="r2", weights={"digits-v1": 80, "digits-v2": 20}, action="start")
    (found,) = ledger.live(at_us=NOON + 9 * SECOND)["endpoints"]
    assert (found["endpoint"], found["weights"], found["decision"]["action"]) == ("digits", {"digits-v1": 100}, "adopt")
    assert (found["since_us"], found["until_us"]) == (NOON, NOON + 10 * SECOND)
    row = ledger.audit(after_seq=found["seq"] - 1, limit=1)["rows"][0]
    assert (row["digest"], row["data"]["rev"]) == (found["digest"], "r1")


def test_without_a_time_the_answer_is_for_now(ledger: LedgerClient, clock: Clock) -> None:
    announce(ledger, rev="r1", action="adopt")
    clock.advance(5)
    found = ledger.live(endpoint="digits")
    assert found["at_us"] == found["now_us"] == NOON + 5 * SECOND
    assert found["endpoints"][0]["until_us"] is None


def test_a_clock_that_was_set_back_does_not_bring_old_weights_back(ledger: LedgerClient, clock: Clock) -> None:
    announce(ledger, rev="r1", weights={"digits-v1": 100}, action="adopt")
    clock.advance(-60)
    announce(ledger, rev="r2", weights={"digits-v2": 100}, action="promote")
    (found,) = ledger.live(at_us=NOON)["endpoints"]
    assert (found["rev"], found["decision"]["action"]) == ("r2", "promote")


def test_before_the_first_decision_and_of_an_unknown_endpoint_nothing_is_live(ledger: LedgerClient) -> None:
    announce(ledger)
    assert ledger.live(at_us=NOON - 1)["endpoints"] == []
    assert ledger.live(endpoint="wine")["endpoints"] == []
    assert ledger.live(namespace="other")["endpoints"] == []


def test_a_time_that_is_no_number_is_refused(http: httpx.Client) -> None:
    reply = http.get("/v1/live", params={"at_us": "yesterday"})
    assert reply.status_code == 400
    assert "at_us: wanted an integer" in reply.json()["detail"]


def test_a_page_of_predictions_carries_the_current_labels(ledger: LedgerClient) -> None:
    send(ledger, *(record(name=name, time_us=NOON + at) for at, name in enumerate(("a", "b", "c", "d"))))
    ledger.feedback("a", label=7)
    ledger.feedback("a", label=8, method="PUT")
    ledger.feedback("b", score=1.0)
    ledger.feedback("d", label=1)
    found = ledger.predictions(endpoint="digits", until_us=NOON + 3)["predictions"]
    assert [(row["id"], row["label"]) for row in found] == [("c", None), ("b", None), ("a", 8)]
