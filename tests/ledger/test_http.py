from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from tests.ledger.building import batch, record
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.ledger import summaries
from turnout.ledger.api import openapi, operations
from turnout.ledger.api.app import application
from turnout.ledger.store import Store


def assert_problem(reply: httpx.Response, status: int) -> dict[str, Any]:
    """Every error is a problem document that repeats its status."""
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    return problem


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"bearer{TOKEN}"])
@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/nothing", "/"])
def test_nobody_gets_anywhere_without_the_token(transport: InProcess, authorization: str | None, path: str) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    reply = httpx.Client(transport=transport, base_url=URL, headers=headers).get(path)
    assert_problem(reply, 401)
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
def test_health_and_the_document_are_open(transport: InProcess, path: str) -> None:
    assert httpx.Client(transport=transport, base_url=URL).get(path).status_code == 200


def test_an_unknown_path_says_where_the_known_ones_are(http: httpx.Client) -> None:
    assert "/openapi.json" in assert_problem(http.get("/v1/nothing"), 404)["detail"]


def test_a_wrong_method_says_which_are_right(http: httpx.Client) -> None:
    reply = http.delete("/v1/events")
    assert_problem(reply, 405)
    assert reply.headers["allow"] == "POST"


def test_a_body_that_announces_too_much_is_refused_before_it_is_read(http: httpx.Client) -> None:
    reply = http.post("/v1/feedback", content=b"x" * (1 << 20) + b"x")
    assert "1048576 bytes" in assert_problem(reply, 413)["detail"]


def test_a_body_that_announces_nothing_is_refused_when_it_is_too_much(http: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * (1 << 16)

    assert_problem(http.post("/v1/feedback", content=parts()), 413)


def test_events_may_be_larger_than_other_bodies(http: httpx.Client) -> None:
    large = record(inputs=[{"name": "i", "datatype": "BYTES", "shape": [1], "data": ["x" * (2 << 20)]}])
    assert http.post("/v1/events", json=batch([large])).json()["accepted"] == 1


@pytest.mark.parametrize("path", ["/v1/events", "/v1/gateway-log", "/v1/feedback"])
def test_a_body_that_is_not_json_is_refused(http: httpx.Client, path: str) -> None:
    assert "not JSON" in assert_problem(http.post(path, content=b"\xff"), 400)["detail"]


def test_a_mistake_of_ours_tells_the_caller_no_more_than_that(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(connection: Connection, **_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(summaries, "of", mistake)
    assert "secret" not in assert_problem(http.get("/v1/turnouts/digits/summary"), 500)["detail"]


def test_a_database_that_fails_is_unavailable_and_says_when_to_come_back(store: Store, http: httpx.Client) -> None:
    store.write(lambda connection: connection.exec_driver_sql("DROP TABLE predictions")).result()
    reply = http.get("/v1/predictions")
    assert "predictions" in http.get("/v1/predictions/x").json()["detail"]
    assert reply.status_code == 200  # without versions there is nothing to look for
    reply = http.post("/v1/events", json=batch([record()]))
    assert "database failed" in assert_problem(reply, 503)["detail"]
    assert int(reply.headers["retry-after"]) >= 1


def test_a_ledger_that_cannot_write_is_not_healthy(store: Store, http: httpx.Client) -> None:
    store._writer.close()
    assert_problem(http.get("/healthz"), 503)
    assert_problem(http.post("/v1/events", json=batch()), 503)


def test_the_document_lists_every_operation_with_schemas_that_exist() -> None:
    document = openapi.document()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(operation.method, operation.path) for operation in operations.OPERATIONS}
    referred = {name for operation in operations.OPERATIONS for _, name in operation.answers if name}
    referred |= {operation.body for operation in operations.OPERATIONS if operation.body}
    assert referred <= document["components"]["schemas"].keys()
    names = [described["operationId"] for methods in document["paths"].values() for described in methods.values()]
    assert len(names) == len(set(names))


def test_every_documented_answer_has_the_fields_that_it_promises(http: httpx.Client, store: Store) -> None:
    schemas = openapi.document()["components"]["schemas"]
    http.post("/v1/events", json=batch([record(name="x")]))
    given: dict[str, httpx.Response] = {
        "Prediction": http.get("/v1/predictions/x"),
        "PredictionPage": http.get("/v1/predictions"),
        "FeedbackAnswer": http.post("/v1/predictions/x/feedback", json={"label": 7}),
        "CallerFeedbackAnswer": http.post("/v1/feedback", json={"caller_id": "c", "label": 7}),
        "Lineage": http.get("/v1/predictions/x/lineage"),
        "Evidence": http.get("/v1/turnouts/digits/evidence?champion=a&challenger=b&window_us=1"),
        "State": http.get("/v1/turnouts/digits/state"),
        "StateWritten": http.put("/v1/turnouts/digits/state", json={"if_generation": 0, "state": {}}),
        "AuditPage": http.get("/v1/audit"),
        "Summary": http.get("/v1/turnouts/digits/summary"),
        "Taken": http.post("/v1/events", json=batch()),
        "Health": http.get("/healthz"),
        "Problem": http.get("/v1/predictions/nobody"),
    }
    for name, reply in given.items():
        assert set(schemas[name]["required"]) <= reply.json().keys(), name


def test_two_applications_have_tokens_of_their_own(store: Store) -> None:
    with InProcess(application(store, token="other")) as transport:
        client = httpx.Client(transport=transport, base_url=URL, headers={"authorization": f"Bearer {TOKEN}"})
        assert client.get("/v1/audit").status_code == 401
