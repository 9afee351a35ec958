"""Sources that add rows: files of more rows, and labelled predictions out of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.steps.ledgers import NOON, NoLedger, books, columns, record
from turnout import spec as specs
from turnout.errors import DataError, Unavailable
from turnout.spec import ModelSpec
from turnout.steps import snapshots
from turnout.steps.featurize import featurize
from turnout.steps.ingest import ingest
from turnout.steps.logged import Books

TABLE = "id,size,kind\n1,1,0\n2,2,1\n3,3,0\n"
LEDGER = "{name: feedback, path: 'ledger://digits'}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path


def _spec(folder: Path, *more: str, keys: str = "[id]", rest: str = "", first: bool = True) -> ModelSpec:
    sources = ["{name: table, path: table.csv}"] * first + list(more)
    text = f"name: digits\nsources: [{', '.join(sources)}]\nkeys: {keys}\nlabel: kind\ntask: classification\n"
    candidate = "candidates: [{name: bayes, estimator: sklearn.naive_bayes.GaussianNB}]\n"
    return specs.loads(text + candidate + rest, data_root=folder)


def _rows(folder: Path, spec: ModelSpec, kept: Books | None = None) -> list[dict[str, Any]]:
    opened: Callable[[], Books] | None = None if kept is None else (lambda: kept)
    ingest(spec, snapshot=folder / "snapshot", quarantined=folder / "bad.csv", books=opened)
    rows: list[dict[str, Any]] = snapshots.read_table(folder / "snapshot").to_pylist()
    return rows


def test_labelled_predictions_are_more_rows_of_the_same_table(table: Path) -> None:
    kept = books(table, record("p1", [2.5], label=1), record("p2", [3.0], label=0), record("p3", [9.0]))
    rows = _rows(table, _spec(table, LEDGER), kept)
    assert [(row["id"], row["_prediction"], row["size"], row["kind"]) for row in rows] == [
        (1, None, 1.0, 0),
        (2, None, 2.0, 1),
        (3, None, 3.0, 0),
        (None, "p1", 2.5, 1),
        (None, "p2", 3.0, 0),
    ]


def test_whole_numbers_stay_whole_when_all_of_them_are(table: Path) -> None:
    rows = _rows(table, _spec(table, LEDGER), books(table, record("p1", [7.0], label=1)))
    assert [row["size"] for row in rows] == [1, 2, 3, 7]
    assert snapshots.read(table / "snapshot").columns == {
        "id": "int",
        "_prediction": "string",
        "size": "int",
        "kind": "int",
    }


def test_a_batch_is_one_row_each(table: Path) -> None:
    kept = books(table, record("p1", [1.5, 2.5], label=[0, 1], answers=[1, 1]))
    rows = _rows(table, _spec(table, LEDGER), kept)
    assert [(row["_prediction"], row["size"], row["kind"]) for row in rows[3:]] == [("p1/0", 1.5, 0), ("p1/1", 2.5, 1)]


def test_the_snapshot_says_which_predictions_it_took(table: Path) -> None:
    kept = books(table, record("p1", [1.5], label=0))
    _rows(table, _spec(table, "{name: feedback, path: 'ledger://digits', since: '2025-11-21T00:00Z'}"), kept)
    source = snapshots.read(table / "snapshot").sources[1]
    assert (source.name, source.rows, len(source.sha256)) == ("feedback", 1, 64)
    assert source.path.startswith("ledger://digits?since=2025-11-21T00:00Z&read=20")


def test_the_same_rows_are_the_same_snapshot_whenever_they_are_read(table: Path) -> None:
    spec, kept = _spec(table, LEDGER), books(table, record("p1", [1.5], label=0), record("p2", [2.5], label=1))
    _rows(table, spec, kept)
    first = snapshots.read(table / "snapshot")
    _rows(table, spec, Books(type(kept.ledger)(*reversed(kept.ledger.records), page=1), kept.artifacts_url))  # type: ignore[attr-defined,call-arg]
    assert snapshots.read(table / "snapshot").id == first.id
    _rows(table, spec, books(table, record("p1", [1.5], label=1), record("p2", [2.5], label=1)))
    assert snapshots.read(table / "snapshot").id != first.id


def test_mirrored_copies_scores_and_other_endpoints_are_no_rows(table: Path) -> None:
    kept = books(
        table,
        record("mirrored", [1.5], label=0, shadow=True),
        record("scored", [1.5], labelled=True),
        record("other", [1.5], label=0, endpoint="wine"),
        record("elsewhere", [1.5], label=0, namespace="shop"),
    )
    assert len(_rows(table, _spec(table, LEDGER), kept)) == 3


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ("since: '2025-11-21T10:00:01Z'", ["p2", "p3"]),
        ("until: '2025-11-21T11:00:01+01:00'", ["p1"]),
        ("versions: [digits-v2]", ["p3"]),
        ("versions: [digits-v1, digits-v2]", ["p1", "p2", "p3"]),
    ],
)
def test_times_and_versions_choose_predictions(table: Path, options: str, taken: list[str]) -> None:
    kept = books(
        table,
        record("p1", [1.5], label=0),
        record("p2", [1.5], label=0, time_us=NOON + 1_000_000),
        record("p3", [1.5], label=0, time_us=NOON + 2_000_000, version="digits-v2"),
        versions=(1, 2),
    )
    rows = _rows(table, _spec(table, f"{{name: feedback, path: 'ledger://digits', {options}}}"), kept)
    assert [row["_prediction"] for row in rows[3:]] == taken


def test_words_and_gaps_come_back_as_they_were_asked(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("id,size,colour,flag,kind\n1,1.5,red,true,yes\n2,,blue,false,no\n")
    inputs = columns(tmp_path, colour=("BYTES", ["red", ""]), flag=("FP32", [1.0, 0.0]), size=("FP32", [None, 4.5]))
    kept = books(tmp_path, record("p1", [], label=["no", "yes"], answers=[0, 0], inputs=inputs), versions=())
    rows = _rows(tmp_path, _spec(tmp_path, LEDGER), kept)
    assert [(row["colour"], row["flag"], row["size"], row["kind"]) for row in rows[2:]] == [
        ("red", True, None, "no"),
        (None, False, 4.5, "yes"),
    ]


def test_a_label_that_is_none_of_the_column_s_kind_is_set_aside(table: Path) -> None:
    kept = books(table, record("p1", [1.5], label="cat"), record("p2", [2.5], label="1"))
    rows = _rows(table, _spec(table, LEDGER, rest="checks: {max_bad_rows: 0.5}\n"), kept)
    assert [row["_prediction"] for row in rows[3:]] == ["p2"]
    assert "_prediction=p1,kind,type int,cat" in (table / "bad.csv").read_text()


def test_too_many_bad_predictions_stop_the_run_and_are_named(table: Path) -> None:
    kept = books(table, record("p1", [1.5], label="cat"), record("p2", [2.5], label="1"))
    with pytest.raises(DataError, match=r"source feedback: 1 of 2 rows are bad .*\n.*column kind, rule type int: .*p1"):
        _rows(table, _spec(table, LEDGER), kept)


def test_a_ledger_without_labels_adds_nothing_and_that_is_kept(table: Path) -> None:
    rows = _rows(table, _spec(table, LEDGER), books(table, record("p1", [1.5])))
    assert [row["_prediction"] for row in rows] == [None, None, None]
    assert snapshots.read(table / "snapshot").sources[1].rows == 0


def test_the_ledger_alone_can_be_learned_from(tmp_path: Path) -> None:
    spec = _spec(tmp_path, LEDGER, keys="[]", first=False)
    kept = books(tmp_path, *(record(f"p{at}", [at / 2], label=at % 2) for at in range(40)))
    rows = _rows(tmp_path, spec, kept)
    assert len(rows) == 40
    made = {name: tmp_path / name for name in ("train", "test", "profile")}
    parts = featurize(spec, snapshot=tmp_path / "snapshot", **made)
    assert parts.train + parts.test == 40


def test_a_ledger_alone_without_labels_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no labelled predictions yet to learn from in ledger://digits"):
        _rows(tmp_path, _spec(tmp_path, LEDGER, first=False), books(tmp_path))


def test_a_version_without_a_manifest_is_named(table: Path) -> None:
    kept = books(table, record("p1", [1.5], label=0, version="digits-v9"))
    with pytest.raises(DataError, match=r"what digits-v9 was asked cannot be read.*models/digits/v9/model\.json"):
        _rows(table, _spec(table, LEDGER), kept)


def test_inputs_that_are_not_the_manifest_s_are_named(table: Path) -> None:
    kept = books(table, record("p1", [1.5, 2.5, 3.5], label=0), features=("size", "width"))
    with pytest.raises(DataError, match=r"prediction p1: its inputs are not those of digits-v1's manifest"):
        _rows(table, _spec(table, LEDGER), kept)


def test_a_column_that_may_never_be_missing_must_have_been_asked(table: Path) -> None:
    kept = books(table, record("p1", [1.5], label=0), features=("width",))
    with pytest.raises(DataError, match=r"source feedback: column size may never be missing, and none of its rows"):
        _rows(table, _spec(table, LEDGER, rest="checks: {columns: {size: {nullable: false}}}\n"), kept)
    assert _rows(table, _spec(table, LEDGER), kept)[3]["size"] is None


def test_a_ledger_that_is_away_stops_the_run(table: Path) -> None:
    with pytest.raises(Unavailable, match="no ledger answers"):
        _rows(table, _spec(table, LEDGER), Books(NoLedger(), ""))
    with pytest.raises(Unavailable, match=r"source feedback \(ledger://digits\): no ledger is known here"):
        _rows(table, _spec(table, LEDGER))


def test_a_file_may_add_rows_too(table: Path) -> None:
    (table / "more.csv").write_text("id,kind,size\n4,1,0.5\n")
    rows = _rows(table, _spec(table, "{name: more, path: more.csv, append: true}"))
    assert [(row["id"], row["size"]) for row in rows] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 0.5)]


def test_rows_without_keys_are_counted_on(table: Path) -> None:
    (table / "more.csv").write_text("id,kind,size\n4,1,5\n")
    rows = _rows(table, _spec(table, "{name: more, path: more.csv, append: true}", LEDGER, keys="[]"), books(table))
    assert [row["_row"] for row in rows] == [0, 1, 2, 3]


def test_an_appended_key_that_is_there_already_is_refused(table: Path) -> None:
    (table / "more.csv").write_text("id,kind,size\n3,1,5\n")
    with pytest.raises(DataError, match=r"1 keys are in the table and again in what is appended to it, the first id=3"):
        _rows(table, _spec(table, "{name: more, path: more.csv, append: true}"))


def test_appended_columns_of_another_kind_are_refused(table: Path) -> None:
    (table / "more.csv").write_text("id,kind,size\n4,1,large\n")
    with pytest.raises(DataError, match=r"column size is of different kinds \(int, string\)"):
        _rows(table, _spec(table, "{name: more, path: more.csv, append: true}"))


def test_a_column_with_the_name_of_the_made_key_is_refused(table: Path) -> None:
    (table / "table.csv").write_text("id,_prediction,size,kind\n1,x,1,0\n")
    with pytest.raises(DataError, match=r"source table: column _prediction has the name of the key that is made"):
        _rows(table, _spec(table, LEDGER), books(table))
