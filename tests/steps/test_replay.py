"""Logged requests, asked again of a candidate: what is compared, what the gate makes of it, what the report shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.steps.learning import BAYES, LOGISTIC, RIDGE, mixed, numbers, spec_of, trained
from tests.steps.ledgers import NOON, Ledger, NoLedger, record
from turnout.errors import Unavailable
from turnout.spec import ModelSpec
from turnout.steps import artifact
from turnout.steps.evaluate import Evaluation, evaluate, take
from turnout.steps.evaluate_champion import Champion
from turnout.steps.evaluate_report import render
from turnout.steps.logged import Books

FEATURES = ("a", "b", "c")


@dataclass(frozen=True)
class Shop:
    """Two trained models of the same table; the first is also digits-v1 in an artifact store."""

    folder: Path
    table: pd.DataFrame

    def books(self, *records: dict[str, Any]) -> Books:
        return Books(Ledger(*records, page=7), (self.folder / "artifacts").as_uri())

    def asked(self, rows: int, **more: Any) -> list[dict[str, Any]]:
        """So many logged requests, rows of the table."""
        values = self.table[list(FEATURES)].to_numpy()
        return [record(f"p{at:03}", values[at].tolist(), time_us=NOON + at, **more) for at in range(rows)]

    def champion(self, *, with_model: bool = True) -> Champion:
        if not with_model:
            return Champion("digits-v1", incomparable="it is gone")
        return Champion("digits-v1", model=artifact.load(self.folder / "bayes"))

    def evaluated(self, books: Books, *, most: float | None = None, champion: Champion | None = None) -> Evaluation:
        spec = self.spec(most)
        return evaluate(
            spec,
            models=[self.folder / "logistic"],
            test=self.folder / "test.parquet",
            champion=champion,
            books=lambda: books,
        )

    @staticmethod
    def spec(most: float | None = None, requests: int = 50) -> ModelSpec:
        rule = {"requests": requests} | ({} if most is None else {"max_disagreement": most})
        return spec_of(BAYES, LOGISTIC, gates={"replay": rule})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    for name in ("bayes", "logistic"):
        trained(Shop.spec(), folder, numbers(), candidate=name)
    place = folder / "artifacts" / "models" / "digits"
    place.mkdir(parents=True)
    (place / "v1").symlink_to(folder / "bayes")
    return Shop(folder, numbers(60, seed=3))


def test_the_last_requests_are_asked_again_and_differences_are_counted(shop: Shop) -> None:
    found = shop.evaluated(shop.books(*shop.asked(60)), champion=shop.champion()).replayed
    assert found is not None
    assert (found.requests, found.rows, found.unasked, found.champion) == (50, 50, 0, "digits-v1")
    assert (found.first_us, found.last_us) == (NOON + 10, NOON + 59)
    assert found.versions == {"digits-v1": 50}
    table = {name: shop.table[name].to_numpy()[10:] for name in FEATURES}
    both = [artifact.load(shop.folder / name).predict(table).values for name in ("bayes", "logistic")]
    differs = both[0] != both[1]
    assert found.disagreement == pytest.approx(differs.mean())
    assert 0 < differs.sum() == sum(change.rows for change in found.changes)


def test_mirrored_copies_are_not_asked_twice(shop: Shop) -> None:
    found = shop.evaluated(shop.books(*shop.asked(5, shadow=True)), champion=shop.champion()).replayed
    assert found is not None
    assert found.requests == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_without_requests_or_champion_the_gate_passes_and_says_so(shop: Shop, rows: int) -> None:
    quiet = shop.evaluated(shop.books(), most=0.0, champion=shop.champion())
    assert quiet.decision.passed
    assert "nothing was replayed: the endpoint has not been asked anything yet" in quiet.decision.reason
    first = shop.evaluated(shop.books(*shop.asked(rows)), most=0.0)
    assert first.decision.passed
    assert "nothing was replayed: the endpoint has no champion to agree with" in first.decision.reason
    assert "Nothing was replayed" in render(first, spec=shop.spec())


@pytest.mark.parametrize(("most", "passed"), [(0.0, False), (0.9, True), (None, True)])
def test_more_disagreement_than_allowed_stops_the_model(shop: Shop, most: float | None, passed: bool) -> None:
    found = shop.evaluated(shop.books(*shop.asked(60)), most=most, champion=shop.champion())
    assert found.decision.passed is passed
    assert "on the last 50 requests it answers otherwise than digits-v1 in " in found.decision.reason
    assert ("more than max_disagreement allows (0)" in found.decision.reason) is not passed


def test_the_report_and_the_evaluation_hold_what_was_found(shop: Shop, tmp_path: Path) -> None:
    found = shop.evaluated(shop.books(*shop.asked(60)), most=0.5, champion=shop.champion())
    page = render(found, spec=shop.spec(0.5))
    assert 'id="replay"' in page
    assert "the dashed line is the most that is allowed" in page
    assert "digits-v1 (50)" in page
    take(found, to=tmp_path / "best")
    assert '"replay"' in (tmp_path / "best" / artifact.EVALUATION).read_text()
    assert found.logged()["replay_rows"] == 50.0


def test_a_champion_that_is_gone_is_compared_by_what_it_answered(shop: Shop) -> None:
    others = shop.asked(4, version="digits-v2", answers=[0])
    mine = [{**one, "id": f"m{one['id']}"} for one in shop.asked(4, answers=[9])]
    (shop.folder / "artifacts" / "models" / "digits" / "v2").mkdir(exist_ok=True)
    (shop.folder / "artifacts" / "models" / "digits" / "v2" / "model.json").write_bytes(
        (shop.folder / "bayes" / "model.json").read_bytes()
    )
    found = shop.evaluated(shop.books(*others, *mine), champion=shop.champion(with_model=False)).replayed
    assert found is not None
    assert (found.rows, found.unasked, found.disagreement) == (4, 4, 1.0)


def test_requests_with_other_columns_are_counted_and_left_out(tmp_path: Path, shop: Shop) -> None:
    table = numbers().rename(columns={"a": "x"})
    trained(Shop.spec(), tmp_path, table, candidate="logistic")
    found = evaluate(
        Shop.spec(),
        models=[tmp_path / "logistic"],
        test=tmp_path / "test.parquet",
        champion=shop.champion(),
        books=lambda: shop.books(*shop.asked(3)),
    ).replayed
    assert found is not None
    assert (found.requests, found.unasked, found.rows) == (3, 3, 0)
    assert found.reason == "none of them has the columns that the candidate and champion digits-v1 need"


def test_values_are_compared_by_their_distance(tmp_path: Path) -> None:
    spec = spec_of(RIDGE, label="price", task="regression", drop=["kind", "city"], gates={"replay": {"requests": 5}})
    trained(spec, tmp_path, mixed(), candidate="ridge")
    (tmp_path / "artifacts" / "models" / "digits").mkdir(parents=True)
    (tmp_path / "artifacts" / "models" / "digits" / "v1").symlink_to(tmp_path / "ridge")
    model = artifact.load(tmp_path / "ridge")
    rows = [record(f"p{at}", [at, at, at], answers=[0.5]) for at in range(5)]
    kept = Books(Ledger(*rows), (tmp_path / "artifacts").as_uri())
    found = evaluate(
        spec,
        models=[tmp_path / "ridge"],
        test=tmp_path / "test.parquet",
        champion=Champion("digits-v1", model=model),
        books=lambda: kept,
    )
    assert found.replayed is not None
    assert found.replayed.disagreement == 0.0
    assert "by 0 standard deviations" in found.decision.reason
    assert "standard deviations on average, on 5 rows" in render(found, spec=spec)


@pytest.mark.parametrize(
    ("opened", "words"), [(lambda: Books(NoLedger(), ""), "no ledger answers"), (None, "no ledger is known here")]
)
def test_a_ledger_that_is_away_stops_the_step(shop: Shop, opened: Callable[[], Books] | None, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        evaluate(
            shop.spec(),
            models=[shop.folder / "logistic"],
            test=shop.folder / "test.parquet",
            champion=shop.champion(),
            books=opened,
        )
