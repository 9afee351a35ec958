from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, event

from tests.ledger.building import NOON, SECOND, Clock, announce, record, send
from turnout.errors import InputError
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store

PAIR = {"champion": "digits-v1", "challenger": "digits-v2"}


def evidence(ledger: LedgerClient, *, window_us: int = 0, **query: Any) -> dict[str, Any]:
    return ledger.evidence("digits", **PAIR, window_us=window_us, **query)


def ids(page: dict[str, Any]) -> list[str]:
    return [unit["id"] for unit in page["units"]]


@pytest.fixture
def route(ledger: LedgerClient) -> LedgerClient:
    """A ledger that knows the weights r1 and a log of each version, both complete up to noon."""
    announce(ledger)
    send(ledger, watermark_us=NOON - 10 * SECOND)
    send(ledger, version="digits-v2", watermark_us=NOON - 10 * SECOND)
    return ledger


def complete(ledger: LedgerClient, watermark_us: int = NOON) -> None:
    for version in PAIR.values():
        send(ledger, version=version, watermark_us=watermark_us)


def test_units_come_in_the_order_of_time_and_id(route: LedgerClient) -> None:
    send(
        route,
        record(name="b", time_us=NOON - 5),
        record(name="a", time_us=NOON - 5),
        record(name="z", time_us=NOON - 9),
    )
    send(route, record(name="ab", version="digits-v2", time_us=NOON - 5), version="digits-v2")
    page = evidence(route)
    assert ids(page) == ["z", "a", "ab", "b"]
    assert page["units"][0] == {
        "id": "z",
        "time_us": NOON - 9,
        "version": "digits-v1",
        "rev": "r1",
        "y": None,
        "delay_us": None,
    }
    assert page["revs"] == {"r1": {"digits-v1": 50, "digits-v2": 50}}
    assert (page["watermark_us"], page["waiting_for"], page["dropped"]) == (NOON, [], {})


def test_a_cursor_goes_on_where_the_page_before_ended(route: LedgerClient) -> None:
    names = [f"{number:02}" for number in range(10)]
    send(route, *(record(name=name, time_us=NOON - 5) for name in names))
    complete(route)
    first = evidence(route, limit=4)
    second = evidence(route, limit=4, cursor=first["cursor"])
    third = evidence(route, limit=4, cursor=second["cursor"])
    assert ids(first) + ids(second) + ids(third) == names
    assert [page["more"] for page in (first, second, third)] == [True, True, False]
    assert evidence(route, cursor=third["cursor"])["units"] == []
    assert evidence(route, limit=4, cursor=first["cursor"]) == second


def test_without_a_cursor_reading_may_begin_later(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 5), record(name="b", time_us=NOON - 4))
    complete(route)
    assert ids(evidence(route, since_us=NOON - 4)) == ["b"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rev": None}, "unstamped"),
        ({"stamp": "mine"}, "bad_stamp"),
        ({"stamp": "digits-v2;p=0.5;rev=r1"}, "foreign_stamp"),
        ({"rev": "r9"}, "unknown_rev"),
        ({"p": 0.4}, "wrong_weight"),
        ({"time_us": NOON - 11 * SECOND}, "late"),
    ],
)
def test_what_was_not_assigned_at_random_is_counted_and_left_out(
    route: LedgerClient, fields: dict[str, Any], reason: str
) -> None:
    send(route, record(**{"time_us": NOON - 1} | fields), record(name="good", time_us=NOON - 1))
    complete(route)
    page = evidence(route)
    assert ids(page) == ["good"]
    assert page["dropped"] == {reason: 1}


def test_shadow_copies_are_neither_units_nor_counted(route: LedgerClient) -> None:
    send(route, record(time_us=NOON - 1, stamp="digits-v2;p=0.5;rev=r1", shadow=True))
    complete(route)
    page = evidence(route)
    assert (page["units"], page["dropped"]) == ([], {})


def test_a_revision_of_another_turnout_is_unknown(route: LedgerClient) -> None:
    weights = {"rev": "theirs", "weights": {"digits-v1": 50, "digits-v2": 50}}
    route.put_state("other", if_generation=0, state={}, audit=[{"action": "weights", "actor": "c", "data": weights}])
    send(route, record(time_us=NOON - 1, rev="theirs"))
    complete(route)
    assert evidence(route)["dropped"] == {"unknown_rev": 1}


