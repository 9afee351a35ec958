"""A snapshot becomes a training part, a test part and a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.steps.tables import model_spec, take
from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import splitting
from turnout.steps.featurize import Parts, featurize

CLASSES = """\
task: classification
candidates: [{name: c, estimator: sklearn.linear_model.LogisticRegression}]
split: {method: stratified, test: 0.25, seed: 3}
"""


def houses(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": range(rows),
            "size": random.normal(100, 20, rows).round(1),
            "rooms": random.integers(1, 6, rows),
            "colour": random.choice(["red", "blue", "green"], rows, p=[0.6, 0.3, 0.1]),
            "garden": random.choice([True, False], rows),
            "price": random.normal(1000, 100, rows).round(2),
        }
    )


def prepare(folder: Path, table: pd.DataFrame, **options: str) -> ModelSpec:
    table.to_csv(folder / "houses.csv", index=False)
    model = model_spec(folder, sources={"houses": "houses.csv"}, **options)
    take(folder, model)
    return model


def split(folder: Path, model: ModelSpec) -> tuple[pd.DataFrame, pd.DataFrame, Parts]:
    parts = featurize(
        model,
        snapshot=folder / "snapshot",
        train=folder / "train",
        test=folder / "test",
        profile=folder / "profile.json",
    )
    return pd.read_parquet(folder / "train"), pd.read_parquet(folder / "test"), parts


def profile(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    return facts["columns"]


def test_every_row_is_in_one_part(tmp_path: Path) -> None:
    train, test, parts = split(tmp_path, prepare(tmp_path, houses()))
    assert sorted([*train["id"], *test["id"]]) == list(range(200))
    assert (parts.train, parts.test) == (len(train), len(test))
    assert 30 <= len(test) <= 70


def test_the_same_seed_gives_the_same_parts_and_another_seed_others(tmp_path: Path) -> None:
    ids = []
    for seed in (1, 1, 2):
        model = prepare(tmp_path, houses(), rest=f"split: {{seed: {seed}}}\n")
        ids.append(list(split(tmp_path, model)[1]["id"]))
    assert ids[0] == ids[1] != ids[2]


def test_a_row_stays_in_its_part_when_others_come_and_go(tmp_path: Path) -> None:
    _, before, _ = split(tmp_path, prepare(tmp_path, houses()))
    _, after, _ = split(tmp_path, prepare(tmp_path, houses().iloc[50:]))
    assert list(after["id"]) == [row for row in before["id"] if row >= 50]


def test_a_stratified_split_takes_the_same_share_of_every_class(tmp_path: Path) -> None:
    train, test, _ = split(tmp_path, prepare(tmp_path, houses(), label="colour", rest=CLASSES))
    for colour in ("red", "blue", "green"):
        tested, all_of_them = (test["colour"] == colour).sum(), (houses()["colour"] == colour).sum()
        assert tested == round(all_of_them * 0.25)
    assert len(train) + len(test) == 200


def test_places_are_uniform_and_the_same_on_every_machine() -> None:
    at = splitting.places(((n,) for n in range(10_000)), seed=5)
    assert at[0] == pytest.approx(0.9605343347364157, abs=1e-15)
    assert np.abs(np.sort(at) - np.linspace(0, 1, 10_000)).max() < 0.02


def test_keys_and_label_are_kept_and_dropped_columns_are_not(tmp_path: Path) -> None:
    train, _, _ = split(tmp_path, prepare(tmp_path, houses(), rest="drop: [colour, 'g*']\n"))
    assert list(train.columns) == ["id", "price", "rooms", "size"]


def test_flags_become_numbers_and_whole_numbers_with_gaps_become_fractions(tmp_path: Path) -> None:
    table = houses().astype({"rooms": "Int64"})
    table.loc[3, "rooms"] = None
    train, test, _ = split(tmp_path, prepare(tmp_path, table))
    assert train.dtypes["garden"] == "int64"
    assert train.dtypes["rooms"] == test.dtypes["rooms"] == "float64"


def test_the_profile_describes_the_training_part(tmp_path: Path) -> None:
    train, _, _ = split(tmp_path, prepare(tmp_path, houses()))
    columns = profile(tmp_path)
    assert columns["size"]["mean"] == pytest.approx(train["size"].mean())
    assert columns["size"]["sd"] == pytest.approx(train["size"].std())
    assert columns["size"]["quantiles"]["0.5"] == pytest.approx(train["size"].median())
    assert columns["colour"]["top"][0] == {"value": "red", "count": int((train["colour"] == "red").sum())}
    assert "id" not in columns


def test_the_profile_counts_missing_values(tmp_path: Path) -> None:
    table = houses()
    table["size"] = np.nan
    table.loc[5:, "colour"] = None
    split(tmp_path, prepare(tmp_path, table))
    assert profile(tmp_path)["size"] == {
        "type": "float",
        "missing": profile(tmp_path)["size"]["missing"],
        "distinct": 0,
    }
    assert profile(tmp_path)["colour"]["missing"] > 100


def test_classes_that_are_numbers_are_counted_one_by_one(tmp_path: Path) -> None:
    train, _, _ = split(tmp_path, prepare(tmp_path, houses(), label="rooms", rest=CLASSES))
    top = profile(tmp_path)["rooms"]["top"]
    assert sum(item["count"] for item in top) == len(train)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"price": 7}, {}, "label price: every row has the value 7; nothing can be learned"),
        ({"price": "a lot"}, {}, "every row has the value 'a lot'"),
        ({}, {"label": "colour"}, r"a regression needs numbers, found string .*checks\.columns\.colour\.type: float"),
        ({}, {"label": "id2", "rest": CLASSES}, "1200 distinct values of type int are no classes"),
        ({}, {"rest": "drop: [size, rooms, colour, garden, id2]\n"}, "no feature is left"),
        ({}, {"rest": "split: {test: 0.00001}\n"}, "of 1200 rows none is left for the test part"),
        ({}, {"rest": "split: {test: 0.99999}\n"}, "of 1200 rows none is left for the training part"),
        ({"one": ["x"] + ["y"] * 1199}, {"label": "one", "rest": CLASSES}, "two rows of every class, .* one: 'x'"),
    ],
    ids=[
        "one number",
        "one word",
        "words",
        "too many classes",
        "nothing",
        "no test",
        "no training",
        "rare class",
    ],
)
def test_what_cannot_be_learned_is_refused(
    tmp_path: Path, change: dict[str, Any], options: dict[str, str], words: str
) -> None:
    table = houses(1200).assign(id2=range(1200)).assign(**change)
    model = prepare(tmp_path, table, **options)
    with pytest.raises(DataError, match=words):
        split(tmp_path, model)
