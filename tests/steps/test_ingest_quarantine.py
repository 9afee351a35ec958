"""A few bad rows are set aside with their reasons, and the run goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.steps.tables import FEATURES, LABELS, model_spec, take, two_tables
from turnout.errors import DataError

LENIENT = "checks: {max_bad_rows: 0.5, columns: {size: {type: float, max: 5}}}\n"


def bad_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "bad.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_bad_row_is_kept_with_source_file_line_key_column_rule_and_value(tmp_path: Path) -> None:
    made = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path), rest=LENIENT))
    assert bad_rows(tmp_path)[0] == {
        "source": "features",
        "file": str(tmp_path / "features.csv"),
        "line": "6",
        "key": "id=5",
        "column": "size",
        "rule": "max 5",
        "value": "5.5",
    }
    assert made.rows == 4


def test_the_partner_of_a_bad_row_is_set_aside_too(tmp_path: Path) -> None:
    made = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path), rest=LENIENT))
    assert [(row["source"], row["rule"]) for row in bad_rows(tmp_path)] == [
        ("features", "max 5"),
        ("labels", "a partner in every source"),
    ]
    assert made.quarantined == 2
    assert [source.quarantined for source in made.sources] == [1, 1]


def test_a_row_that_breaks_two_rules_is_listed_twice_and_counted_once(tmp_path: Path) -> None:
    rest = LENIENT.replace("max: 5", "max: 5, values: [1.5, 2.5, 3.5, 4.5]")
    made = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path), rest=rest))
    assert [row["rule"] for row in bad_rows(tmp_path) if row["source"] == "features"] == [
        "max 5",
        "values 1.5, 2.5, 3.5, 4.5",
    ]
    assert made.sources[0].quarantined == 1


def test_a_value_of_the_wrong_kind_is_not_called_missing_as_well(tmp_path: Path) -> None:
    sources = two_tables(tmp_path, features=FEATURES.replace("2.5", "big"))
    rest = "checks: {max_bad_rows: 0.5, columns: {size: {type: float, nullable: false}}}\n"
    take(tmp_path, model_spec(tmp_path, sources=sources, rest=rest))
    assert [row["rule"] for row in bad_rows(tmp_path) if row["source"] == "features"] == ["type float"]


def test_a_clean_table_leaves_a_file_with_only_a_header(tmp_path: Path) -> None:
    made = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    assert made.quarantined == 0
    assert bad_rows(tmp_path) == []


def test_a_run_that_stops_leaves_the_bad_rows_and_says_where(tmp_path: Path) -> None:
    sources = two_tables(tmp_path, labels=LABELS + "5,51\n")
    with pytest.raises(DataError, match=r"all of them: .*bad\.csv"):
        take(tmp_path, model_spec(tmp_path, sources=sources))
    assert len([row for row in bad_rows(tmp_path) if row["rule"] == "unique key"]) == 2


def test_exactly_the_allowed_share_of_bad_rows_does_not_stop_the_run(tmp_path: Path) -> None:
    sources = two_tables(tmp_path, features=FEATURES.replace("5.5", "9.5"))
    rest = "checks: {max_bad_rows: 0.2, columns: {size: {max: 5}}}\n"
    assert take(tmp_path, model_spec(tmp_path, sources=sources, rest=rest)).rows == 4
