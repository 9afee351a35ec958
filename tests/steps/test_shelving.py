"""Tables larger than memory: what is put into files and mapped back says the same as what stayed in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from turnout import spec as specs
from turnout.steps import featurize, keeping, shelving, snapshots, splitting
from turnout.steps.ingest import ingest

_SPEC = """
name: trips
sources:
  - {{name: trips, path: {folder}/trips}}
  - {{name: weather, path: {folder}/weather.parquet, on: [city], as_of: hour, prefix: w_}}
  - {{name: cities, path: {folder}/cities.csv, on: [city]}}
keys: [trip]
time: at
label: minutes
task: regression
drop: [comment]
checks: {{max_bad_rows: 0.1, columns: {{minutes: {{min: 0}}}}}}
split: {{method: time, test: 0.2, most_rows: 500}}
candidates: [{{name: line, estimator: sklearn.linear_model.Ridge}}]
"""


def tables(folder: Path, rows: int = 3000) -> specs.ModelSpec:
    """Trips in two part files, one of them with dictionaries, some with missing or bad values; and two lookups."""
    random = np.random.default_rng(3)
    hours = pd.date_range("2026-01-01", periods=400, freq="h", tz="UTC").as_unit("us")
    trips = pd.DataFrame(
        {
            "trip": random.permutation(rows),
            "at": hours[0] + pd.to_timedelta(random.integers(0, 400 * 3600, rows), "s"),
            "city": random.choice(["Aachen", "Bø", None], rows, p=[0.6, 0.3, 0.1]),
            "minutes": random.normal(30, 14, rows),
            "comment": [f"trip no {number}" for number in range(rows)],
        }
    )
    (folder / "trips").mkdir(parents=True)
    half = rows // 2
    pq.write_table(pa.Table.from_pandas(trips[:half], preserve_index=False), folder / "trips" / "a.parquet")
    trips["city"] = trips["city"].astype("category")
    pq.write_table(pa.Table.from_pandas(trips[half:], preserve_index=False), folder / "trips" / "b.parquet")
    weather = pd.DataFrame({"city": "Aachen", "hour": hours, "heat": random.normal(size=400)})
    weather.to_parquet(folder / "weather.parquet", index=False)
    (folder / "cities.csv").write_text("city,size\nAachen,3\nBø,1\n", encoding="utf-8")
    return specs.loads(_SPEC.format(folder=folder))


def made(spec: specs.ModelSpec, folder: Path) -> tuple[snapshots.Snapshot, dict[str, Any]]:
    """The snapshot, kept and fetched again, and the parts that a model learns from."""
    snapshot = ingest(spec, snapshot=folder / "snapshot", quarantined=folder / "bad.csv", now_us=2**51)
    url = (folder / "store").as_uri()
    keeping.keep(folder / "snapshot", snapshot, artifacts_url=url)
    keeping.fetch(snapshot.id, artifacts_url=url, to=folder / "fetched")
    parts = {name: folder / f"{name}.parquet" for name in ("train", "test")}
    featurize.featurize(spec, snapshot=folder / "fetched", **parts, profile=folder / "profile.json")
    return snapshot, {name: pq.read_table(file) for name, file in parts.items()}


def test_a_table_that_lies_in_files_gives_the_same_snapshot_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tables(tmp_path / "data")
    in_memory, parts = made(spec, tmp_path / "memory")
    monkeypatch.setattr(shelving, "LEAST_BYTES", 0)
    monkeypatch.setattr(shelving, "SLICE_ROWS", 97)
    in_files, same = made(spec, tmp_path / "files")
    assert in_files == in_memory
    assert in_files.quarantined > 0
    assert all(parts[name].equals(same[name]) for name in parts)
    assert (tmp_path / "files" / "profile.json").read_bytes() == (tmp_path / "memory" / "profile.json").read_bytes()


def test_a_large_file_of_words_is_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnout.steps import csvfiles

    file = tmp_path / "words.csv"
    file.write_text("id,word\n" + "".join(f'{n},"w{n}\nx"\n' for n in range(2000)) + "1\n", encoding="utf-8")
    whole = csvfiles.read(file, separator=",", where="words")
    monkeypatch.setattr(csvfiles, "_BLOCK_BYTES", 1000)
    blocks = csvfiles.read(file, separator=",", where="words")
    assert blocks.table.equals(whole.table)
    assert blocks.ragged == whole.ragged == ((4002, "1"),)


def test_a_mapped_column_has_no_file_and_holds_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    column = pa.chunked_array([pa.array(np.arange(2_000_000))])
    before = pa.total_allocated_bytes()
    mapped = shelving.shelved(column)
    assert mapped.equals(column)
    assert pa.total_allocated_bytes() - before < column.nbytes / 100
    assert list(tmp_path.iterdir()) == []


def test_bounded_parts_are_drawn_by_the_rows_keys(tmp_path: Path) -> None:
    _, parts = made(tables(tmp_path / "data"), tmp_path)
    assert {name: part.num_rows for name, part in parts.items()} == {"train": 500, "test": 500}
    assert parts["train"].column("at").to_pylist()[-1] is not None
    assert max(parts["train"].column("at").to_pylist()) < min(parts["test"].column("at").to_pylist())


def test_of_a_table_that_grew_nearly_the_same_rows_are_drawn() -> None:
    at = splitting.places(((number,) for number in range(1100)), seed=1)
    before = splitting.fewest(np.arange(1100) < 1000, at, most=200)
    after = splitting.fewest(np.ones(1100, dtype=bool), at, most=200)
    assert before.sum() == after.sum() == 200
    assert (before & after).sum() >= 160
