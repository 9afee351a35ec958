"""What a score cannot be trusted for is said with its evidence, and what is harmless is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.steps.test_featurize import CLASSES, houses, prepare, split
from tests.steps.test_split_kinds import dated
from turnout.steps import leaks
from turnout.steps.leaks import Leak


def found(folder: Path, table: pd.DataFrame, **options: str) -> dict[str, Leak]:
    _, _, parts = split(folder, prepare(folder, table, **options))
    assert parts.leaks == leaks.read(folder / "profile.json")
    return {f"{leak.kind} {leak.column}".strip(): leak for leak in parts.leaks}


def test_a_clean_table_has_none(tmp_path: Path) -> None:
    assert found(tmp_path, houses()) == {}


def test_a_column_that_identifies_rows_is_named(tmp_path: Path) -> None:
    leak = found(tmp_path, houses().assign(deed=[f"d{n}" for n in range(200)]))["key deed"]
    assert "column deed has a different value in each of" in leak.evidence


def test_sentences_are_no_keys(tmp_path: Path) -> None:
    assert found(tmp_path, houses().assign(text=[f"a house with {n} doors" for n in range(200)])) == {}


def test_a_column_that_follows_from_the_value_is_named(tmp_path: Path) -> None:
    leak = found(tmp_path, houses().assign(tax=lambda table: table["price"] ** 2))["target tax"]
    assert "column tax alone has a rank correlation of 1.0000 with price" in leak.evidence


@pytest.mark.parametrize("proxy", ["number", "word"])
def test_a_column_that_gives_the_class_away_is_named(tmp_path: Path, proxy: str) -> None:
    table = houses().assign(price=lambda table: np.where(table["size"] > 100, "dear", "cheap"))
    table["note"] = np.where(table["price"] == "dear", 3.0, 1.0) if proxy == "number" else "is " + table["price"]
    told = found(tmp_path, table, rest=CLASSES)
    assert "column note alone tells price right in 100.0% of cases" in told["target note"].evidence


def test_a_rare_class_is_not_given_away_by_every_column(tmp_path: Path) -> None:
    table = houses().assign(price=["dear"] * 6 + ["cheap"] * 194)
    assert found(tmp_path, table, rest=CLASSES) == {}


def test_copies_on_both_sides_of_the_split_are_counted(tmp_path: Path) -> None:
    table = houses()
    twice = pd.concat([table, table.assign(id=table["id"] + 1000)])
    leak = found(tmp_path, twice)["duplicates"]
    assert "have the features of a training row (first: id=" in leak.evidence


def test_a_random_split_of_rows_with_a_time_is_named(tmp_path: Path) -> None:
    told = found(tmp_path, dated(), rest="time: sold\ndrop: [sold]\n")
    assert "test rows are earlier than the latest training row" in told["time sold"].evidence
    assert found(tmp_path, dated(), rest="time: sold\ndrop: [sold]\nsplit: {method: time}\n") == {}
