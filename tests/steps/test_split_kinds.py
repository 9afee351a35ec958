"""Parts by group and by time, in the test part and in cross-validation alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit

from tests.steps.learning import RIDGE, spec_of
from tests.steps.test_featurize import houses, prepare, profile, split
from turnout.errors import DataError
from turnout.spec import Split
from turnout.steps import parts, splitting, train_search
from turnout.steps.train import train


def dated(rows: int = 200) -> pd.DataFrame:
    """Houses with the day on which each was sold, in no order, and the street that it is in."""
    random = np.random.default_rng(1)
    table = houses(rows)
    days = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(random.permutation(rows) // 2, unit="D")
    return table.assign(sold=days.strftime("%Y-%m-%d"), street=random.integers(0, 20, rows))


BY_TIME = "time: sold\ndrop: [sold]\nsplit: {method: time, test: 0.3}\n"
BY_GROUP = "drop: [sold]\nsplit: {method: group, by: street, test: 0.3}\n"


def test_the_latest_rows_are_the_test_part(tmp_path: Path) -> None:
    train_part, test_part, _ = split(tmp_path, prepare(tmp_path, dated(), rest=BY_TIME))
    assert len(test_part) == 60
    assert train_part["sold"].max() < test_part["sold"].min()


def test_rows_of_one_moment_are_never_divided() -> None:
    test = splitting.rows_of_test([], None, split=Split(method="time", test=0.5), times_us=np.array([1, 2, 2, 2, 3]))
    assert test.tolist() == [False, True, True, True, True]


def test_rows_of_one_moment_cannot_be_split_by_time() -> None:
    with pytest.raises(DataError, match=r"none is left for the training part .* more moments are needed"):
        splitting.rows_of_test([], None, split=Split(method="time"), times_us=np.array([1, 1, 1]))


def test_what_belongs_together_stays_together(tmp_path: Path) -> None:
    train_part, test_part, _ = split(tmp_path, prepare(tmp_path, dated(), rest=BY_GROUP))
    assert not set(train_part["street"]) & set(test_part["street"])
    assert 20 <= len(test_part) <= 100


def test_a_group_stays_in_its_part_when_others_come_and_go(tmp_path: Path) -> None:
    _, before, _ = split(tmp_path, prepare(tmp_path, dated(), rest=BY_GROUP))
    _, after, _ = split(tmp_path, prepare(tmp_path, dated().query("street > 5"), rest=BY_GROUP))
    assert set(after["street"]) == {street for street in before["street"] if street > 5}


def test_neither_the_group_nor_a_dropped_time_is_a_feature(tmp_path: Path) -> None:
    for rest in (BY_TIME + "", BY_GROUP):
        model = prepare(tmp_path, dated(), rest=rest)
        split(tmp_path, model)
        part = parts.read(tmp_path / "train", spec=model)
        assert "sold" not in part.features
        assert ("street" in part.features) == (rest == BY_TIME)
        assert (part.groups is not None) == (rest == BY_GROUP)


def test_folds_of_a_split_by_time_are_asked_about_what_comes_after(tmp_path: Path) -> None:
    model = prepare(tmp_path, dated(), rest=BY_TIME)
    split(tmp_path, model)
    part = parts.read(tmp_path / "train", spec=model)
    by_time = pd.read_parquet(tmp_path / "train").sort_values("sold", kind="stable")
    assert part.label.tolist() == by_time["price"].tolist()
    folds = train_search.folds(model)
    assert isinstance(folds, TimeSeriesSplit)
    assert all(before.max() < after.min() for before, after in folds.split(part.label))
    trained = train(model, candidate="r", train=tmp_path / "train", test=tmp_path / "test", out=tmp_path / "model")
    assert len(trained.search.winner.folds) == 5


def test_folds_of_a_split_by_group_keep_groups_together(tmp_path: Path) -> None:
    model = prepare(tmp_path, dated(), rest=BY_GROUP)
    split(tmp_path, model)
    assert isinstance(train_search.folds(model), GroupKFold)
    classes = model.model_copy(update={"task": "classification"})
    assert isinstance(train_search.folds(classes), StratifiedGroupKFold)
    train(model, candidate="r", train=tmp_path / "train", test=tmp_path / "test", out=tmp_path / "model")


def test_fewer_groups_than_folds_are_named() -> None:
    spec = spec_of(RIDGE, task="regression", split={"method": "group", "by": "street"})
    groups = np.array([0, 0, 0, 1, 1, 1])
    with pytest.raises(DataError, match="3 folds need at least as many groups of 'street', the training part has 2"):
        train_search.search(
            None, None, np.arange(6.0), spec=spec, candidate="ridge", scoring=spec.metric, groups=groups
        )


def test_a_profile_of_times_has_their_range(tmp_path: Path) -> None:
    split(tmp_path, prepare(tmp_path, dated(), rest=BY_TIME))
    assert profile(tmp_path)["sold"]["min"].startswith("2026-01-01")
