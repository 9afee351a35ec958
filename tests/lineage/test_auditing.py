"""The chain, checked from outside through the API: every kind of edit is found, and where."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.building import announce
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store
from turnout.lineage import auditing

Rows = list[dict[str, Any]]


class Chain:
    """Rows, in pages as the API gives them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def audit(
        self,
        *,
        namespace: str | None = None,
        turnout: str | None = None,
        action: str | None = None,
        after_seq: int = 0,
        limit: int = 1000,
    ) -> dict[str, Any]:
        found = [row for row in self.rows if row["seq"] > after_seq and action in (None, row["action"])]
        return {"rows": found[: min(limit, 2)]}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Six rows as a real ledger writes them."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    try:
        with InProcess(application(store, token=TOKEN)) as transport:
            ledger = LedgerClient(URL, TOKEN, transport=transport)
            for number in range(3):
                announce(ledger, rev=f"r{number}", action="step")
            found: Rows = ledger.audit()["rows"]
    finally:
        store.close()
    return found


def test_a_chain_as_the_ledger_writes_it_holds(rows: Rows) -> None:
    found = auditing.verify(Chain(rows))
    assert (found.rows, found.problem, found.head) == (6, None, rows[-1]["digest"])


def _edited(rows: Rows) -> Rows:
    rows[2]["data"] = {"version": "digits-v9"}
    return rows


def _removed(rows: Rows) -> Rows:
    return [*rows[:2], *rows[3:]]


def _moved(rows: Rows) -> Rows:
    rows[2], rows[3] = {**rows[3], "seq": 3}, {**rows[2], "seq": 4}
    return rows


@pytest.mark.parametrize(
    ("meddle", "problem"),
    [
        (_edited, "row 3 is not what was written"),
        (_removed, "row 3 is missing"),
        (_moved, "row 3 does not follow the row before it"),
    ],
)
def test_an_edit_is_found_where_it_is(rows: Rows, meddle: Callable[[Rows], Rows], problem: str) -> None:
    found = auditing.verify(Chain(meddle(copy.deepcopy(rows))))
    assert (found.rows, found.problem) == (2, problem)


def test_rows_cut_off_the_end_show_against_a_head_that_was_kept(rows: Rows) -> None:
    cut = auditing.verify(Chain(rows[:4]))
    assert cut.problem is None
    assert cut.head != auditing.verify(Chain(rows)).head


def test_the_latest_rows_come_in_their_order(rows: Rows) -> None:
    found = auditing.latest(Chain(rows), count=2, namespace=None, turnout=None, action="step")
    assert [row["seq"] for row in found] == [3, 5]


def test_an_empty_audit_holds(tmp_path: Path) -> None:
    assert auditing.verify(Chain([])).rows == 0
