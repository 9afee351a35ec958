"""What a predictor lost or took back is never held against a version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ledger.building import NOON, SECOND, announce, record, send
from turnout.errors import InputError, NotFound
from turnout.ledger.client import LedgerClient

V1, V2 = "digits-v1", "digits-v2"
LOGS = {V1: "digits-v1-predictor-abcde", V2: "digits-v2-predictor-abcde"}


@pytest.fixture
def route(ledger: LedgerClient) -> LedgerClient:
    """A ledger that knows the weights r1 and a log of each version, both complete up to ten seconds before noon."""
    announce(ledger)
    for version in LOGS:
        send(ledger, version=version, log=LOGS[version], watermark_us=NOON - 10 * SECOND)
    return ledger


def tell(ledger: LedgerClient, version: str = V2, *, watermark_us: int = NOON, **news: Any) -> None:
    ledger.events(log=LOGS[version], endpoint="digits", version=version, watermark_us=watermark_us, **news)


def gap(from_us: int, to_us: int, events: int = 5) -> dict[str, int]:
    return {"from_us": from_us, "to_us": to_us, "events": events}


def evidence(ledger: LedgerClient) -> dict[str, Any]:
    return ledger.evidence("digits", champion=V1, challenger=V2, window_us=0)


def units(ledger: LedgerClient) -> list[str]:
    return [unit["id"] for unit in evidence(ledger)["units"]]


def test_a_gap_of_one_version_closes_evidence_for_both(route: LedgerClient) -> None:
    times = {"before": 9, "first": 8, "within": 7, "last": 6, "after": 5}
    for version, log in LOGS.items():
        found = (record(version=version, name=f"{name}.{version}", time_us=NOON - t) for name, t in times.items())
        send(route, *found, version=version, log=log, watermark_us=NOON - 4)
    tell(route, dropped=[gap(NOON - 8, NOON - 6)])
    tell(route, V1)

    assert {unit.partition(".")[0] for unit in units(route)} == {"before", "after"}
    assert evidence(route)["dropped"] == {"gap": 6}


def test_a_gap_is_in_the_audit_once_however_often_it_is_told(route: LedgerClient) -> None:
    for _ in range(3):
        tell(route, dropped=[gap(NOON - 8, NOON - 6), gap(NOON - 3, NOON - 2, 1)])

    rows = route.audit(turnout="digits", action="gap")["rows"]
    assert [(row["data"]["log"], row["data"]["version"], row["data"]["events"]) for row in rows] == [
        (LOGS[V2], V2, 5),
        (LOGS[V2], V2, 1),
    ]


def test_what_was_handed_out_before_a_gap_was_told_stays(route: LedgerClient) -> None:
    send(
        route,
        record(name="a", time_us=NOON - 9),
        record(name="b", time_us=NOON - 2),
        log=LOGS[V1],
        watermark_us=NOON - 5,
    )
    send(route, version=V2, log=LOGS[V2], watermark_us=NOON - 5)
    assert units(route) == ["a"]
    tell(route, dropped=[gap(NOON - 9, NOON - 1)])
    tell(route, V1)

    assert units(route) == ["a"]


def test_gaps_that_overlap_close_once_and_no_more(route: LedgerClient) -> None:
    found = [record(name=str(t), time_us=NOON - t) for t in range(1, 10)]
    send(route, *found, log=LOGS[V1], watermark_us=NOON)
    tell(route, dropped=[gap(NOON - 8, NOON - 5), gap(NOON - 6, NOON - 4)])

    assert units(route) == ["9", "3", "2", "1"]


def test_a_withdrawn_record_is_gone_and_one_that_was_never_there_is_no_matter(route: LedgerClient) -> None:
    send(
        route,
        record(name="a", time_us=NOON - 9),
        record(name="b", time_us=NOON - 8),
        log=LOGS[V1],
        watermark_us=NOON - 10,
    )
    tell(route, V1, withdrawn=["a", "never"])
    tell(route)

    assert units(route) == ["b"]
    with pytest.raises(NotFound):
        route.prediction("a")


def test_only_its_own_version_can_withdraw_a_record(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 9), log=LOGS[V1], watermark_us=NOON - 10)
    tell(route, V2, withdrawn=["a"])

    assert route.prediction("a")["id"] == "a"


def test_a_record_that_arrives_after_it_was_withdrawn_is_no_evidence(route: LedgerClient) -> None:
    tell(route, V1, withdrawn=["a"], watermark_us=NOON - 5)
    send(route, record(name="a", time_us=NOON - 9), log=LOGS[V1], watermark_us=NOON)
    tell(route)

    assert units(route) == []


@pytest.mark.parametrize(
    ("news", "message"),
    [
        ({"dropped": {"from_us": 1}}, r"dropped: wanted a list"),
        ({"dropped": [3]}, r"dropped\[0\]: wanted from_us"),
        ({"dropped": [gap(1, 2), gap(2, 1)]}, r"dropped\[1\]: wanted from_us <= to_us"),
        ({"dropped": [{"from_us": 1, "to_us": 2}]}, r"dropped\[0\]: wanted from_us"),
        ({"withdrawn": "a"}, "withdrawn: wanted a list of prediction ids"),
        ({"withdrawn": ["not an id"]}, "withdrawn: wanted a list of prediction ids"),
    ],
)
def test_news_that_are_none_are_refused(route: LedgerClient, news: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tell(route, **news)