def test_a_unit_is_frozen_only_when_its_window_has_closed(route: LedgerClient, clock: Clock) -> None:
    send(route, record(name="a", time_us=NOON - 3 * SECOND), record(name="b", time_us=NOON - SECOND))
    complete(route)
    assert ids(evidence(route, window_us=2 * SECOND)) == ["a"]
    clock.advance(1)
    complete(route, NOON + SECOND)
    assert ids(evidence(route, window_us=2 * SECOND)) == ["a", "b"]


def test_evidence_never_goes_beyond_the_ledgers_own_clock(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON + SECOND), watermark_us=NOON + 9 * SECOND)
    complete(route, NOON + 9 * SECOND)
    page = evidence(route)
    assert (page["units"], page["watermark_us"]) == ([], NOON)


def test_the_slowest_log_holds_and_is_named_when_it_is_silent(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 1))
    page = evidence(route)
    assert (page["units"], page["watermark_us"]) == ([], NOON - 10 * SECOND)
    assert page["waiting_for"] == ["digits-v2-predictor-abcde"]


def test_a_log_that_has_ended_is_not_waited_for(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 1))
    send(route, version="digits-v2", watermark_us=NOON - 9 * SECOND, final=True)
    page = evidence(route)
    assert (ids(page), page["waiting_for"]) == (["a"], [])


def test_a_version_without_any_log_holds_everything(ledger: LedgerClient) -> None:
    announce(ledger)
    send(ledger, record(time_us=NOON - 1))
    page = evidence(ledger)
    assert (page["units"], page["watermark_us"], page["waiting_for"]) == ([], 0, ["digits-v2"])


def test_a_third_version_in_the_route_is_waited_for_too_until_it_has_no_weight(route: LedgerClient) -> None:
    announce(route, rev="r2", weights={"digits-v1": 50, "digits-v2": 25, "digits-v3": 25})
    assert evidence(route)["waiting_for"][0] == "digits-v3"
    announce(route, rev="r3", weights={"digits-v1": 50, "digits-v2": 50, "digits-v3": 0})
    assert "digits-v3" not in evidence(route)["waiting_for"]


def test_the_label_that_counts_is_the_current_one_when_the_window_closed(route: LedgerClient, clock: Clock) -> None:
    send(route, record(name="a", time_us=NOON - 2 * SECOND, predicted=7))
    for seconds, label in ((0, 1), (1, 7), (1, 2), (10, 3)):
        clock.advance(seconds)
        route.feedback("a", label=label, method="PUT")
    complete(route, clock.now_us)
    (unit,) = evidence(route, window_us=3 * SECOND)["units"]
    assert (unit["y"], unit["delay_us"]) == (1.0, 3 * SECOND)
    (unit,) = evidence(route, window_us=4 * SECOND)["units"]
    assert (unit["y"], unit["delay_us"]) == (0.0, 4 * SECOND)


def test_a_label_after_the_window_leaves_its_unit_unlabelled(route: LedgerClient, clock: Clock) -> None:
    send(route, record(name="a", time_us=NOON - 2 * SECOND))
    clock.advance(1)
    route.feedback("a", label=7)
    complete(route, clock.now_us)
    (unit,) = evidence(route, window_us=3 * SECOND - 1)["units"]
    assert (unit["y"], unit["delay_us"]) == (None, None)
    assert route.prediction("a")["outcome"] == 1.0


def test_a_label_for_a_regression_leaves_its_unit_without_outcome(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 1, predicted=1.5))
    route.feedback("a", label=1.5)
    complete(route)
    assert evidence(route, window_us=1)["units"][0]["y"] is None


def test_a_label_posted_in_the_instant_of_the_reading_does_not_change_what_was_read(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 1))
    complete(route)
    before = evidence(route, window_us=1)
    route.feedback("a", label=7)
    assert evidence(route, window_us=1) == before


def test_erasing_a_prediction_leaves_its_unit_as_it_was(route: LedgerClient, clock: Clock) -> None:
    send(route, record(name="a", time_us=NOON - 2 * SECOND))
    route.feedback("a", label=7)
    clock.advance(5)
    route.feedback("a", label=8, method="PUT")
    complete(route, clock.now_us)
    before = evidence(route, window_us=3 * SECOND)
    route.erase("a")
    assert evidence(route, window_us=3 * SECOND) == before
    assert before["units"][0]["y"] == 1.0


