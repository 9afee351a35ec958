"""The same content has the same id, however it is written; other content has another."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.steps.tables import model_spec, take
from turnout.steps import snapshots

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\x85  "), max_size=6)
CELLS = st.tuples(
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | WORDS.map(lambda word: f"w{word}"),
    st.none() | st.booleans(),
)
TABLES = st.lists(CELLS, min_size=2, max_size=12)
# What must be true of the first row, so that CSV cannot take a column for another kind.
ANCHOR = (7, 0.5, "word", True)
NAMES = ["whole", "part", "word", "flag"]
CHECKS = (
    "checks: {columns: {whole: {type: int}, part: {type: float}, word: {type: string}, flag: {type: bool}}}\n"
    "drop: [flag]\n"
)
patient = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(cells: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = list(zip(*[ANCHOR, *cells], strict=True))
    return pd.DataFrame(
        {
            "id": range(len(cells) + 1),
            "whole": pd.array(columns[0], dtype="Int64"),
            "part": pd.array(columns[1], dtype="float64")
            if None not in columns[1]
            else pd.Series(columns[1], dtype=float),
            "word": pd.array(columns[2], dtype="string"),
            "flag": pd.array(columns[3], dtype="boolean"),
            "price": range(len(cells) + 1),
        }
    )


def id_of(*parts: pd.DataFrame, suffix: str = "csv") -> str:
    """The id of what these frames, one file each, are ingested as."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, part in enumerate(parts):
            path = folder / f"part-{number}.{suffix}"
            part.to_csv(path, index=False) if suffix == "csv" else part.to_parquet(path, index=False)
        return take(folder, model_spec(folder, sources={"a": f"part-*.{suffix}"}, rest=CHECKS)).id


@patient
@given(cells=TABLES, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_changes_nothing(cells: list[tuple[Any, ...]], random: Any) -> None:
    table = frame(cells)
    order, names = list(range(len(table))), list(table.columns)
    random.shuffle(order)
    random.shuffle(names)
    assert id_of(table.iloc[order][names]) == id_of(table)


@patient
@given(cells=TABLES, at=st.integers(1, 2))
def test_a_file_in_two_pieces_changes_nothing(cells: list[tuple[Any, ...]], at: int) -> None:
    table = frame(cells)
    assert id_of(table.iloc[at:], table.iloc[:at]) == id_of(table)


@patient
@given(cells=TABLES)
def test_csv_and_parquet_of_the_same_values_have_the_same_id(cells: list[tuple[Any, ...]]) -> None:
    table = frame(cells)
    assert id_of(table, suffix="parquet") == id_of(table)


@patient
@given(cells=TABLES, row=st.integers(0, 100), column=st.sampled_from(NAMES), other=CELLS)
def test_one_changed_cell_changes_the_id(
    cells: list[tuple[Any, ...]], row: int, column: str, other: tuple[Any, ...]
) -> None:
    table = frame(cells)
    row %= len(table)
    value = other[NAMES.index(column)]
    before = table[column][row]
    changed = table.copy()
    changed.loc[row, column] = value
    same = (pd.isna(before) and value is None) or (not pd.isna(before) and value is not None and before == value)
    assert (id_of(changed, suffix="parquet") == id_of(table, suffix="parquet")) == same


def test_the_id_does_not_depend_on_the_name_of_the_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("id,price,x\n1,2,3\n")
    ids = {take(tmp_path, model_spec(tmp_path, sources={n: f"{n}.csv"})).id for n in ("one", "two")}
    assert len(ids) == 1


@pytest.mark.parametrize("spelling", ["5.5", "5.50", "55e-1", "+5.5", " 5.5"])
def test_a_number_has_one_value_however_it_is_spelled(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "a.csv").write_text(f"id,price\n1,{spelling}\n")
    assert take(tmp_path, model_spec(tmp_path, sources={"a": "a.csv"})).id == "snap-a967566f672ddb26"


def table(**columns: Any) -> Any:
    return pa.table(columns)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (table(a=["ab", "c"]), table(a=["a", "bc"])),
        (table(a=["", "a"]), table(a=[None, "a"])),
        (table(a=[0, 1]), table(a=[None, 1])),
        (table(a=[1, 2]), table(a=[1.0, 2.0])),
        (table(a=[1], b=[2]), table(a=[2], b=[1])),
        (table(a=[1]), table(b=[1])),
        (table(a=[True]), table(a=[False])),
        (table(a=["x"] * 2), table(a=["x"] * 3)),
    ],
    ids=["cuts between words", "missing word", "missing number", "kind", "columns swapped", "name", "flag", "rows"],
)
def test_tables_that_differ_have_different_digests(one: Any, other: Any) -> None:
    assert snapshots.digest(one) != snapshots.digest(other)


def test_minus_zero_and_nan_are_written_in_one_way(tmp_path: Path) -> None:
    digests = set()
    for zero, nothing in ((0.0, math.nan), (-0.0, None)):
        frame = pd.DataFrame({"id": [1, 2], "price": [1, 2], "x": [zero, nothing]})
        frame.to_parquet(tmp_path / "a.parquet", index=False)
        digests.add(take(tmp_path, model_spec(tmp_path, sources={"a": "a.parquet"})).id)
    assert len(digests) == 1


def test_a_digest_does_not_depend_on_how_arrow_keeps_the_column() -> None:
    whole = pa.table({"a": ["x", None, "yy", "z"]})
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])
    assert snapshots.digest(pieces) == snapshots.digest(whole)
