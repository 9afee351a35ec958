"""Snapshots in the artifact store: shared parts, what comes back, what is swept away, what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from tests.storage import objectstore
from turnout.cli.app import app
from turnout.errors import DataError, NotFound
from turnout.steps import differing, keeping, snapshots
from turnout.steps.keeping import Kept

DAY_US = 86_400_000_000


def orders(rows: int = 40_000, *, seed: int = 0) -> pd.DataFrame:
    """Rows of a year, their ids in no order of time."""
    random = np.random.default_rng(seed)
    at = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.sort(random.integers(0, 365 * 86_400, rows)), "s")
    return pd.DataFrame(
        {
            "id": random.permutation(rows),
            "at": at.as_unit("us"),
            "cost": random.normal(size=rows).round(3),
            "shop": random.choice(["a", "b", "c"], rows),
        }
    )


def kept(folder: Path, table: pd.DataFrame, name: str, *, url: str = "", now_us: int = 0) -> Kept:
    """The table as a snapshot of the store."""
    rows = pa.Table.from_pandas(table.sort_values("id"), preserve_index=False)
    place = folder / "local" / name
    made = snapshots.write(place, rows, keys=("id",), label="cost", sources=(), quarantined=0, time="at")
    return keeping.keep(place, made, artifacts_url=url or (folder / "store").as_uri(), now_us=now_us)


def weight(folder: Path) -> int:
    """Bytes of all that is stored."""
    return sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())


def changed(table: pd.DataFrame, day: int) -> pd.DataFrame:
    """One percent of the rows, those of one range of time, with other costs."""
    some = table.copy()
    first = len(table) * (7 * day + 3) // 100
    rows = slice(first, first + len(table) // 100)
    some.iloc[rows, some.columns.get_loc("cost")] += 1.0
    return some


def costs(folder: Path, rows: int) -> float:
    """What ten daily snapshots weigh, one percent changed each day, beside the first alone."""
    table = orders(rows)
    kept(folder, table, "day0")
    one = weight(folder)
    for day in range(1, 10):
        table = changed(table, day)
        kept(folder, table, f"day{day}")
    return weight(folder) / one


@pytest.mark.long
def test_ten_daily_snapshots_cost_little_more_than_one(tmp_path: Path) -> None:
    assert costs(tmp_path, 150_000) < 1.2


def test_ten_daily_snapshots_of_a_smaller_table_cost_little_more_than_one(tmp_path: Path) -> None:
    assert costs(tmp_path, 30_000) < 1.2


@pytest.mark.parametrize("reach", [1, 2, 80])
@pytest.mark.parametrize("rows", [1, 2, 80, 161, 1000])
def test_the_lowest_around_a_row_is_that_of_its_neighbours(reach: int, rows: int) -> None:
    values = np.random.default_rng(rows).integers(0, 2**63, rows).astype(np.uint64)
    wanted = [min(values[max(0, row - reach) : row + reach + 1]) for row in range(rows)]
    assert keeping._lowest_around(values, reach).tolist() == wanted


def test_borders_do_not_depend_on_how_many_rows_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = orders(5000)[["id"]]
    at_once = keeping._borders(keys)
    monkeypatch.setattr(keeping, "_BLOCK_ROWS", 70)
    assert keeping._borders(keys) == at_once


def test_a_table_in_parts_has_all_its_rows_once_and_no_part_is_short(tmp_path: Path) -> None:
    for rows in (1, 100, 5000):
        one = kept(tmp_path, orders(rows), f"of {rows}")
        pieces = [
            rows.num_rows
            for _, rows in keeping.cut(snapshots.read_table(tmp_path / "local" / f"of {rows}"), one.snapshot)
        ]
        assert sum(pieces) == rows
        assert min(pieces) > 80 or len(pieces) == 1


def test_rows_come_back_in_the_order_of_their_keys(tmp_path: Path) -> None:
    one = kept(tmp_path, orders(), "one")
    assert len(one.parts) > 20
    back = keeping.read(one, artifacts_url=(tmp_path / "store").as_uri())
    assert back.column("id").to_pylist() == list(range(40_000))
    assert f"sha256:{snapshots.digest(back)}" == one.snapshot.digest


def test_rows_that_are_inserted_leave_the_parts_elsewhere_as_they_were(tmp_path: Path) -> None:
    table = orders()
    more = table.iloc[1000:1100].assign(id=range(50_000, 50_100))
    one, two = kept(tmp_path, table, "one"), kept(tmp_path, pd.concat([table, more]), "two")
    assert len(set(one.parts) - set(two.parts)) <= 3


def test_the_same_snapshot_is_written_once(tmp_path: Path) -> None:
    first, again = (kept(tmp_path, orders(2000), name, now_us=now) for name, now in (("one", 1), ("two", 2)))
    assert again == first


def test_an_object_store_keeps_them_as_a_folder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with objectstore.known_to(monkeypatch):
        one = kept(tmp_path, orders(3000), "one", url="s3://models/artifacts")
        kept(tmp_path, changed(orders(3000), 1), "two", url="s3://models/artifacts")
        assert len(keeping.kept(artifacts_url="s3://models/artifacts")) == 2
        back = keeping.fetch(
            one.snapshot.id, digest=one.snapshot.digest, artifacts_url="s3://models/artifacts", to=tmp_path / "back"
        )
    assert back == one.snapshot
    assert snapshots.read_table(tmp_path / "back").num_rows == 3000


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Kept, Kept, str]:
    """A snapshot, and a later one with rows changed, added and removed, a column more, and another distribution."""
    table = orders(5000)
    later = changed(table, 2).query("id >= 3")
    more = table.iloc[:2].assign(id=[9000, 9001])
    later = pd.concat([later, more]).assign(
        note="new", shop=lambda rows: np.where(rows["id"] < 2000, "a", rows["shop"])
    )
    one, two = kept(tmp_path, table, "one", now_us=1), kept(tmp_path, later, "two", now_us=2)
    return one, two, (tmp_path / "store").as_uri()


def test_a_difference_names_rows_columns_and_distributions(pair: tuple[Kept, Kept, str]) -> None:
    found = differing.compare(pair[0], pair[1], artifacts_url=pair[2])
    assert (found.added, found.removed) == (2, 3)
    assert found.examples["added"] == ("id=9000", "id=9001")
    assert found.examples["removed"] == ("id=0", "id=1", "id=2")
    columns = {column.column: column for column in found.columns}
    assert columns["cost"].changed == 50
    assert (columns["note"].before, columns["note"].after) == ("", "string")
    assert columns["shop"].moved is not None
    assert columns["shop"].moved > 0.1
    assert "at" not in columns


def test_a_snapshot_does_not_differ_from_itself(pair: tuple[Kept, Kept, str]) -> None:
    found = differing.compare(pair[0], pair[0], artifacts_url=pair[2])
    assert (found.added, found.removed, found.changed, found.columns) == (0, 0, 0, ())


def test_rows_of_other_keys_cannot_be_compared(tmp_path: Path, pair: tuple[Kept, Kept, str]) -> None:
    table = pa.table({"name": ["a"], "cost": [1.0]})
    made = snapshots.write(tmp_path / "x", table, keys=("name",), label="cost", sources=(), quarantined=0)
    other = keeping.keep(tmp_path / "x", made, artifacts_url=pair[2])
    with pytest.raises(DataError, match=r"are identified by id, those of .* by name"):
        differing.compare(pair[0], other, artifacts_url=pair[2])


def test_stability_is_zero_without_a_change_and_large_after_one() -> None:
    random = np.random.default_rng(0)
    old, same, new = (pa.array(random.normal(mean, 1, 5000)) for mean in (0, 0, 1))
    assert differing.stability(old, same) == pytest.approx(0, abs=0.01)
    assert (differing.stability(old, new) or 0) > 0.25
    assert differing.stability(old, pa.array([None, None], pa.float64())) is None


Sweep = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def sweep(pair: tuple[Kept, Kept, str]) -> Sweep:
    def swept(*, in_use: tuple[str, ...] = (), older_us: int = 0, **more: Any) -> tuple[list[str], list[str]]:
        return keeping.sweep(artifacts_url=pair[2], in_use=frozenset(in_use), older_us=older_us, grace_us=0, **more)

    return swept


def test_what_is_used_or_young_stays(pair: tuple[Kept, Kept, str], sweep: Sweep) -> None:
    ids = tuple(one.snapshot.id for one in pair[:2])
    assert sweep(in_use=ids) == ([], [])
    assert sweep(older_us=10**18) == ([], [])
    assert len(keeping.kept(artifacts_url=pair[2])) == 2


def test_a_part_goes_only_when_it_was_found_unused_before(pair: tuple[Kept, Kept, str], sweep: Sweep) -> None:
    one, two, url = pair
    assert sweep(in_use=(two.snapshot.id,), is_dry=True)[0] == [one.snapshot.id]
    assert keeping.is_kept(one.snapshot.id, artifacts_url=url)
    gone, parts = sweep(in_use=(two.snapshot.id,))
    assert (gone, parts) == ([one.snapshot.id], [])
    _, parts = sweep(in_use=(two.snapshot.id,))
    own = set(one.parts) - set(two.parts)
    assert set(parts) == own
    keeping.read(two, artifacts_url=url)


def test_a_part_that_is_used_again_stays(tmp_path: Path, pair: tuple[Kept, Kept, str], sweep: Sweep) -> None:
    one, two, url = pair
    sweep(in_use=(two.snapshot.id,))
    again = kept(tmp_path, orders(5000), "again", now_us=3)
    assert sweep(in_use=(two.snapshot.id, one.snapshot.id)) == ([], [])
    assert keeping.read(again, artifacts_url=url).num_rows == 5000


def call(url: str, *words: str) -> Any:
    return CliRunner(env={"TURNOUT_ARTIFACTS_URL": url}).invoke(app, ["data", *words])


def test_the_commands_say_what_there_is(tmp_path: Path, pair: tuple[Kept, Kept, str]) -> None:
    one, two, url = pair
    listed = json.loads(call(url, "ls", "--json").output)
    assert [row["snapshot"] for row in listed] == [two.snapshot.id, one.snapshot.id]
    assert "5000 rows, 0 set aside" in call(url, "show", one.snapshot.id).output
    assert json.loads(call(url, "show", one.snapshot.id, "--json").output)["profile"]["cost"]["type"] == "float"
    assert "id=9000" in call(url, "diff", one.snapshot.id, two.snapshot.id).output
    assert json.loads(call(url, "diff", one.snapshot.id, two.snapshot.id, "--json").output)["removed"] == 3
    done = call(url, "gc", "--older", "0s", "--dry-run")
    assert done.output.startswith("would go: 2 snapshots")
    assert json.loads(call(url, "gc", "--json").output)["removed"] is True


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_snapshot_is_exported_as_people_keep_tables(tmp_path: Path, pair: tuple[Kept, Kept, str], name: str) -> None:
    assert call(pair[2], "export", pair[0].snapshot.id, str(tmp_path / name)).exit_code == 0
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    assert read(tmp_path / name)["id"].tolist() == list(range(5000))
    again = call(pair[2], "export", pair[0].snapshot.id, str(tmp_path / name))
    assert (again.exit_code, "exists already" in str(again.exception)) == (1, True) or again.exit_code == 2


def test_what_is_not_there_is_named(pair: tuple[Kept, Kept, str]) -> None:
    with pytest.raises(NotFound, match="snapshot snap-0 is not in the artifact store"):
        keeping.find("snap-0", artifacts_url=pair[2])
    assert call(pair[2], "show", "snap-0").exit_code == 1
    assert call(pair[2], "export", pair[0].snapshot.id, "rows.xls").exit_code == 2
    assert call(pair[2], "gc", "--older", "soon").exit_code == 2
