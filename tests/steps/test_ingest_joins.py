"""Sources become one table with a row for each key that all of them have."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.steps.tables import FEATURES, LABELS, model_spec, take, two_tables
from turnout.errors import DataError
from turnout.steps import snapshots


def rows(folder: Path) -> list[dict[str, object]]:
    return list(snapshots.read_table(folder / "snapshot").to_pylist())


def test_rows_are_joined_and_sorted_by_key(tmp_path: Path) -> None:
    header, *lines = LABELS.splitlines()
    sources = two_tables(tmp_path, labels="\n".join([header, *reversed(lines)]))
    take(tmp_path, model_spec(tmp_path, sources=sources))
    assert rows(tmp_path)[0] == {"id": 1, "colour": "red", "price": 10, "size": 1.5}
    assert [row["id"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5]


def test_the_facts_name_the_sources_with_digest_and_rows(tmp_path: Path) -> None:
    made = take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    facts = json.loads((tmp_path / "snapshot" / "snapshot.json").read_text())
    assert facts["id"] == made.id
    assert facts["rows"] == 5
    assert [(source["name"], source["rows"]) for source in facts["sources"]] == [("features", 5), ("labels", 5)]
    assert facts["columns"] == {"id": "int", "colour": "string", "price": "int", "size": "float"}
    assert snapshots.read(tmp_path / "snapshot") == made


def test_several_key_columns_identify_a_row_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("shop,day,sold\nx,1,5\ny,1,6\nx,2,7\n")
    (tmp_path / "b.csv").write_text("day,shop,rain\n2,x,0.5\n1,x,0.1\n1,y,0.2\n")
    take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv", "b": "b.csv"}, keys="[shop, day]", label="sold"))
    assert [(row["shop"], row["day"], row["rain"]) for row in rows(tmp_path)] == [
        ("x", 1, 0.1),
        ("x", 2, 0.5),
        ("y", 1, 0.2),
    ]


def test_without_a_key_the_position_of_a_row_is_its_key(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("size,price\n1.5,10\n2.5,20\n")
    take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, keys="[]"))
    assert [row["_row"] for row in rows(tmp_path)] == [0, 1]


def test_a_folder_and_a_pattern_are_read_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    header, *lines = FEATURES.splitlines()
    (tmp_path / "days" / "1.csv").write_text("\n".join([header, *lines[:2]]))
    (tmp_path / "days" / "2.csv").write_text("\n".join([header, *lines[2:]]))
    (tmp_path / "days" / "_SUCCESS").write_text("")
    two_tables(tmp_path)
    folder = take(tmp_path, model_spec(tmp_path, sources={"features": "days", "labels": "labels.csv"}))
    pattern = take(tmp_path, model_spec(tmp_path, sources={"features": "days/*.csv", "labels": "labels.csv"}))
    assert folder.id == pattern.id
    assert [source.rows for source in folder.sources] == [2, 3, 5]


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    sources = two_tables(tmp_path)
    plain = take(tmp_path, model_spec(tmp_path, sources=sources))
    by_url = {name: f"file://{tmp_path}/{path}" for name, path in sources.items()}
    assert take(tmp_path, model_spec(tmp_path, sources=by_url)).id == plain.id


def test_a_separator_is_what_the_spec_says(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;size;price\n1;1.5;10\n2;2.5;20\n")
    spec = model_spec(tmp_path, sources={"a": "a.csv', separator: ';"})
    take(tmp_path, spec)
    assert rows(tmp_path)[1] == {"id": 2, "price": 20, "size": 2.5}


def test_missing_values_are_missing_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,size,colour,price\n1,,NA,10\n2,NaN,"",20\n3,1.5,red,30\n')
    take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}))
    assert [(row["size"], row["colour"]) for row in rows(tmp_path)] == [(None, None), (None, None), (1.5, "red")]


def test_codes_with_leading_zeros_stay_words(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,postcode,price\n1,01067,10\n2,10115,20\n")
    made = take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}))
    assert made.columns["postcode"] == "string"


def test_a_declared_type_is_the_type_whatever_the_values_look_like(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,zip,day,flag,price\n1,5,2026-11-21,yes,10\n2,6,2026-11-22,no,20\n")
    checks = (
        "checks: {columns: {zip: {type: string}, day: {type: datetime}, flag: {type: bool}, price: {type: float}}}\n"
    )
    made = take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, rest=checks))
    assert made.columns == {"id": "int", "day": "datetime", "flag": "bool", "price": "float", "zip": "string"}


def test_a_column_that_pandas_left_without_a_name_is_called_by_its_number(tmp_path: Path) -> None:
    pd.DataFrame({"size": [1.5, 2.5], "price": [10, 20]}).to_csv(tmp_path / "a.csv")
    made = take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, keys="[unnamed_1]"))
    assert made.keys == ("unnamed_1",)


def test_an_altered_snapshot_is_refused(tmp_path: Path) -> None:
    take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    table = tmp_path / "snapshot" / "table.parquet"
    frame = pd.read_parquet(table)
    frame.loc[0, "size"] = 9.0
    frame.to_parquet(table)
    with pytest.raises(DataError, match="somebody changed them"):
        snapshots.read_table(tmp_path / "snapshot")


def test_a_folder_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no snapshot is here"):
        snapshots.read_table(tmp_path)


def test_a_snapshot_with_a_damaged_table_is_refused(tmp_path: Path) -> None:
    take(tmp_path, model_spec(tmp_path, sources=two_tables(tmp_path)))
    (tmp_path / "snapshot" / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a whole Parquet file"):
        snapshots.read_table(tmp_path / "snapshot")
