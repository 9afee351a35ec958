from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, SECOND, Clock, record, send
from turnout.errors import Conflict, InputError
from turnout.ledger import callers
from turnout.ledger.client import LedgerClient


def outcome(ledger: LedgerClient, name: str) -> Any:
    return ledger.prediction(name)["outcome"]


def test_every_prediction_that_carries_the_id_is_labelled(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", caller_id="order-17"), record(name="other", caller_id="order-18"))
    send(ledger, record(name="b", version="digits-v2", predicted=1, caller_id="order-17"), version="digits-v2")
    answer = ledger.feedback_by_caller("order-17", label=7)
    assert answer["predictions"] == [{"id": "a", "status": "created"}, {"id": "b", "status": "created"}]
    assert [outcome(ledger, name) for name in ("a", "b", "other")] == [1.0, 0.0, None]


def test_a_record_still_on_its_way_gets_the_label_too(ledger: LedgerClient, http: httpx.Client) -> None:
    reply = http.post("/v1/feedback", json={"caller_id": "order-17", "label": 7})
    assert (reply.status_code, reply.json()) == (202, {"predictions": [], "refused": []})
    send(ledger, record(name="a", time_us=NOON - 1, caller_id="order-17"))
    assert outcome(ledger, "a") == 1.0
    assert ledger.prediction("a")["feedback"][0]["arrived_us"] == NOON


def test_an_id_used_again_later_is_another_matter(ledger: LedgerClient, clock: Clock) -> None:
    send(ledger, record(name="a", time_us=NOON - 1, caller_id="1"))
    ledger.feedback_by_caller("1", label=7)
    send(ledger, record(name="b", time_us=NOON + SECOND, caller_id="1"), watermark_us=NOON + SECOND)
    assert outcome(ledger, "b") is None
    clock.advance(2)
    answer = ledger.feedback_by_caller("1", label=8)
    assert answer["predictions"] == [{"id": "b", "status": "created"}]
    assert [refused["id"] for refused in answer["refused"]] == ["a"]
    assert outcome(ledger, "a") == 1.0


def test_when_nothing_can_take_the_label_it_is_a_conflict(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", caller_id="1"))
    ledger.feedback_by_caller("1", label=7)
    with pytest.raises(Conflict, match="use PUT"):
        ledger.feedback_by_caller("1", label=8)
    assert ledger.feedback_by_caller("1", label=8, method="PUT")["predictions"] == [{"id": "a", "status": "corrected"}]


def test_words_about_the_prediction_itself_come_before_words_about_the_caller(ledger: LedgerClient) -> None:
    ledger.feedback("a", label=7)
    ledger.feedback_by_caller("1", label=8)
    send(ledger, record(name="a", time_us=NOON - 1, caller_id="1"))
    assert outcome(ledger, "a") == 1.0


def test_a_statement_may_name_namespace_and_endpoint(ledger: LedgerClient) -> None:
    ledger.feedback_by_caller("1", label=7, endpoint="fraud")
    send(ledger, record(name="a", time_us=NOON - 1, caller_id="1"))
    assert outcome(ledger, "a") is None
    assert ledger.feedback_by_caller("1", label=7, namespace="prod")["predictions"] == []
    answer = ledger.feedback_by_caller("1", label=7, namespace="default", endpoint="digits")
    assert [found["id"] for found in answer["predictions"]] == ["a"]


def test_the_last_statement_before_the_record_counts(ledger: LedgerClient) -> None:
    ledger.feedback_by_caller("1", label=8)
    ledger.feedback_by_caller("1", label=7, method="PUT")
    send(ledger, record(name="a", time_us=NOON - 1, caller_id="1"))
    assert outcome(ledger, "a") == 1.0


def test_an_id_that_very_many_carry_names_none(ledger: LedgerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "_MOST", 2)
    send(ledger, *(record(caller_id="1") for _ in range(3)))
    with pytest.raises(InputError, match="more than 2 predictions carry '1'"):
        ledger.feedback_by_caller("1", label=7)


def test_erasing_takes_the_callers_id_and_what_was_said_about_it(ledger: LedgerClient) -> None:
    send(ledger, record(name="a", time_us=NOON - 2, caller_id="1"))
    ledger.feedback_by_caller("1", label=7)
    ledger.erase("a")
    send(ledger, record(name="b", time_us=NOON - 1, caller_id="1"), log="another")
    assert outcome(ledger, "b") is None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"label": 7}, "caller_id: wanted the id that the caller gave"),
        ({"caller_id": "", "label": 7}, "caller_id: wanted"),
        ({"caller_id": "1"}, "wanted a label or a score"),
        ({"caller_id": "1", "label": 7, "endpoint": 3}, "endpoint: wanted a name"),
        ({"caller_id": "1", "label": 7, "colour": 3}, "colour: unknown field"),
        ([], "the body must be a JSON object"),
    ],
)
def test_a_wrong_statement_is_refused(http: httpx.Client, body: Any, detail: str) -> None:
    reply = http.post("/v1/feedback", json=body)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)
