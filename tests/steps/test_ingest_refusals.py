"""Data that cannot be used: the message names file, column, rule and the first rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.steps.tables import FEATURES, LABELS, model_spec, take, two_tables
from turnout.errors import DataError


def refusal(folder: Path, *, features: str = FEATURES, labels: str = LABELS, **options: str) -> str:
    model = model_spec(folder, sources=two_tables(folder, features=features, labels=labels), **options)
    with pytest.raises(DataError) as refused:
        take(folder, model)
    assert refused.value.exit_code == 1
    return str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source a: .*nowhere\.csv: no such file"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "nowhere.csv"}))


def test_a_missing_label_is_named_with_what_it_may_have_meant(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS.replace("price", "prize"))
    assert "label price is missing (did you mean 'prize'?)" in message
    assert "labels.csv" in message


def test_a_missing_key_is_named_with_the_source_that_lacks_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS.replace("id", "_id"))
    assert "source labels" in message
    assert "key id is missing (did you mean '_id'?); columns: _id, price" in message


def test_a_column_that_only_a_rule_names_is_missing(tmp_path: Path) -> None:
    message = refusal(tmp_path, rest="checks: {columns: {sise: {min: 0}}}\n")
    assert "column sise (named in checks.columns) is missing (did you mean 'size'?)" in message


def test_a_pattern_that_matches_no_column_is_missing(tmp_path: Path) -> None:
    assert "column x* (named in drop) is missing" in refusal(tmp_path, rest="drop: ['x*']\n")


def test_a_wrong_type_names_file_column_rule_line_key_and_value(tmp_path: Path) -> None:
    features = FEATURES.replace("2.5", "big").replace("4.5", "small")
    message = refusal(tmp_path, features=features, rest="checks: {columns: {size: {type: float}}}\n")
    assert "source features: 2 of 5 rows are bad (40.0%), more than max_bad_rows allows (5.0%)" in message
    assert "features.csv: column size, rule type float: line 3 (id=2): 'big'; line 5 (id=4): 'small'" in message


def test_a_value_out_of_bounds_in_a_column_without_a_type_is_judged_as_a_number(tmp_path: Path) -> None:
    message = refusal(tmp_path, features=FEATURES.replace("2.5", "big"), rest="checks: {columns: {size: {max: 4}}}\n")
    assert "rule type float: line 3 (id=2): 'big'" in message
    assert "rule max 4: line 5 (id=4): '4.5'; line 6 (id=5): '5.5'" in message


def test_duplicate_keys_name_every_row_that_has_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS + "3,31\n")
    assert "labels.csv: column id, rule unique key: line 4 (id=3): '3'; line 7 (id=3): '3'" in message


def test_a_missing_key_value_is_a_bad_row(tmp_path: Path) -> None:
    assert "column id, rule not missing: line 7 (id=None): ''" in refusal(tmp_path, labels=LABELS + ",60\n")


def test_a_missing_label_value_is_a_bad_row(tmp_path: Path) -> None:
    assert "column price, rule not missing: line 7 (id=6): ''" in refusal(tmp_path, labels=LABELS + "6,\n")


def test_an_infinite_number_is_a_bad_row(tmp_path: Path) -> None:
    assert "column size, rule finite: line 2 (id=1): 'inf'" in refusal(
        tmp_path, features=FEATURES.replace("1.5", "inf")
    )


def test_a_value_that_is_not_allowed_is_a_bad_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, rest="checks: {columns: {colour: {values: [red, blue]}}}\n")
    assert "column colour, rule values red, blue: line 5 (id=4): 'green'" in message


def test_a_value_that_must_be_unique_is_a_bad_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, rest="checks: {columns: {colour: {unique: true}}}\n")
    assert "column colour, rule unique: line 2 (id=1): 'red'; line 4 (id=3): 'red'; line 6 (id=5): 'red'" in message


def test_a_row_with_too_many_values_is_a_bad_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, features=FEATURES + "6,6.5,red,more\n")
    assert "features.csv: rule as many values as columns: line 7: '6,6.5,red,more'" in message


def test_lines_are_those_of_the_file_also_behind_values_with_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    features = FEATURES.replace("red", '"red\nand\nwhite"', 1).replace("3,3.5", "\n3,oops")
    message = refusal(tmp_path, features=features, rest="checks: {columns: {size: {type: float}}}\n")
    assert "line 7 (id=3): 'oops'" in message


def test_a_key_that_one_source_lacks_is_a_bad_row(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS + "9,90\n")
    assert "labels.csv: column id, rule a partner in every source: line 7 (id=9)" in message


def test_many_broken_rules_are_counted_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,price,x\n" + "".join(f"{n},1,{n}\n" for n in range(50)))
    with pytest.raises(DataError, match="and 46 more") as refused:
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, rest="checks: {columns: {x: {max: 0}}}\n"))
    assert len(str(refused.value)) < 600


def test_a_very_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"id,price,x\n1,1,{'a' * 1_000_000}\n2,2,1\n")
    with pytest.raises(DataError) as refused:
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, rest="checks: {columns: {x: {type: int}}}\n"))
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(("content", "words"), [("", "the file is empty"), ("id,price\n", "no rows, only the header")])
def test_an_empty_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    message = refusal(tmp_path, labels=content)
    assert "labels.csv" in message
    assert words in message


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    two_tables(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"id,price\n1,10\n2,2\xe4\n")
    with pytest.raises(DataError, match=r"labels\.csv\): line 3 is not UTF-8 \(byte 0xe4\)"):
        take(tmp_path, model_spec(tmp_path, sources={"labels": "labels.csv"}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,price,city\n1,10,Köln\n".encode() + "2,20,Köln\n".encode("latin-1"), r"line 3 is not UTF-8 \(byte 0xf6\)"),
        ("id,price\n1,10\n".encode("utf-16"), r"line 1 is not UTF-8 \(byte 0xff\)|line 1 has a NUL byte"),
        ("id,price\n1,10\n".encode("utf-16-le"), r"line 1 has a NUL byte, which no text has \(UTF-16\?\)"),
        (b"id,price\n1,10\n2,2\0\n", "line 3 has a NUL byte"),
    ],
)
def test_mixed_and_other_encodings_are_named_with_the_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}))


def test_a_label_that_is_not_a_number_in_a_parquet_file_is_a_bad_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "price": [1.0, float("nan"), 3.0]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column price, rule not missing: line 2 \(id=2\)"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.parquet"}))


def test_a_cell_of_a_million_letters_is_a_value_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"id,price,x\n1,1,{'a' * 1_000_000}\n2,2,b\n")
    assert take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"})).rows == 2


def test_a_header_without_names_is_refused(tmp_path: Path) -> None:
    assert "the first line names no columns" in refusal(tmp_path, labels=",,\n1,2,3\n")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    assert "columns named twice: price" in refusal(tmp_path, labels="id,price,price\n1,2,3\n")


def test_a_column_in_two_sources_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS.replace("id,price", "id,price,size").replace("0\n", "0,1\n"))
    assert "column size is in source features and in source labels" in message


def test_keys_of_different_types_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels=LABELS.replace("\n1,", "\n01,"))
    assert "key id is int64 in source features and string in source labels" in message
    assert "checks.columns.id.type" in message


def test_a_key_of_fractions_is_refused(tmp_path: Path) -> None:
    assert "fractions cannot identify a row" in refusal(tmp_path, labels=LABELS.replace("\n1,", "\n1.5,"))


def test_a_column_with_the_name_of_the_made_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("_row,price\n1,10\n")
    with pytest.raises(DataError, match="column _row has the name of the key that is made"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}, keys="[]"))


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    assert "5 rows are left to learn from, 100 are needed" in refusal(tmp_path, rest="checks: {min_rows: 100}\n")


def test_no_rows_left_is_refused_even_if_every_row_may_be_bad(tmp_path: Path) -> None:
    message = refusal(tmp_path, rest="checks: {max_bad_rows: 1.0, columns: {size: {max: 0}}}\n")
    assert "0 rows are left" in message


def test_files_of_one_source_must_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("id,price\n1,10\n")
    (tmp_path / "2.csv").write_text("id,prize\n2,10\n")
    with pytest.raises(DataError, match=r"2\.csv\): other columns than .*1\.csv: it lacks price; has besides prize"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "*.csv"}))


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2], "price": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.parquet\): not a whole Parquet file"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.parquet"}))


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "price": [1], "tags": [["a", "b"]]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"source a, column tags: list<.*> is not a value that a table can hold"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.parquet"}))


def test_files_with_times_with_and_without_a_zone_are_refused_by_name(tmp_path: Path) -> None:
    for name, zone in (("1", None), ("2", "UTC")):
        at = pd.Series(pd.to_datetime(["2026-11-21"])).dt.tz_localize(zone)
        pd.DataFrame({"id": [int(name)], "price": [1], "at": at}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="column at: its files hold different types"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "*.parquet"}))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a \.csv or \.parquet file was wanted"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.xlsx"}))


def test_a_row_that_never_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,price\n1,"' + b"a" * (33 << 20))
    with pytest.raises(DataError, match=r"a\.csv\): not a CSV file"):
        take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"}))
