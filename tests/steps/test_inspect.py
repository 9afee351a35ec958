"""`turnout init`: a table becomes a commented model.yaml that runs as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from turnout import spec
from turnout.errors import DataError, InputError
from turnout.spec import ModelSpec
from turnout.steps.featurize import featurize
from turnout.steps.ingest import ingest
from turnout.steps.inspect import inspect

ROWS = 120


def customers() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{n:04d}" for n in range(ROWS)],
            "age": random.integers(18, 90, ROWS),
            "income": random.normal(3e4, 1e4, ROWS).round(2),
            "city": random.choice(["Berlin", "Köln", "yes: no", "null"], ROWS),
            "member": random.choice([True, False], ROWS),
            "joined": pd.date_range("2024-01-01", periods=ROWS).astype(str),
            "note": [f"text {n}" for n in range(ROWS)],
            "country": "DE",
            "churn": random.choice(["yes", "no"], ROWS, p=[0.4, 0.6]),
        }
    )


def draft(folder: Path, table: pd.DataFrame, label: str, *, name: str = "customers.csv") -> tuple[str, ModelSpec]:
    """The text, and the spec that it is, after the steps that need no model have run on it."""
    path = folder / name
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    text = inspect(path, label, output=folder / "model.yaml")
    (folder / "model.yaml").write_text(text)
    model = spec.load(folder / "model.yaml")
    ingest(model, snapshot=folder / "snapshot", quarantined=folder / "bad.csv")
    parts = {name: folder / name for name in ("train", "test", "profile")}
    featurize(model, snapshot=folder / "snapshot", **parts)
    return text, model


def test_words_are_classes(tmp_path: Path) -> None:
    text, model = draft(tmp_path, customers(), "churn")
    assert (model.task, model.metric, model.split.method) == ("classification", "accuracy", "stratified")
    assert "2 classes: no (" in text


def test_a_quantity_is_a_regression(tmp_path: Path) -> None:
    text, model = draft(tmp_path, customers(), "income")
    assert (model.task, model.metric, model.split.method) == ("regression", "r2", "random")
    assert "send feedback as a score" in text


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1] * 60, "classification"),
        ([True, False] * 60, "classification"),
        ([0.0, 1.0] * 60, "classification"),
        ([0.0, 0.5] * 60, "regression"),
        (list(range(ROWS)), "regression"),
    ],
)
def test_the_task_follows_from_the_labels_values(tmp_path: Path, values: list[float], task: str) -> None:
    _, model = draft(tmp_path, customers().assign(target=values), "target")
    assert model.task == task


def test_a_unique_column_with_the_name_of_a_key_is_the_key(tmp_path: Path) -> None:
    assert draft(tmp_path, customers(), "churn")[1].keys == ("customer_id",)


@pytest.mark.parametrize("name", ["paid", "humid", "c_id_x"])
def test_a_column_that_only_ends_like_a_key_is_none(tmp_path: Path, name: str) -> None:
    table = customers().drop(columns="customer_id").assign(**{name: range(ROWS)})
    text, model = draft(tmp_path, table, "churn")
    assert model.keys == ()
    assert "a row's position does" in text


def test_a_repeated_id_is_no_key(tmp_path: Path) -> None:
    table = customers()
    table.loc[1, "customer_id"] = "c0000"
    assert draft(tmp_path, table, "churn")[1].keys == ()


def test_columns_that_are_of_no_use_are_dropped_with_the_reason(tmp_path: Path) -> None:
    text, model = draft(tmp_path, customers().assign(empty=None), "churn")
    assert set(model.drop) == {"joined", "note", "country", "empty"}
    for reason in ("dates or times", "120 different words", "the same value everywhere", "no values"):
        assert reason in text


def test_missing_values_are_counted_and_missing_labels_allowed_for(tmp_path: Path) -> None:
    table = customers()
    table.loc[:20, "income"] = None
    table.loc[:29, "churn"] = None
    text, model = draft(tmp_path, table, "churn")
    assert "21 missing" in text
    assert model.checks.max_bad_rows == 0.5


def test_a_rare_class_is_measured_by_balanced_accuracy(tmp_path: Path) -> None:
    rare = ["fraud"] * 10 + ["fine"] * 110
    text, model = draft(tmp_path, customers().assign(kind=rare), "kind")
    assert (model.metric, model.gates.minimum) == ("balanced_accuracy", 0.55)
    assert "always answering fine has 0.5" in text


def test_a_class_with_one_row_is_split_at_random(tmp_path: Path) -> None:
    kinds = ["once"] + ["a", "b"] * 59 + ["a"]
    assert draft(tmp_path, customers().assign(kind=kinds), "kind")[1].split.method == "random"


def test_the_gate_asks_for_more_than_the_most_frequent_class(tmp_path: Path) -> None:
    _, model = draft(tmp_path, customers().assign(kind=["a"] * 72 + ["b"] * 48), "kind")
    assert model.gates.minimum == 0.64


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    customers().to_csv(tmp_path / "a.csv", index=False, sep=separator)
    model = spec.loads(inspect(tmp_path / "a.csv", "churn", output=tmp_path / "model.yaml"))
    assert model.sources[0].separator == separator


def test_parquet_is_looked_at_too(tmp_path: Path) -> None:
    assert draft(tmp_path, customers(), "churn", name="customers.parquet")[1].keys == ("customer_id",)


def test_numbers_with_a_decimal_comma_are_pointed_out(tmp_path: Path) -> None:
    table = customers().assign(weight=[f"{n},5" for n in range(ROWS)])
    text, model = draft(tmp_path, table, "churn")
    assert "weight" in model.drop
    assert "write them with a point" in text


def test_awkward_names_are_quoted(tmp_path: Path) -> None:
    names = {"age": "age: years", "city": "no", "member": "member?", "income": "in, come", "churn": "#churn [%]"}
    _, model = draft(tmp_path, customers().rename(columns=names), "#churn [%]", name="Kunden (März) 'n.csv")
    assert set(names.values()) <= set(model.checks.columns)
    assert model.name == "kunden-m-rz-n"


def test_the_source_is_named_as_seen_from_the_file(tmp_path: Path) -> None:
    customers().to_csv(tmp_path / "a.csv", index=False)
    text = inspect(tmp_path / "a.csv", "churn", output=tmp_path / "models" / "churn" / "model.yaml")
    assert spec.loads(text).sources[0].path == "../../a.csv"


def refuse(folder: Path, table: pd.DataFrame, label: str) -> str:
    table.to_csv(folder / "a.csv", index=False)
    with pytest.raises(InputError) as refused:
        inspect(folder / "a.csv", label)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        inspect(tmp_path / "nowhere.csv", "churn")


@pytest.mark.parametrize("content", ["", "a,b\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=r"empty|no rows"):
        inspect(tmp_path / "a.csv", "a")


def test_an_unknown_label_is_refused_with_what_it_may_have_meant(tmp_path: Path) -> None:
    assert "no column 'chrun' (did you mean 'churn'?); columns: customer_id" in refuse(tmp_path, customers(), "chrun")


def test_a_label_without_values_is_refused(tmp_path: Path) -> None:
    assert "has no value in any row" in refuse(tmp_path, customers().assign(churn=None), "churn")


def test_a_label_with_one_value_is_refused(tmp_path: Path) -> None:
    assert "has the same value in every row: 'DE'" in refuse(tmp_path, customers(), "country")


def test_a_label_that_is_different_in_every_row_is_refused(tmp_path: Path) -> None:
    assert "120 different values of type string in 120 rows" in refuse(tmp_path, customers(), "note")


def test_a_label_with_decimal_commas_is_refused(tmp_path: Path) -> None:
    table = customers().assign(price=[f"{n},5" for n in range(ROWS)])
    assert "decimal comma" in refuse(tmp_path, table, "price")


def test_a_table_with_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    table = customers()[["customer_id", "country", "churn"]]
    assert "no column is left to learn 'churn' from: country: the same value everywhere" in refuse(
        tmp_path, table, "churn"
    )
