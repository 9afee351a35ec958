from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ledger.building import NOON, record, send
from turnout.errors import InputError, NotFound
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store


def ids(page: dict[str, Any]) -> list[str]:
    return [found["id"] for found in page["predictions"]]


@pytest.fixture
def stocked(ledger: LedgerClient) -> LedgerClient:
    """Five predictions of two versions, a to e in time, b and d labelled."""
    send(ledger, *(record(name=name, time_us=NOON + offset) for offset, name in ((0, "a"), (2, "c"), (4, "e"))))
    send(
        ledger,
        *(record(name=name, version="digits-v2", time_us=NOON + offset) for offset, name in ((1, "b"), (3, "d"))),
        version="digits-v2",
    )
    for name in "bd":
        ledger.feedback(name, label=7)
    return ledger


def test_the_newest_come_first(stocked: LedgerClient) -> None:
    assert ids(stocked.predictions()) == list("edcba")


def test_pages_follow_each_other_until_there_are_no_more(stocked: LedgerClient) -> None:
    first = stocked.predictions(limit=2)
    second = stocked.predictions(limit=2, cursor=first["cursor"])
    third = stocked.predictions(limit=2, cursor=second["cursor"])
    assert [ids(first), ids(second), ids(third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert third["cursor"] is None


def test_predictions_of_the_same_instant_are_on_one_page_only(ledger: LedgerClient) -> None:
    send(ledger, *(record(name=name) for name in "abcd"))
    first = ledger.predictions(limit=2)
    assert ids(first) + ids(ledger.predictions(limit=2, cursor=first["cursor"])) == list("dcba")


@pytest.mark.parametrize("most", [1, 2, 3, 50])
@pytest.mark.parametrize("labelled", [(), (0,), range(4, 9), range(12)])
def test_every_unlabelled_one_is_found_once_however_far_a_page_may_look(
    ledger: LedgerClient, monkeypatch: pytest.MonkeyPatch, most: int, labelled: Sequence[int]
) -> None:
    monkeypatch.setattr("turnout.ledger.predictions._MOST_LOOKED_AT", most)
    for version, numbers in (("digits-v1", range(0, 12, 2)), ("digits-v2", range(1, 12, 2))):
        send(
            ledger, *(record(name=f"{n:02d}", version=version, time_us=NOON + n // 3) for n in numbers), version=version
        )
    for number in labelled:
        ledger.feedback(f"{number:02d}", label=7)

    found, cursor = [], None
    for _ in range(50):
        page = ledger.predictions(labelled=False, limit=2, cursor=cursor)
        found += ids(page)
        if (cursor := page["cursor"]) is None:
            break
    assert found == sorted({f"{number:02d}" for number in range(12)} - {f"{n:02d}" for n in labelled}, reverse=True)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"version": "digits-v2"}, "db"),
        ({"endpoint": "digits"}, "edcba"),
        ({"endpoint": "fraud"}, ""),
        ({"namespace": "prod"}, ""),
        ({"labelled": True}, "db"),
        ({"labelled": False}, "eca"),
        ({"since_us": NOON + 3}, "ed"),
        ({"labelled": False, "since_us": NOON + 1, "limit": 1}, "e"),
    ],
)
def test_a_search_narrows_by_what_it_names(stocked: LedgerClient, query: dict[str, Any], found: str) -> None:
    assert ids(stocked.predictions(**query)) == list(found)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": "0"}, "limit: wanted an integer from 1 to 1000"),
        ({"limit": "1001"}, "limit: wanted an integer from 1 to 1000"),
        ({"limit": "٣"}, "limit: wanted an integer"),
        ({"labelled": "yes"}, "labelled: wanted true or false"),
        ({"since_us": "noon"}, "since_us: wanted an integer"),
        ({"cursor": "WyJwcmVkaWN0aW9ucyIsMCwiIl0"}, "cursor: this is none that the ledger gave for search"),
        ({"verison": "digits-v1"}, "verison: unknown parameter"),
    ],
)
def test_a_wrong_search_is_refused(http: httpx.Client, query: dict[str, str], detail: str) -> None:
    reply = http.get("/v1/predictions", params=query)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_an_unknown_prediction_is_not_found(ledger: LedgerClient) -> None:
    for call in (ledger.prediction, ledger.lineage):
        with pytest.raises(NotFound, match="there is no prediction nobody"):
            call("nobody")
    with pytest.raises(NotFound, match="there is no prediction no id"):
        ledger.erase("no id")


