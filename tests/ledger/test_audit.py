from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.ledger.building import NOON, Clock
from turnout.ledger import audit
from turnout.ledger.audit import Entry, Verification
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store


def write(store: Store, *actions: str, turnout: str = "digits") -> None:
    entries = [Entry(action, "controller", {"rev": action, "weights": {"a": 1}, "n": 1.5}) for action in actions]
    store.write(
        lambda connection: audit.append(connection, entries, namespace="default", turnout=turnout, now_us=NOON)
    ).result()


def verify(store: Store) -> Verification:
    return store.read(audit.verify).result()


def tamper(store: Store, statement: str) -> None:
    store.write(lambda connection: connection.exec_driver_sql(statement).rowcount).result()


def test_an_untouched_chain_verifies(store: Store) -> None:
    assert verify(store) == Verification(rows=0)
    write(store, "adopt", "weights", "step")
    assert verify(store) == Verification(rows=3)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("""UPDATE audit SET data = '{"n":1.6}' WHERE seq = 2""", "row 2 is not what was written"),
        ("UPDATE audit SET data = 'nonsense' WHERE seq = 2", "row 2 holds no JSON"),
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 2", "row 2 is not what was written"),
        ("UPDATE audit SET action = 'step' WHERE seq = 2", "row 2 is not what was written"),
        ("UPDATE audit SET rev = 'r9' WHERE seq = 2", "row 2 is not what was written"),
        ("UPDATE audit SET time_us = time_us + 1 WHERE seq = 3", "row 3 is not what was written"),
        ("UPDATE audit SET turnout = 'other' WHERE seq = 1", "row 1 is not what was written"),
        ("UPDATE audit SET namespace = 'other' WHERE seq = 1", "row 1 is not what was written"),
        ("UPDATE audit SET previous = digest WHERE seq = 2", "row 2 does not follow the row before it"),
        ("DELETE FROM audit WHERE seq = 2", "row 2 is missing"),
        ("DELETE FROM audit WHERE seq = 1", "row 1 is missing"),
        ("DELETE FROM audit WHERE seq = 3", "the chain ends at row 2, its head is at row 3"),
        ("DELETE FROM audit", "the chain ends at row 0, its head is at row 3"),
        ("UPDATE audit SET seq = 4 WHERE seq = 2", "row 2 is missing"),
        (
            "INSERT INTO audit SELECT 4, time_us, namespace, turnout, actor, action, rev, data, digest, 'x' "
            "FROM audit WHERE seq = 3",
            "row 4 is not what was written",
        ),
    ],
)
def test_tampering_is_found(store: Store, statement: str, problem: str) -> None:
    write(store, "adopt", "weights", "step")
    tamper(store, statement)
    assert verify(store).problem == problem


def test_replacing_a_digest_with_a_matching_one_breaks_the_next_row(store: Store) -> None:
    write(store, "adopt", "step")
    (row, _) = store.read(lambda connection: rows(connection)).result()
    forged = audit._digest(row | {"actor": "nobody"})
    tamper(store, f"UPDATE audit SET actor = 'nobody', digest = '{forged}' WHERE seq = 1")
    assert verify(store).problem == "row 2 does not follow the row before it"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), JSON, max_size=4))
def test_a_digest_is_the_same_after_any_data_was_stored_and_read(data: dict[str, Any]) -> None:
    row = {"seq": 1, "data": data, "previous": "0" * 64}
    stored = audit.orjson.loads(audit._canonical(data))
    assert audit._digest(row | {"data": stored}) == audit._digest(row)


def rows(connection: Connection, **wanted: Any) -> list[dict[str, Any]]:
    query = {"namespace": None, "turnout": None, "action": None, "after_seq": 0, "limit": 100}
    return audit.rows(connection, **query | wanted)


def test_rows_are_filtered_and_paged(store: Store, ledger: LedgerClient) -> None:
    write(store, "adopt", "step", "step")
    write(store, "adopt", turnout="other")
    assert [row["seq"] for row in ledger.audit(turnout="digits")["rows"]] == [1, 2, 3]
    assert [row["seq"] for row in ledger.audit(action="adopt")["rows"]] == [1, 4]
    assert [row["seq"] for row in ledger.audit(namespace="default", after_seq=1, limit=2)["rows"]] == [2, 3]
    assert ledger.audit(namespace="elsewhere")["rows"] == []


def test_the_chain_runs_through_all_turnouts(store: Store, ledger: LedgerClient, clock: Clock) -> None:
    write(store, "adopt")
    write(store, "adopt", turnout="other")
    first, second = ledger.audit()["rows"]
    assert second["previous"] == first["digest"]
    assert first["previous"] == "0" * 64
