from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, SECOND, announce, send
from turnout.ledger.client import LedgerClient

PAIR = {"champion": "digits-v1", "challenger": "digits-v2"}


def request(name: str = "q1", **fields: Any) -> dict[str, Any]:
    return {
        "request_id": name,
        "time_us": NOON - 1000,
        "duration_us": 400,
        "code": 200,
        "stamp": "digits-v1;p=0.5;rev=r1",
        "id": None,
        "host": "digits.localhost",
    } | fields


def send_requests(ledger: LedgerClient, *events: Any, watermark_us: int = NOON, log: str = "envoy") -> dict[str, Any]:
    return ledger.gateway_log(log=log, watermark_us=watermark_us, events=list(events))


def evidence(ledger: LedgerClient, *, window_us: int = 0, **query: Any) -> dict[str, Any]:
    return ledger.evidence("digits", **PAIR, kind="gateway", window_us=window_us, **query)


def test_requests_become_units_with_error_and_duration(ledger: LedgerClient) -> None:
    announce(ledger)
    send_requests(
        ledger,
        request("ok"),
        request("refused", code=404, duration_us=401),
        request("failed", code=503, duration_us=402, stamp="digits-v2;p=0.5;rev=r1"),
    )
    page = evidence(ledger)
    assert [(unit["id"], unit["version"], unit["error"]) for unit in page["units"]] == [
        ("ok", "digits-v1", 0),
        ("refused", "digits-v1", 0),
        ("failed", "digits-v2", 1),
    ]
    assert page["units"][0] == {
        "id": "ok",
        "time_us": NOON - 600,
        "version": "digits-v1",
        "rev": "r1",
        "error": 0,
        "duration_us": 400,
    }
    assert evidence(ledger, cursor=page["cursor"])["units"] == []


def test_a_batch_sent_twice_is_stored_once(ledger: LedgerClient) -> None:
    send_requests(ledger, request("a"), request("a"))
    answer = send_requests(ledger, request("a"), request("b", time_us=NOON))
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 1, [])


def test_a_request_is_placed_by_its_end_so_that_slow_ones_are_not_late(ledger: LedgerClient) -> None:
    announce(ledger)
    send_requests(ledger, watermark_us=NOON - SECOND)
    slow = request("slow", time_us=NOON - 15 * SECOND, duration_us=15 * SECOND - 1, code=504)
    assert send_requests(ledger, slow)["late"] == 0
    assert [unit["error"] for unit in evidence(ledger)["units"]] == [1]


def test_a_request_behind_the_watermark_is_late_and_no_unit(ledger: LedgerClient) -> None:
    announce(ledger)
    send_requests(ledger, watermark_us=NOON)
    assert send_requests(ledger, request("old"))["late"] == 1
    page = evidence(ledger)
    assert (page["units"], page["dropped"]) == ([], {"late": 1})


def test_a_second_gateway_cannot_change_what_was_handed_out(ledger: LedgerClient) -> None:
    announce(ledger)
    send_requests(ledger, watermark_us=NOON)
    evidence(ledger)
    assert send_requests(ledger, request("old"), log="second")["late"] == 1


def test_evidence_waits_for_the_slowest_gateway_and_for_the_first(ledger: LedgerClient) -> None:
    announce(ledger)
    assert evidence(ledger)["waiting_for"] == ["gateway"]
    send_requests(ledger, request("a"))
    send_requests(ledger, log="second", watermark_us=NOON - 5 * SECOND)
    page = evidence(ledger)
    assert (page["units"], page["waiting_for"]) == ([], ["second"])
    ledger.gateway_log(log="second", watermark_us=NOON - 5 * SECOND, events=[], final=True)
    assert [unit["id"] for unit in evidence(ledger)["units"]] == ["a"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stamp": "digits-v1;p=0.5;rev=r9"}, "unknown_rev"),
        ({"stamp": "digits-v1;p=0.9;rev=r1"}, "wrong_weight"),
    ],
)
def test_requests_without_a_known_assignment_are_no_units(
    ledger: LedgerClient, fields: dict[str, Any], reason: str
) -> None:
    announce(ledger)
    send_requests(ledger, request("a", **fields), request("forced", stamp=None))
    page = evidence(ledger)
    assert (page["units"], page["dropped"]) == ([], {reason: 1})


def test_errors_are_in_the_summary_of_their_turnout_only(ledger: LedgerClient) -> None:
    announce(ledger)
    send(ledger)
    send_requests(ledger, request("a", code=503), request("b", code=503, stamp="digits-v2;p=0.5;rev=r1"))
    send_requests(ledger, request("c", code=503, stamp="digits-v1;p=0.5;rev=other"))
    versions = ledger.summary("digits")["versions"]
    assert {name: counts["errors"] for name, counts in versions.items()} == {"digits-v1": 1, "digits-v2": 1}
    assert ledger.summary("other")["versions"] == {}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (17, "an entry must be a JSON object"),
        (request(""), "request_id: wanted a string"),
        (request(time_us="x"), "time_us: wanted an integer, microseconds"),
        (request(duration_us=-1), "duration_us: wanted an integer, microseconds"),
        (request(code="200"), "code: wanted an HTTP status, or 0 for none"),
        (request(code=1000), "code: wanted an HTTP status"),
        (request(stamp=7), "stamp: wanted a string without NUL, or null"),
        (request(id=7), "id: wanted a string without NUL, or null"),
    ],
)
def test_a_bad_entry_is_named_and_does_not_block_its_neighbours(ledger: LedgerClient, bad: Any, reason: str) -> None:
    answer = send_requests(ledger, bad, request("good"))
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["index"] == 0
    assert answer["rejected"][0]["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([], "the body must be a JSON object"),
        ({"log": "x", "watermark_us": 1}, "events is missing"),
        ({"log": "x", "watermark_us": "1", "events": []}, "watermark_us: wanted an integer"),
        ({"log": "x", "watermark_us": 1, "events": [], "final": 1}, "final: wanted true or false"),
    ],
)
def test_an_envelope_that_names_no_log_is_refused(http: httpx.Client, body: Any, detail: str) -> None:
    reply = http.post("/v1/gateway-log", json=body)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_a_request_that_found_no_endpoint_has_no_version_and_is_told_apart_by_its_host(ledger: LedgerClient) -> None:
    announce(ledger)
    lost = {"stamp": None, "code": 503, "flags": "NC"}
    send_requests(
        ledger,
        request("good"),
        request("lost", **lost),
        request("port", **lost | {"host": "digits.localhost:8080"}),
        request("elsewhere", **lost | {"host": "iris.localhost"}),
        request("forced", **lost | {"flags": None}),
    )
    page = evidence(ledger, host="digits.localhost")
    assert [unit["id"] for unit in page["units"]] == ["good"]
    assert {unit["id"] for unit in page["homeless"]} == {"lost", "port"}
    assert evidence(ledger)["homeless"] == []
