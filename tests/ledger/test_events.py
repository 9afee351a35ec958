from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, SECOND, announce, batch, record, send
from turnout.errors import Conflict
from turnout.ledger.client import LedgerClient


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def test_a_record_comes_back_as_it_was_sent(ledger: LedgerClient) -> None:
    sent = record(name="a" * 32, caller_id="order-17", something_new={"later": [1, 2]})
    assert send(ledger, sent) == {"accepted": 1, "duplicates": 0, "late": 0, "rejected": []}
    found = ledger.prediction("a" * 32)
    assert {name: found[name] for name in sent} == sent
    assert (found["outcome"], found["labelled"], found["late"], found["feedback"]) == (None, False, False, [])


def test_a_batch_sent_twice_is_stored_once(ledger: LedgerClient) -> None:
    records = [record() for _ in range(3)]
    send(ledger, *records)
    again = send(ledger, *records, record())
    assert (again["accepted"], again["duplicates"]) == (1, 3)
    assert len(ledger.predictions()["predictions"]) == 4


def test_of_one_id_twice_in_a_batch_the_first_is_stored(ledger: LedgerClient) -> None:
    first, second = record(name="x", predicted=1), record(name="x", predicted=2)
    assert send(ledger, first, second)["duplicates"] == 1
    assert ledger.prediction("x")["outputs"][0]["data"] == [1]


def test_a_bad_record_is_named_and_does_not_block_its_neighbours(ledger: LedgerClient) -> None:
    bad = record(name="bad") | {"time_us": "noon"}
    answer = send(ledger, record(), bad, record())
    assert answer["accepted"] == 2
    assert answer["rejected"] == [
        {"index": 1, "id": "bad", "reason": "time_us: wanted an integer, microseconds since 1970"}
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (17, "a record must be a JSON object"),
        (without(record(), "id"), "id is missing"),
        (record() | {"id": ""}, "id: wanted up to 64 letters"),
        (record() | {"id": "x" * 65}, "id: wanted up to 64 letters"),
        (record() | {"id": "a/b"}, "id: wanted up to 64 letters"),
        (record() | {"time_us": True}, "time_us: wanted an integer"),
        (record() | {"time_us": -1}, "time_us: wanted an integer"),
        (record() | {"time_us": 2**63}, "time_us: wanted an integer"),
        (record() | {"version": "digits-v9"}, "version: the log is of 'digits-v1', the record of 'digits-v9'"),
        (record() | {"endpoint": "other"}, "endpoint: the log is of 'digits'"),
        (without(record(), "namespace"), "namespace: the log is of 'default', the record of None"),
        (record() | {"stamp": 3}, "stamp: wanted a string or null"),
        (record() | {"caller_id": 3}, "caller_id: wanted a string or null"),
        (record() | {"request_id": []}, "request_id: wanted a string or null"),
        (record() | {"shadow": 1}, "shadow: wanted true or false"),
        (record() | {"inputs": None}, "inputs: wanted a list of tensors"),
        (record() | {"outputs": []}, "outputs: wanted at least one tensor"),
        (record() | {"outputs": [7]}, r"outputs[0]: wanted an object"),
        (record() | {"outputs": [{"name": "o"}]}, r"outputs[0].datatype: wanted a string"),
        (record() | {"inputs": [{"name": "i", "datatype": "FP32", "shape": [1]}]}, r"inputs[0].data: wanted a list"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(ledger: LedgerClient, bad: Any, reason: str) -> None:
    (rejected,) = send(ledger, bad)["rejected"]
    assert rejected["reason"].startswith(reason)


def test_a_record_nested_too_deeply_to_be_stored_is_rejected_by_itself(http: httpx.Client) -> None:
    deep = batch([record(), record() | {"extra": "DEEP"}])
    nested = "[" * 400 + "]" * 400
    body = httpx.Request("POST", "http://x", json=deep).content.replace(b'"DEEP"', nested.encode())
    answer = http.post("/v1/events", content=body).json()
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["reason"] == "the record is nested too deeply"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([], "the body must be a JSON object"),
        (without(batch(), "log"), "log is missing"),
        (batch(log=""), "log: wanted a name"),
        (batch(version=4), "version: wanted a name"),
        (batch(watermark_us=1.5), "watermark_us: wanted an integer"),
        (batch(events={}), "events: wanted a list of records"),
        (batch(final="yes"), "final: wanted true or false"),
    ],
)
def test_an_envelope_that_names_no_log_is_refused(http: httpx.Client, body: Any, detail: str) -> None:
    reply = http.post("/v1/events", json=body)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_a_log_belongs_to_one_version(ledger: LedgerClient) -> None:
    send(ledger, record(), log="pod-1")
    with pytest.raises(Conflict, match="log pod-1 belongs to version digits-v1 of 'digits', not to digits-v2"):
        send(ledger, record(version="digits-v2"), version="digits-v2", log="pod-1")


def test_a_version_without_an_endpoint_is_recorded_too(ledger: LedgerClient) -> None:
    ledger.events(
        log="p",
        endpoint="",
        version="solo-v1",
        watermark_us=0,
        events=[record(version="solo-v1", name="solo") | {"endpoint": ""}],
    )
    assert ledger.prediction("solo")["endpoint"] == ""


def test_a_record_behind_its_logs_watermark_is_stored_but_late(ledger: LedgerClient) -> None:
    send(ledger, watermark_us=NOON)
    answer = send(ledger, record(name="old", time_us=NOON), record(name="new", time_us=NOON + 1), watermark_us=NOON + 5)
    assert (answer["accepted"], answer["late"]) == (2, 1)
    assert ledger.prediction("old")["late"] is True
    assert ledger.prediction("new")["late"] is False
    assert ledger.summary("digits")["versions"]["digits-v1"]["late"] == 1


def test_a_watermark_never_goes_back(ledger: LedgerClient) -> None:
    send(ledger, watermark_us=NOON)
    send(ledger, watermark_us=NOON - SECOND)
    assert send(ledger, record(time_us=NOON - 1))["late"] == 1


def test_a_second_pod_that_comes_late_cannot_change_what_was_handed_out(ledger: LedgerClient, clock: Any) -> None:
    announce(ledger)
    send(ledger, version="digits-v1")
    send(ledger, version="digits-v2")
    first = ledger.evidence("digits", champion="digits-v1", challenger="digits-v2", window_us=0)
    assert first["watermark_us"] == NOON
    answer = send(ledger, record(time_us=NOON - SECOND), record(time_us=NOON + 1), log="second-pod", watermark_us=NOON)
    assert (answer["accepted"], answer["late"]) == (2, 1)
