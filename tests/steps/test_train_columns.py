"""Columns of every kind inside one model: numbers, codes, words, sentences, times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.steps.learning import parts as divided
from tests.steps.learning import spec_of, trained
from turnout.dates import DateParts
from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import artifact, parts, train_pipeline

LOGISTIC: dict[str, Any] = {
    "name": "logistic",
    "estimator": "sklearn.linear_model.LogisticRegression",
    "parameters": {"max_iter": 500},
}
BOOSTING = {
    "name": "boosting",
    "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
    "parameters": {"max_iter": 5},
}
WORDS = ["soup", "cake", "tea", "bread", "milk", "salt", "rice", "fish", "corn", "plum"]


def orders(rows: int = 300) -> pd.DataFrame:
    """Late orders: made in the evening, or with fish in the note."""
    random = np.random.default_rng(0)
    at = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(random.integers(0, 90 * 24 * 60, rows), unit="min")
    notes = [" ".join(random.choice(WORDS, 5, replace=False)) for _ in range(rows)]
    table = pd.DataFrame(
        {
            "id": range(rows),
            "weight": random.normal(size=rows),
            "shop": random.integers(1, 4, rows),
            "city": random.choice(["Aachen", "Köln"], rows),
            "note": notes,
            "at": at,
        }
    )
    table.loc[5, ["note", "city"]] = None
    table.loc[7, "at"] = None
    late = (table["at"].dt.hour.fillna(0) >= 18) | table["note"].fillna("").str.contains("fish")
    return table.assign(kind=np.where(late, "late", "in time"))


def part_of(folder: Path, spec: ModelSpec) -> parts.Part:
    train_part, _ = divided(folder, orders())
    return parts.read(train_part, spec=spec)


def test_columns_are_prepared_as_their_values_suggest(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC)
    found = train_pipeline.kinds(part_of(tmp_path, spec).features, spec.features, spec.candidates[0])
    assert found == {"weight": "numeric", "shop": "numeric", "city": "categorical", "note": "text", "at": "datetime"}


def test_the_spec_says_otherwise(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC, features={"categorical": ["shop", "no*"], "text": ["city"]})
    found = train_pipeline.kinds(part_of(tmp_path, spec).features, spec.features, spec.candidates[0])
    assert (found["shop"], found["note"], found["city"]) == ("code", "categorical", "text")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"text": ["weight"]}, "column weight cannot be prepared as text: it holds numbers"),
        ({"numeric": ["city"]}, "column city cannot be prepared as numeric: it holds words"),
        ({"categorical": ["at"]}, "column at cannot be prepared as categorical: it holds times"),
    ],
)
def test_what_a_column_cannot_be_is_named(tmp_path: Path, features: dict[str, Any], message: str) -> None:
    spec = spec_of(LOGISTIC, features=features)
    with pytest.raises(DataError, match=message):
        train_pipeline.kinds(part_of(tmp_path, spec).features, spec.features, spec.candidates[0])


@pytest.mark.parametrize("candidate", [LOGISTIC, BOOSTING], ids=lambda candidate: str(candidate["name"]))
def test_all_of_them_are_served_by_one_onnx_model(tmp_path: Path, candidate: dict[str, Any]) -> None:
    spec = spec_of(candidate, features={"categorical": ["shop"]})
    found = trained(spec, tmp_path, orders(), candidate=candidate["name"])
    assert (found.export.form, found.export.parity.different) == ("onnx", 0)
    manifest = artifact.read(tmp_path / candidate["name"])
    types = manifest.feature_types
    assert (types["at"], types["note"], types["city"]) == ("FP64", "BYTES", "BYTES")
    assert found.score > 0.8


def test_a_time_is_asked_for_as_seconds(tmp_path: Path) -> None:
    trained(spec_of(LOGISTIC), tmp_path, orders(), candidate="logistic")
    model = artifact.load(tmp_path / "logistic")
    rows = {
        "weight": np.zeros(2, np.float32),
        "shop": np.ones(2, np.float32),
        "city": np.array(["Köln", "Köln"], object),
        "note": np.array(["soup cake", "soup cake"], object),
        "at": np.array([1_772_928_000.0 + 9 * 3600, 1_772_928_000.0 + 21 * 3600]),
    }
    morning, evening = model.predict(rows).probabilities[:, 1]
    assert evening > morning


def test_letters_beyond_ascii_are_served_as_scikit_learn_reads_them(tmp_path: Path) -> None:
    table = orders()
    table["note"] = table["note"].str.replace("fish", "größe café")
    table["kind"] = np.where(table["note"].fillna("").str.contains("größe"), "late", "in time")
    found = trained(spec_of(LOGISTIC), tmp_path, table, candidate="logistic")
    assert found.export.parity.different == 0


def test_how_words_go_together_is_searched(tmp_path: Path) -> None:
    candidate = {**LOGISTIC, "features": ["note"], "grid": {"text.ngram_range": [[1, 1], [1, 2]], "C": [1.0, 9.0]}}
    table = orders(200)
    table["kind"] = np.where(table["note"].fillna("").str.contains("fish"), "late", "in time")
    found = trained(spec_of(candidate), tmp_path, table, candidate="logistic")
    assert {tuple(point.parameters["text.ngram_range"]) for point in found.search.points} == {(1, 1), (1, 2)}


def test_a_grid_about_words_wants_one_column_of_them(tmp_path: Path) -> None:
    candidate = {**LOGISTIC, "features": ["weight"], "grid": {"text.ngram_range": [[1, 1]]}}
    with pytest.raises(DataError, match=r"text\.ngram_range is about one column of text, and 0 columns are prepared"):
        trained(spec_of(candidate), tmp_path, orders(), candidate="logistic")


def test_a_candidate_sees_the_features_that_it_names(tmp_path: Path) -> None:
    """The other columns are part of its requests, and change no answer."""
    spec = spec_of({**LOGISTIC, "features": ["we*", "city"]})
    trained(spec, tmp_path, orders(), candidate="logistic")
    model, part = artifact.load(tmp_path / "logistic"), parts.read(tmp_path / "test.parquet", spec=spec)
    before = model.predict(part.features)
    after = model.predict({**part.features, "at": part.features["at"] + 43_200, "shop": part.features["shop"] * 0})
    assert (before.probabilities == after.probabilities).all()


def test_a_candidate_that_sees_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"candidate logistic: no column is one of its features \(x\*\)"):
        trained(spec_of({**LOGISTIC, "features": ["x*"]}), tmp_path, orders(), candidate="logistic")


def test_parts_of_dates_follow_the_calendar() -> None:
    times = pd.to_datetime(["2026-11-20T14:30:00Z", "1969-12-31T23:59:59Z", "2000-02-29T00:00:00Z"])
    seconds = np.array([[time.timestamp()] for time in times] + [[np.nan]])
    found = DateParts().fit_transform(seconds)
    assert found[:3, 0].tolist() == pytest.approx([time.hour + time.minute / 60 + time.second / 3600 for time in times])
    assert found[:3, 1].tolist() == [time.weekday() for time in times]
    assert found[0, 2] == pytest.approx((times[0].dayofyear - 1) / 365.2425, abs=0.003)
    assert np.isnan(found[3]).all()
    assert DateParts().fit(seconds).get_feature_names_out(["at"]).tolist() == ["at hour", "at weekday", "at season"]
