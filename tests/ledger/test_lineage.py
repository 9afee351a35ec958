from __future__ import annotations

from tests.ledger.building import NOON, SECOND, WEIGHTS, Clock, announce, record, send
from turnout.ledger.client import LedgerClient


def test_a_prediction_leads_to_its_weights_and_to_the_decision_behind_them(ledger: LedgerClient, clock: Clock) -> None:
    announce(ledger, rev="r1", action="adopt")
    clock.advance(10)
    announce(ledger, rev="r2", action="promote")
    clock.advance(10)
    announce(ledger, rev="r3", action="promote")
    send(ledger, record(name="a", time_us=NOON + 15 * SECOND, rev="r2"))
    ledger.feedback("a", label=7)

    found = ledger.lineage("a")
    assert (found["version"], found["rev"], found["outcome"]) == ("digits-v1", "r2", 1.0)
    assert found["stamp"] == "digits-v1;p=0.5;rev=r2"
    assert found["weights"]["data"]["rev"] == "r2"
    assert (found["decision"]["action"], found["decision"]["time_us"]) == ("promote", NOON + 10 * SECOND)
    assert [row["action"] for row in found["audit"]] == ["promote", "weights"]


def test_a_predictor_whose_clock_is_behind_finds_its_decision_by_the_weights(ledger: LedgerClient) -> None:
    announce(ledger, rev="r1", action="adopt")
    send(ledger, record(name="a", time_us=NOON - SECOND))
    assert ledger.lineage("a")["decision"]["action"] == "adopt"


def test_every_decision_about_the_version_is_told_and_none_about_others(ledger: LedgerClient, clock: Clock) -> None:
    for rev, action, version in (("r1", "adopt", "v1"), ("r2", "start", "v2"), ("r3", "step", "v2")):
        rows = [
            {"action": action, "actor": "controller", "data": {"version": version}},
            {"action": "weights", "actor": "controller", "data": {"rev": rev, "weights": WEIGHTS}},
        ]
        ledger.put_state("digits", if_generation=ledger.state("digits")["generation"], state={}, audit=rows)
        clock.advance(10)
    send(ledger, record(name="a", version="v2", rev="r3"), version="v2")
    found = ledger.lineage("a")
    assert [row["action"] for row in found["audit"]] == ["start", "step", "weights"]


def test_an_unstamped_prediction_leads_to_the_decision_of_its_time(ledger: LedgerClient, clock: Clock) -> None:
    announce(ledger, action="adopt")
    clock.advance(10)
    announce(ledger, rev="r2", action="promote")
    send(ledger, record(name="a", time_us=NOON + SECOND, rev=None))
    found = ledger.lineage("a")
    assert (found["weights"], found["stamp"]) == (None, None)
    assert found["decision"]["action"] == "adopt"


def test_a_prediction_that_no_decision_knows_says_so(ledger: LedgerClient) -> None:
    send(ledger, record(name="a"))
    found = ledger.lineage("a")
    assert (found["weights"], found["decision"], found["audit"]) == (None, None, [])
