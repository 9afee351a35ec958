from __future__ import annotations

import random
from typing import Any

from tests.controller.fakes import FakeLedger, turnout
from turnout import report
from turnout.controller.evidence import Test
from turnout.kube.turnouts import Policy

SECOND = 1_000_000


class Books(FakeLedger):
    """A ledger whose rollout is over."""

    def audit_rows(self, *rows: tuple[str, dict[str, Any]]) -> None:
        for action, data in rows:
            self.audit_log.append(
                {"seq": len(self.audit_log) + 1, "time_us": self.now_us, "action": action, "actor": "ann", "data": data}
            )
            self.audit.append({"action": action, "data": data})

    audit_log: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.audit_log = []

    def evidence(self, turnout: str, **asked: Any) -> dict[str, Any]:
        page = super().evidence(turnout, **asked)
        for unit in page["units"]:
            unit |= {"delay_us": SECOND, "duration_us": 2_000, "error": 0}
        return page


class Ledger:
    """What `gather` asks of a ledger."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.evidence = books.evidence
        self.state = books.state

    def audit(self, *, namespace: str, turnout: str, after_seq: int = 0) -> dict[str, Any]:
        return {"rows": [row for row in self.books.audit_log if row["seq"] > after_seq]}


def told() -> tuple[Books, report.Report]:
    books = Books()
    books.now_us = 1_000 * SECOND
    first = ("adopt", {"version": "v1", "champion": "v1", "sentence": "v1 is the first"})
    books.audit_rows(first, ("weights", {"rev": "a", "weights": {"v1": 100}}))
    start = ("start", {"version": "v2", "champion": "v1", "sentence": "v2 challenges <v1>"})
    books.audit_rows(start, ("weights", {"rev": "b", "weights": {"v1": 50, "v2": 50}}))
    draw = random.Random(3)
    for _ in range(40):
        books.now_us += SECOND
        books.answer(20, right={"v1": 0.95, "v2": 0.5}, draw=draw)
    end = ("rollback", {"version": "v2", "champion": "v1", "sentence": "v2 is worse", "guarantee": "outside"})
    books.audit_rows(end, ("weights", {"rev": "c", "weights": {"v1": 100}}))
    return books, report.gather(turnout("v1", "v2"), Ledger(books))


def test_the_interval_is_the_one_that_the_controller_had_and_shrinks_with_labels() -> None:
    books, found = told()
    points = found.effects["v1", "v2"]
    test = Test.begin("v1", "v2", Policy(), family=1, since_us=0)
    for unit in books.units:
        test.comparison.assign(y=unit["y"], assigned=unit["version"] == "v2", share=0.5)
    low, high = test.summary()["interval"]
    assert (points[-1].labels, points[-1].low, points[-1].high) == (800, low, high)
    widths = [point.high - point.low for point in points]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0]


def test_the_page_shows_every_decision_in_words_and_who_made_it_outside_the_guarantee() -> None:
    _, found = told()
    page = report.page(found)
    assert "v2 challenges &lt;v1&gt;" in page
    assert "outside the guarantee" in page
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")


def test_the_picture_marks_decisions_on_the_axis_of_the_shares() -> None:
    _, found = told()
    assert "minutes since the first weights" in _texts(report.picture(found))
    assert "rolled back" in _texts(report.picture(found))


def test_an_endpoint_that_no_controller_has_seen_has_a_page_too() -> None:
    page = report.page(report.gather(turnout("v1"), Ledger(Books())))
    assert "Nothing was decided yet" in page


def _texts(svg: str) -> str:
    """matplotlib draws letters as paths and keeps the words in comments."""
    return " ".join(part.split("-->")[0] for part in svg.split("<!--")[1:])
