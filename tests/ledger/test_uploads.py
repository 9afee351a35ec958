"""Feedback in bulk, and events of other runtimes."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import orjson
import pytest

from tests.ledger.building import NOON, record, send
from turnout.ledger.api import uploads
from turnout.ledger.client import LedgerClient

REQUEST, RESPONSE = (f"org.kubeflow.serving.inference.{half}" for half in ("request", "response"))
ASKED = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]})
ANSWERED = orjson.dumps({"outputs": [{"name": "y", "datatype": "INT64", "shape": [1], "data": [7]}]})


def results(reply: httpx.Response) -> list[tuple[int, int]]:
    assert reply.status_code == 200, reply.text
    return [(found["row"], found["status"]) for found in map(orjson.loads, reply.iter_lines())]


def test_each_row_has_its_own_result(ledger: LedgerClient) -> None:
    send(ledger, *(record(name=f"p{i}", time_us=NOON + i) for i in range(3)))
    ledger.feedback("p2", label=1)
    rows = [{"id": "p0", "label": 7}, {"id": "p1", "score": 2}, {"id": "p2", "label": 7}, {"id": "later", "label": 7}]
    found = list(ledger.feedback_in_bulk([*rows, {"id": "???", "label": 1}, {"id": "p0", "label": 7}]))
    assert [one["status"] for one in found] == [201, 400, 409, 202, 400, 200]
    assert "score: wanted a number" in found[1]["detail"]
    assert "use PUT" in found[2]["detail"]
    assert next(ledger.feedback_in_bulk([{"id": "p2", "label": 7}], method="PUT"))["status"] == 200
    assert ledger.prediction("p2")["outcome"] == 1.0
    changed = ledger.feedback_in_bulk([{"id": "p2", "comment": "sure"}, {"id": "p1", "comment": "?"}], method="PATCH")
    assert [one["status"] for one in changed] == [200, 404]
    assert ledger.prediction("p2")["feedback"][-1]["label"] == 7


def test_a_csv_is_taken_and_its_cells_are_text(ledger: LedgerClient, http: httpx.Client) -> None:
    send(ledger, record(name="a"), record(name="b", predicted="cat, big"))
    body = 'id,label,comment\r\na,7,\r\nb,"cat, big",sure\r\nb\r\n'
    reply = http.post("/v1/feedback/bulk", content=body, headers={"content-type": "text/csv; charset=utf-8"})
    assert results(reply) == [(1, 201), (2, 201), (3, 400)]
    assert [ledger.prediction(name)["outcome"] for name in ("a", "b")] == [1.0, 1.0]


def test_many_rows_are_decided_in_portions(ledger: LedgerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PORTION", 7)
    send(ledger, *(record(name=f"p{i}", time_us=NOON + i) for i in range(50)))
    found = list(ledger.feedback_in_bulk({"id": f"p{i}", "label": i % 2 + 6} for i in range(50)))
    assert [one["row"] for one in found] == list(range(1, 51))
    assert ledger.summary("digits")["versions"]["digits-v1"]["mean_outcome"] == 0.5


def test_an_upload_ends_with_the_reason_why(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_ROWS", 2)
    lines = b'{"id": "a", "label": 1}\nnonsense\n{"id": "b", "label": 1}\n'
    reply = http.post("/v1/feedback/bulk", content=lines, headers={"content-type": "application/x-ndjson"})
    assert "may have 2 rows" in reply.text.splitlines()[-1]


def test_another_kind_of_body_is_refused(http: httpx.Client) -> None:
    reply = http.post("/v1/feedback/bulk", json=[])
    assert (reply.status_code, reply.json()["status"]) == (415, 415)


def binary(http: httpx.Client, half: str, body: bytes, *, name: str = "e1", **more: str) -> httpx.Response:
    headers = {"ce-specversion": "1.0", "ce-type": half, "ce-id": name, "ce-source": "http://localhost:9081/"}
    headers |= {"ce-inferenceservicename": "flowers-v1", "ce-namespace": "default", "ce-component": "predictor"}
    headers |= {"ce-time": "2025-11-21T10:00:00.5Z", "content-type": "application/json"}
    return http.post("/v1/events", content=body, headers=headers | more)


def test_request_and_response_of_another_runtime_become_one_record(http: httpx.Client, ledger: LedgerClient) -> None:
    assert binary(http, RESPONSE, ANSWERED).json() == {"status": "waiting"}
    assert binary(http, RESPONSE, ANSWERED).json() == {"status": "waiting"}
    taken = binary(http, REQUEST, ASKED)
    assert (taken.status_code, taken.json()["status"]) == (202, "recorded")
    found = ledger.prediction(taken.json()["id"])
    assert (found["endpoint"], found["version"], found["caller_id"]) == ("flowers-v1", "flowers-v1", "e1")
    assert (found["inputs"][0]["data"], found["outputs"][0]["data"]) == ([1.0, 2.0], [7])
    assert found["time_us"] == 1_763_719_200_500_000
    assert ledger.feedback_by_caller("e1", label=7)["predictions"][0]["status"] == "created"


def test_the_same_pair_again_is_a_duplicate_and_a_reused_id_another_record(
    http: httpx.Client, ledger: LedgerClient
) -> None:
    for _ in range(2):
        binary(http, REQUEST, ASKED)
        last = binary(http, RESPONSE, ANSWERED)
    assert last.json()["status"] == "duplicate"
    binary(http, REQUEST, ASKED)
    assert binary(http, RESPONSE, ANSWERED.replace(b"7", b"8")).json()["status"] == "recorded"
    assert ledger.summary("flowers-v1")["predictions"] == 2


def test_structured_mode_and_v1_bodies_are_read(http: httpx.Client, ledger: LedgerClient) -> None:
    event: dict[str, Any] = {"specversion": "1.0", "id": "e2", "source": "x", "inferenceservicename": "flowers-v1"}
    headers = {"content-type": "application/cloudevents+json"}
    asked = event | {"type": REQUEST, "data": {"instances": [[1.5, 2.5]]}}
    http.post("/v1/events", content=orjson.dumps(asked), headers=headers)
    data = base64.b64encode(orjson.dumps({"predictions": ["cat"]})).decode()
    answered = event | {"type": RESPONSE, "data_base64": data}
    taken = http.post("/v1/events", content=orjson.dumps(answered), headers=headers)
    found = ledger.prediction(taken.json()["id"])
    assert (found["inputs"][0]["datatype"], found["outputs"][0]["data"]) == ("FP64", ["cat"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ce-type": "other"}, "type: wanted one of"),
        ({"ce-inferenceservicename": ""}, "inferenceservicename: wanted a name"),
        ({"ce-namespace": "x" * 300}, "namespace: wanted a name"),
        ({"ce-time": "soon"}, "time: wanted RFC 3339"),
    ],
)
def test_an_event_that_is_none_is_refused(http: httpx.Client, more: dict[str, str], message: str) -> None:
    reply = binary(http, REQUEST, ASKED, **more)
    assert reply.status_code == 400
    assert message in reply.json()["detail"]


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{}", b'{"inputs": 3}', b'{"instances": []}'])
def test_halves_that_make_no_prediction_are_refused_together(http: httpx.Client, body: bytes) -> None:
    binary(http, RESPONSE, ANSWERED)
    reply = binary(http, REQUEST, body)
    assert reply.status_code == 400
    assert "data: " in reply.json()["detail"]


@pytest.mark.parametrize("body", [b"\xff", b"[]", b'{"data_base64": 7}', b'{"data_base64": "?"}'])
def test_a_structured_event_that_is_none_is_refused(http: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/cloudevents+json"}
    assert http.post("/v1/events", content=body, headers=headers).status_code == 400
