"""The report shows what the evaluation found, and nothing in it is taken for markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.steps.learning import BAYES, FOREST, LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from turnout.spec import ModelSpec
from turnout.steps import artifact
from turnout.steps.evaluate import evaluate
from turnout.steps.evaluate_champion import Champion
from turnout.steps.evaluate_report import render

_VOID = {"meta", "br", "img", "wbr"}


class _Page(HTMLParser):
    """Ids, texts and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(spec: ModelSpec, folder: Path, *names: str, champion: Champion | None = None) -> tuple[_Page, str]:
    evaluation = evaluate(
        spec, models=[folder / name for name in names], test=folder / "test.parquet", champion=champion
    )
    page = render(evaluation, spec=spec)
    return _Page(page), page


def test_a_report_of_classes_has_all_its_parts(tmp_path: Path) -> None:
    spec = spec_of(FOREST, BAYES, gates={"minimum": 0.2})
    for name in ("forest", "bayes"):
        trained(spec, tmp_path, numbers(), candidate=name)
    champion = Champion("digits-v1", artifact.load(tmp_path / "bayes"))
    page, html = _page(spec, tmp_path, "forest", "bayes", champion=champion)
    assert page.ids == ["gate", "score", "champion", "classes", "learning", "candidates"]
    assert page.open == []
    assert "Passed the gate" in page.text
    assert "max_depth=2" in page.text
    assert html.count("<svg") >= 6
    assert "<script" not in html


def test_a_report_of_values_shows_their_errors(tmp_path: Path) -> None:
    spec = spec_of(RIDGE, label="price", task="regression", drop=["kind"])
    trained(spec, tmp_path, mixed(480), candidate="ridge")
    page, _ = _page(spec, tmp_path, "ridge")
    assert page.ids == ["gate", "score", "values", "learning", "slices", "candidates"]
    assert "answered minus true" in page.text


@pytest.mark.parametrize(
    ("gates", "says"), [({"minimum": 1.1}, "Stopped by the gate"), ({"enabled": False}, "The gate is switched off")]
)
def test_the_verdict_stands_on_top(tmp_path: Path, gates: dict[str, object], says: str) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    page, _ = _page(spec_of(BAYES, gates=gates), tmp_path, "bayes")
    assert says in page.text


def test_a_champion_that_cannot_be_asked_is_explained(tmp_path: Path) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    gone = Champion("digits-v1", incomparable="its InferenceService is gone")
    page, _ = _page(spec_of(BAYES), tmp_path, "bayes", champion=gone)
    assert "Not comparable: its InferenceService is gone." in page.text


def test_words_from_data_are_no_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    table = mixed(480).assign(kind=lambda t: t["kind"].replace("dear", evil), city=lambda t: t["city"].fillna(evil))
    spec = spec_of(LOGISTIC, drop=["price"])
    trained(spec, tmp_path, table, candidate="logistic")
    page, html = _page(spec, tmp_path, "logistic")
    assert "<script" not in html
    assert evil in page.text


def test_the_same_evaluation_gives_the_same_page(tmp_path: Path) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    assert _page(spec_of(BAYES), tmp_path, "bayes")[1] == _page(spec_of(BAYES), tmp_path, "bayes")[1]


def test_many_classes_are_too_many_for_a_picture(tmp_path: Path) -> None:
    table = numbers(900).assign(kind=lambda t: t["id"] % 45)
    spec = spec_of(BAYES)
    trained(spec, tmp_path, table, candidate="bayes")
    page, _ = _page(spec, tmp_path, "bayes")
    assert "classes" not in page.ids
