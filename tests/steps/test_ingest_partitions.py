"""What a distributed engine wrote, as a source: part files, markers and folders that say columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.storage import objectstore
from turnout import spec as specs
from turnout.steps import snapshots
from turnout.steps.ingest import ingest

_SPEC = """
name: rides
sources: [{{name: rides, path: {path}}}]
keys: [ride]
label: minutes
task: regression
candidates: [{{name: line, estimator: sklearn.linear_model.Ridge}}]
"""


def written(folder: Path) -> Path:
    """As Spark's `df.write.partitionBy("day", "shop").parquet(...)` leaves it."""
    for number, (day, shop) in enumerate((("2026-11-20", "a%20b"), ("2026-11-21", "__HIVE_DEFAULT_PARTITION__"))):
        place = folder / f"day={day}" / f"shop={shop}"
        place.mkdir(parents=True)
        rows = pd.DataFrame({"ride": [2 * number, 2 * number + 1], "minutes": [4.5, 6.0]})
        table = pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(table, place / f"part-{number:05d}-c0ffee.c000.snappy.parquet", compression="snappy")
        (place / f".part-{number:05d}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-9.parquet").write_bytes(b"half of it")
    return folder


def taken(path: str, folder: Path) -> pd.DataFrame:
    """The snapshot's rows."""
    ingest(specs.loads(_SPEC.format(path=path)), snapshot=folder / "snapshot", quarantined=folder / "bad.csv")
    frame: pd.DataFrame = snapshots.read_table(folder / "snapshot").to_pandas()
    return frame


def test_folders_of_a_partitioned_table_are_columns(tmp_path: Path) -> None:
    rows = taken(str(written(tmp_path / "rides")), tmp_path)
    assert list(rows["ride"]) == [0, 1, 2, 3]
    assert [str(day.date()) for day in rows["day"]] == ["2026-11-20"] * 2 + ["2026-11-21"] * 2
    assert list(rows["shop"].where(rows["shop"].notna(), None)) == ["a b", "a b", None, None]


def test_a_pattern_over_partitions_says_them_too(tmp_path: Path) -> None:
    rows = taken(f"{written(tmp_path / 'rides')}/day=*/shop=*/*.parquet", tmp_path)
    assert rows["day"].nunique() == 2


def test_a_column_that_the_files_have_themselves_is_theirs(tmp_path: Path) -> None:
    place = tmp_path / "rides" / "shop=a"
    place.mkdir(parents=True)
    pd.DataFrame({"ride": [1, 2], "minutes": [1.0, 2.0], "shop": ["x", "y"]}).to_parquet(place / "part-0.parquet")
    assert list(taken(str(tmp_path / "rides"), tmp_path)["shop"]) == ["x", "y"]


def test_folders_of_an_object_store_are_columns_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = written(tmp_path / "rides")
    with objectstore.known_to(monkeypatch) as store:
        for file in here.rglob("*"):
            if file.is_file():
                store.objects[f"models/rides/{file.relative_to(here).as_posix()}"] = file.read_bytes()
        far = taken("s3://models/rides", tmp_path / "far")
    pd.testing.assert_frame_equal(far, taken(str(here), tmp_path / "near"))