def test_one_version_against_itself_is_read_once(route: LedgerClient) -> None:
    send(route, record(name="a", time_us=NOON - 1))
    page = route.evidence("digits", champion="digits-v1", challenger="digits-v1", window_us=0)
    assert ids(page) == []
    complete(route)
    assert ids(route.evidence("digits", champion="digits-v1", challenger="digits-v1", window_us=0)) == ["a"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"champion": ""}, "champion is missing"),
        ({"window_us": ""}, "window_us is missing"),
        ({"window_us": "-1"}, "window_us: wanted an integer from 0"),
        ({"limit": "0"}, "limit: wanted an integer from 1 to 50000"),
        ({"limit": "many"}, "limit: wanted an integer"),
        ({"kind": "votes"}, "kind: wanted predictions or gateway"),
        ({"windwo_us": "1"}, "windwo_us: unknown parameter"),
        ({"cursor": "!!"}, "cursor: this is none that the ledger gave"),
        ({"cursor": "WzFd"}, "cursor: this is none that the ledger gave for predictions"),
    ],
)
def test_a_wrong_question_is_refused(http: httpx.Client, query: dict[str, str], detail: str) -> None:
    reply = http.get("/v1/turnouts/digits/evidence", params=PAIR | {"window_us": "0"} | query)
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith(detail)


def test_a_cursor_is_good_for_its_kind_only(route: LedgerClient) -> None:
    cursor = evidence(route)["cursor"]
    with pytest.raises(InputError, match="for gateway"):
        evidence(route, kind="gateway", cursor=cursor)


def test_a_page_is_a_range_of_the_index_however_much_lies_before(route: LedgerClient, store: Store) -> None:
    statements: list[tuple[str, Any]] = []

    def keep(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(store._reading, "before_cursor_execute", keep)
    evidence(route, window_us=1)
    event.remove(store._reading, "before_cursor_execute", keep)
    plans = [
        plan for statement in statements if "FROM predictions" in statement[0] for plan in explain(store, *statement)
    ]
    assert len(plans) == 2
    assert all("ix_predictions_evidence" in plan and "SCAN predictions" not in plan for plan in plans), plans


def explain(store: Store, statement: str, parameters: Any) -> list[str]:
    def work(connection: Connection) -> list[str]:
        if connection.dialect.name == "sqlite":
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # three rows are read faster without an index
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
        return ["\n".join(rows).replace("_rest_version_no_time_us_idx", "ix_predictions_evidence")]

    return store.read(work).result()


def test_a_log_that_goes_on_after_its_end_is_waited_for_again(route: LedgerClient) -> None:
    send(route, watermark_us=NOON)
    send(route, version="digits-v2", watermark_us=NOON - 9 * SECOND, final=True)
    assert evidence(route)["watermark_us"] == NOON
    send(route, version="digits-v2", watermark_us=NOON - 8 * SECOND)
    assert evidence(route)["waiting_for"] == ["digits-v2-predictor-abcde"]


def test_a_unit_of_a_sticky_user_names_the_user_until_the_prediction_is_erased(route: LedgerClient) -> None:
    stamp = "digits-v1;p=0.5;rev=r1;by=x-user"
    send(route, record(name="s", time_us=NOON - 5, stamp=stamp, subject="0123456789abcdef"))
    complete(route)
    assert evidence(route)["units"][0]["subject"] == "0123456789abcdef"
    route.erase("s")
    assert "subject" not in evidence(route)["units"][0]


def test_a_stamp_that_a_client_made_up_is_no_evidence(route: LedgerClient) -> None:
    send(
        route,
        record(name="guessed", time_us=NOON - 5, rev="guessed"),
        record(name="share", time_us=NOON - 4, p=0.9),
        record(name="words", time_us=NOON - 3, stamp="digits-v1;p=0.5;rev=r1;by=x-user;by=y"),
    )
    complete(route)
    page = evidence(route)
    assert ids(page) == []
    assert page["dropped"] == {"unknown_rev": 1, "wrong_weight": 1, "bad_stamp": 1}
