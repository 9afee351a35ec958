from __future__ import annotations

from tests.ledger.building import NOON, SECOND, announce, record, send
from turnout.ledger.client import LedgerClient


def shadowed(ledger: LedgerClient, n: int, *, answer: int, copy: int, label: int | None) -> None:
    """A request that v1 answered and of which the shadow v9 got a copy."""
    announce(ledger)
    common = {"request_id": f"r{n}", "stamp": "digits-v1;p=0.5;rev=r1"}
    at = NOON - 60 * SECOND + n
    send(ledger, record(name=f"a{n}", time_us=at, predicted=answer, duration_us=100, **common))
    copied = record(
        version="digits-v9", name=f"s{n}", time_us=at + 5, predicted=copy, shadow=True, duration_us=300, **common
    )
    send(ledger, copied, version="digits-v9")
    if label is not None:
        ledger.feedback(f"a{n}", label=label)


def test_copies_are_joined_with_what_the_caller_got_by_the_request_id(ledger: LedgerClient) -> None:
    shadowed(ledger, 1, answer=7, copy=7, label=7)
    shadowed(ledger, 2, answer=7, copy=3, label=3)
    shadowed(ledger, 3, answer=7, copy=3, label=None)
    page = ledger.pairs("digits", shadow="digits-v9", window_us=SECOND)
    told = [(p["id"], p["version"], p["agree"], p["y"], p["shadow_y"]) for p in page["pairs"]]
    assert told == [
        ("a1", "digits-v1", True, 1.0, 1.0),
        ("a2", "digits-v1", False, 0.0, 1.0),
        ("a3", "digits-v1", False, None, None),
    ]
    assert {(p["duration_us"], p["shadow_duration_us"]) for p in page["pairs"]} == {(100, 300)}
    assert ledger.pairs("digits", shadow="digits-v9", window_us=SECOND, cursor=page["cursor"])["pairs"] == []


def test_a_copy_whose_label_window_is_open_has_to_wait(ledger: LedgerClient) -> None:
    shadowed(ledger, 1, answer=7, copy=7, label=None)
    assert ledger.pairs("digits", shadow="digits-v9", window_us=3600 * SECOND)["pairs"] == []