def test_a_prediction_that_is_still_in_its_log_arrives_erased(ledger: LedgerClient, store: Store) -> None:
    ledger.feedback("early", label="MARK", comment="MARK", by="MARK")
    assert ledger.erase("early") is False
    assert ledger.erase("early") is False
    send(ledger, record(name="early", predicted=["MARK"], caller_id="MARK"), record(name="other", time_us=NOON + 1))
    with pytest.raises(NotFound, match="has been erased"):
        ledger.prediction("early")
    assert ids(ledger.predictions()) == ["other"]
    (first, *_) = ledger.audit(action="erase")["rows"]
    assert first["data"] == {"id": "early", "pending": True}
    tables = ("predictions", "contents", "feedback", "pending")
    found = store.read(lambda c: str([c.exec_driver_sql(f"SELECT * FROM {table}").all() for table in tables])).result()
    assert "MARK" not in found


def test_an_erased_prediction_is_gone_from_everything_but_the_audit(stocked: LedgerClient, http: httpx.Client) -> None:
    stocked.erase("b")
    for reply in (
        http.get("/v1/predictions/b"),
        http.get("/v1/predictions/b/lineage"),
        http.delete("/v1/predictions/b"),
        http.put("/v1/predictions/b/feedback", json={"label": 1}),
    ):
        assert reply.status_code == 410
        assert reply.headers["content-type"] == "application/problem+json"
    assert ids(stocked.predictions()) == list("edca")
    (tombstone,) = stocked.audit(action="erase")["rows"]
    assert tombstone["data"] == {"id": "b", "version": "digits-v2", "time_us": NOON + 1}
    assert (tombstone["turnout"], tombstone["actor"]) == ("digits", "ledger")


def test_an_erased_prediction_does_not_come_back_with_its_log(ledger: LedgerClient) -> None:
    send(ledger, record(name="a"))
    ledger.erase("a")
    assert send(ledger, record(name="a"))["duplicates"] == 1
    with pytest.raises(NotFound):
        ledger.prediction("a")


def test_what_was_erased_is_not_in_the_database_any_more(ledger: LedgerClient, store: Store, tmp_path: Path) -> None:
    send(
        ledger,
        record(
            name="a",
            caller_id="MARK-caller",
            inputs=[{"name": "i", "datatype": "BYTES", "shape": [1], "data": ["MARK-content"]}],
        ),
    )
    ledger.feedback("a", label="MARK-label", comment="MARK-comment", by="MARK-author")
    ledger.erase("a")
    store.close()  # folds the write-ahead log into the file
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"MARK" not in left


def test_the_anonymous_tuple_still_counts(stocked: LedgerClient) -> None:
    before = stocked.summary("digits")
    stocked.erase("b")
    assert stocked.summary("digits") == before


def test_a_summary_counts_by_version(stocked: LedgerClient) -> None:
    stocked.feedback("b", label=1, method="PUT")
    send(stocked, record(stamp="digits-v1;p=0.5;rev=r1", version="digits-v3", shadow=True), version="digits-v3")
    assert stocked.summary("digits") == {
        "versions": {
            "digits-v1": {"predictions": 3, "labelled": 0, "mean_outcome": None, "shadow": 0, "late": 0, "errors": 0},
            "digits-v2": {"predictions": 2, "labelled": 2, "mean_outcome": 0.5, "shadow": 0, "late": 0, "errors": 0},
            "digits-v3": {"predictions": 0, "labelled": 0, "mean_outcome": None, "shadow": 1, "late": 0, "errors": 0},
        },
        "predictions": 5,
        "labelled": 2,
    }


def test_a_summary_of_an_unknown_turnout_is_empty(ledger: LedgerClient) -> None:
    assert ledger.summary("nobody") == {"versions": {}, "predictions": 0, "labelled": 0}


def test_ids_and_names_of_any_kind_are_safe_in_paths(ledger: LedgerClient) -> None:
    with pytest.raises(NotFound):
        ledger.prediction("a/../b?c#d")
    with pytest.raises(InputError):
        ledger.feedback("a b", label=1)
