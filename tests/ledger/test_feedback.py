from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, Clock, record, send
from turnout.errors import Conflict, InputError, NotFound
from turnout.ledger.client import LedgerClient


def path(name: str = "x") -> str:
    return f"/v1/predictions/{name}/feedback"


@pytest.fixture
def known(ledger: LedgerClient) -> LedgerClient:
    """A ledger that knows the prediction x, which said 7."""
    send(ledger, record(name="x", predicted=7))
    return ledger


def test_the_first_label_creates_the_same_again_changes_nothing_another_conflicts(
    known: LedgerClient, http: httpx.Client
) -> None:
    replies = [http.post(path(), json={"label": label}) for label in (7, 7.0, 8)]
    assert [reply.status_code for reply in replies] == [201, 200, 409]
    assert [reply.json()["status"] for reply in replies[:2]] == ["created", "unchanged"]
    assert "use PUT" in replies[2].json()["detail"]
    assert len(known.prediction("x")["feedback"]) == 1


def test_a_put_sets_then_corrects(known: LedgerClient, http: httpx.Client) -> None:
    replies = [http.put(path(), json={"label": label}) for label in (8, 7, 7)]
    assert [reply.status_code for reply in replies] == [201, 200, 200]
    assert [reply.json()["status"] for reply in replies] == ["created", "corrected", "unchanged"]
    assert [reply.json()["outcome"] for reply in replies] == [0.0, 1.0, 1.0]


def test_a_patch_keeps_what_it_does_not_name(known: LedgerClient, http: httpx.Client) -> None:
    assert http.patch(path(), json={"comment": "x"}).status_code == 404
    http.post(path(), json={"label": 8, "by": "ann"})
    answer = http.patch(path(), json={"label": 7}).json()
    assert (answer["feedback"]["label"], answer["feedback"]["by"], answer["outcome"]) == (7, "ann", 1.0)


def test_the_history_keeps_every_word_with_its_arrival(known: LedgerClient, clock: Clock) -> None:
    for seconds, label in ((1, 3), (1, 7)):
        clock.advance(seconds)
        known.feedback("x", label=label, by="bob", method="PUT")
    found = known.prediction("x")
    assert [word["label"] for word in found["feedback"]] == [3, 7]
    assert [word["outcome"] for word in found["feedback"]] == [0.0, 1.0]
    assert [word["arrived_us"] - NOON for word in found["feedback"]] == [1_000_000, 2_000_000]
    assert found["outcome"] == 1.0


def test_a_score_is_an_outcome(known: LedgerClient) -> None:
    assert known.feedback("x", score=0.25)["outcome"] == 0.25


def test_a_label_alone_says_nothing_about_a_regression(ledger: LedgerClient) -> None:
    send(ledger, record(name="price", predicted=12.5))
    assert ledger.feedback("price", label=12.0)["outcome"] is None
    assert ledger.feedback("price", score=0.9, method="PATCH")["outcome"] == 0.9
    assert ledger.prediction("price")["labelled"] is True


def test_several_rows_take_a_list_of_labels(ledger: LedgerClient) -> None:
    send(ledger, record(name="rows", predicted=[1, 2, 3, 4]))
    assert ledger.feedback("rows", label=[1, 2, 3, 9])["outcome"] == 0.75


def test_a_label_that_does_not_fit_the_rows_is_refused(known: LedgerClient) -> None:
    with pytest.raises(InputError, match="the prediction has 1 rows, the label 2"):
        known.feedback("x", label=[7, 7])
    assert known.prediction("x")["feedback"] == []


def test_feedback_may_come_before_its_record(ledger: LedgerClient, http: httpx.Client) -> None:
    replies = [http.post(path(), json={"label": 7}), http.post(path(), json={"label": 7})]
    assert [reply.status_code for reply in replies] == [202, 202]
    assert replies[0].json()["pending"] is True
    send(ledger, record(name="x", predicted=7))
    found = ledger.prediction("x")
    assert (found["outcome"], found["labelled"]) == (1.0, True)
    assert found["feedback"][0]["outcome"] == 1.0


def test_pending_feedback_can_be_contradicted_corrected_and_changed(ledger: LedgerClient, http: httpx.Client) -> None:
    http.post(path(), json={"label": 3})
    assert http.post(path(), json={"label": 7}).status_code == 409
    assert http.put(path(), json={"label": 8}).status_code == 202
    assert http.patch(path(), json={"label": 7}).status_code == 202
    send(ledger, record(name="x", predicted=7))
    assert [word["label"] for word in ledger.prediction("x")["feedback"]] == [3, 8, 7]
    assert ledger.prediction("x")["outcome"] == 1.0


def test_pending_feedback_that_does_not_fit_its_record_has_no_outcome(ledger: LedgerClient) -> None:
    ledger.feedback("x", label=[7, 7])
    send(ledger, record(name="x", predicted=7))
    assert ledger.prediction("x")["outcome"] is None
    assert ledger.prediction("x")["feedback"][0]["label"] == [7, 7]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{", "the body is not JSON"),
        (b"", "the body is not JSON"),
        (b'{"label": NaN}', "the body is not JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'{"score": 2}', "score: wanted a number from 0 to 1"),
    ],
)
def test_a_wrong_body_is_refused(http: httpx.Client, content: bytes, detail: str) -> None:
    reply = http.post(path(), content=content)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_what_cannot_be_an_id_is_refused(http: httpx.Client) -> None:
    reply = http.post(path("x" * 65), json={"label": 7})
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")


def test_erased_predictions_take_no_feedback(known: LedgerClient, http: httpx.Client) -> None:
    known.erase("x")
    assert http.post(path(), json={"label": 7}).status_code == 410
    with pytest.raises(NotFound, match="has been erased"):
        known.feedback("x", label=7)


def test_the_client_tells_conflicts_apart(known: LedgerClient) -> None:
    known.feedback("x", label=7)
    with pytest.raises(Conflict):
        known.feedback("x", label=8)


def test_a_clock_set_back_cannot_bring_feedback_into_evidence_that_was_handed_out(
    ledger: LedgerClient, clock: Clock
) -> None:
    send(ledger, record(name="x", time_us=NOON - 10))
    send(ledger, version="digits-v2")
    question: dict[str, Any] = {"champion": "digits-v1", "challenger": "digits-v2", "window_us": 5}
    ledger.put_state(
        "digits",
        if_generation=0,
        state={},
        audit=[{"action": "weights", "actor": "c", "data": {"rev": "r1", "weights": {"digits-v1": 1, "digits-v2": 1}}}],
    )
    before = ledger.evidence("digits", **question)
    clock.now_us = NOON - 10
    assert ledger.feedback("x", label=7)["feedback"]["arrived_us"] == NOON + 1
    clock.now_us = NOON
    assert ledger.evidence("digits", **question)["units"] == before["units"]
    assert before["units"][0]["y"] is None
