"""Tables that are looked up: by key, or as of the row's own time, and never out of its future."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.steps.tables import take
from turnout import spec
from turnout.errors import DataError
from turnout.spec import ModelSpec
from turnout.steps import snapshots

TRIPS = """\
id,station,start,minutes
1,a,2026-01-01T10:00Z,5
2,a,2026-01-01T12:00Z,6
3,b,2026-01-01T12:00Z,7
4,,2026-01-01T12:00Z,8
5,a,2026-01-01T09:00Z,9
"""
WEATHER = """\
place,hour,rain
a,2026-01-01T09:30Z,0.1
a,2026-01-01T11:30Z,0.2
a,2026-01-01T12:30Z,0.3
b,2026-01-01T12:00Z,0.4
"""


def looked_up(folder: Path, source: str, *, trips: str = TRIPS, weather: str = WEATHER, rest: str = "") -> ModelSpec:
    """Trips with a start, and a second source as it is written here."""
    (folder / "trips.csv").write_text(trips)
    (folder / "weather.csv").write_text(weather)
    return spec.loads(
        f"""
name: test
sources: [{{name: trips, path: trips.csv}}, {{name: weather, path: weather.csv, {source}}}]
keys: [id]
time: start
label: minutes
task: regression
candidates: [{{name: r, estimator: sklearn.linear_model.Ridge}}]
{rest}""",
        data_root=folder,
        deep=False,
    )


def rain(folder: Path, model: ModelSpec, *, column: str = "rain") -> list[float | None]:
    take(folder, model)
    return [row[column] for row in snapshots.read_table(folder / "snapshot").to_pylist()]


def test_a_row_gets_the_value_that_was_the_latest_at_its_time(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour")
    assert rain(tmp_path, model) == [0.1, 0.2, 0.4, None, None]
    columns = snapshots.read(tmp_path / "snapshot").columns
    assert list(columns) == ["id", "minutes", "rain", "start", "station"]


def test_what_becomes_known_later_reaches_a_row_later(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour, delay: 1h")
    assert rain(tmp_path, model) == [None, 0.1, None, None, None]


def test_what_is_too_old_is_missing(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour, max_age: 29m")
    assert rain(tmp_path, model) == [None, None, 0.4, None, None]


def test_a_source_without_a_key_is_looked_up_by_time_alone(tmp_path: Path) -> None:
    one_place = "hour,rain\n2026-01-01T09:30Z,0.1\n2026-01-01T11:30Z,0.2\n"
    model = looked_up(tmp_path, "as_of: hour, prefix: 'the '", weather=one_place)
    assert rain(tmp_path, model, column="the rain") == [0.1, 0.2, 0.2, 0.2, None]


def test_a_table_without_times_is_looked_up_by_key(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: [station], columns: [docks]", weather="station,docks,name\na,12,A\nb,15,B\n")
    assert rain(tmp_path, model, column="docks") == [12, 12, 15, None, 12]
    assert "name" not in snapshots.read(tmp_path / "snapshot").columns


def test_the_table_itself_gives_an_earlier_value_without_its_key(tmp_path: Path) -> None:
    source = "as_of: hour, columns: [rain], prefix: earlier_"
    model = looked_up(tmp_path, source, weather="id,hour,rain\n7,2026-01-01T07:00:00,1.5\n")
    take(tmp_path, model)
    columns = snapshots.read(tmp_path / "snapshot").columns
    assert "earlier_rain" in columns
    assert "earlier_id" not in columns


def test_a_looked_up_row_that_is_there_twice_is_set_aside(tmp_path: Path) -> None:
    model = looked_up(
        tmp_path, "on: [station]", weather="station,docks\na,12\na,13\nb,15\n", rest="checks: {max_bad_rows: 0.9}"
    )
    assert rain(tmp_path, model, column="docks") == [None, None, 15, None, None]
    assert "weather.csv,2,station=a,station,unique key,a" in (tmp_path / "bad.csv").read_text()


@given(
    trips=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=30),
    readings=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=30, unique=True),
    delay=st.integers(0, 10),
)
@settings(max_examples=12, deadline=None)
def test_no_row_ever_gets_a_value_out_of_its_future(
    tmp_path_factory: pytest.TempPathFactory,
    trips: list[tuple[int, int]],
    readings: list[tuple[int, int]],
    delay: int,
) -> None:
    """Against the definition, written as a loop: the latest of those with known time not after the row's."""
    folder = tmp_path_factory.mktemp("asof")
    origin = pd.Timestamp("2026-01-01", tz="UTC")
    rows = [(f"s{place}", origin + pd.Timedelta(minutes=minute), place + 1) for place, minute in trips]
    pd.DataFrame(rows, columns=["station", "start", "minutes"]).rename_axis("id").to_csv(folder / "trips.csv")
    seen = [(f"s{place}", origin + pd.Timedelta(minutes=minute), minute) for place, minute in readings]
    pd.DataFrame(seen, columns=["station", "at", "rain"]).to_csv(folder / "weather.csv", index=False)
    model = looked_up(
        folder,
        f"on: [station], as_of: at, delay: {delay}m",
        trips=(folder / "trips.csv").read_text(),
        weather=(folder / "weather.csv").read_text(),
    )
    wanted = []
    for place, minute in trips:
        known = [then for other, then in readings if other == place and then + delay <= minute]
        wanted.append(max(known) if known else None)
    assert rain(folder, model) == wanted


def test_files_that_are_appended_are_looked_up_for_like_the_table(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour")
    (tmp_path / "more.csv").write_text("id,station,start,minutes\n9,b,2026-01-01T13:00Z,4\n")
    more = model.sources[0].model_copy(update={"name": "more", "path": str(tmp_path / "more.csv"), "append": True})
    assert rain(tmp_path, model.model_copy(update={"sources": (*model.sources, more)}))[-1] == 0.4


WRONG = [
    ("on: [station]", "column station is missing; columns: place, hour, rain"),
    ("on: {station: place}, as_of: hours", r"column hours is missing \(did you mean 'hour'\?\)"),
    ("on: {state: place}", "source weather is looked up by state, and no other source has that column"),
    ("on: {id: place}", "(?s)4 of 4 rows are bad .*column id, rule type int: line 2"),
    ("on: {station: place}, as_of: rain", "column rain: times were wanted, found float"),
    ("on: {station: place}, columns: [hour, snow]", "column snow is missing"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_what_cannot_be_looked_up_is_named(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        take(tmp_path, looked_up(tmp_path, source, rest="checks: {max_bad_rows: 0.5}"))


def test_a_column_that_is_there_already_wants_a_prefix(tmp_path: Path) -> None:
    weather = "station,minutes\na,1\n"
    with pytest.raises(DataError, match="column minutes is in the table already; give it a prefix"):
        take(tmp_path, looked_up(tmp_path, "on: [station]", weather=weather))
    assert rain(
        tmp_path, looked_up(tmp_path, "on: [station], prefix: own_", weather=weather), column="own_minutes"
    ) == [
        1,
        1,
        None,
        None,
        1,
    ]


def test_rows_of_the_future_are_set_aside(tmp_path: Path) -> None:
    trips = f"{TRIPS}6,a,2200-01-01T09:00Z,9\n"
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour", trips=trips, rest="checks: {max_bad_rows: 0.2}")
    assert take(tmp_path, model).rows == 5
    assert "trips.csv,7,id=6,start,not in the future,2200-01-01 09:00:00+00:00" in (tmp_path / "bad.csv").read_text()


def test_a_table_that_is_not_fresh_stops_the_run(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour", rest="checks: {fresh: 2d}")
    with pytest.raises(
        DataError, match=r"the latest row is of 2026-01-01T12:00:00Z, .* ago; fresh wants one of the last 2d"
    ):
        take(tmp_path, model)


def test_more_rows_than_were_expected_stop_the_run(tmp_path: Path) -> None:
    model = looked_up(tmp_path, "on: {station: place}, as_of: hour", rest="checks: {max_rows: 4}")
    with pytest.raises(DataError, match=r"5 rows are there to learn from, no more than 4 were expected \(max_rows\)"):
        take(tmp_path, model)


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    trips = TRIPS.replace("2026-01-01T", "day 1 ")
    with pytest.raises(DataError, match="column start: times were wanted, found string; if they are times"):
        take(tmp_path, looked_up(tmp_path, "on: {station: place}, as_of: hour", trips=trips))
    numbers = looked_up(tmp_path, "on: {station: place}", trips=trips, weather="place,docks\na,1\n")
    with pytest.raises(
        DataError, match=r"column start says when a row was, and holds no times \(first: 'day 1 10:00Z'\)"
    ):
        take(tmp_path, numbers)


def test_a_table_as_large_as_memory_allows_keeps_its_rows_in_order(tmp_path: Path) -> None:
    """Rows neither get lost nor change places, whatever number of threads joins them."""
    random, rows = np.random.default_rng(0), 200_000
    table = pd.DataFrame({"id": random.permutation(rows), "station": random.integers(0, 50, rows), "minutes": 1})
    table.to_parquet(tmp_path / "trips.parquet")
    pd.DataFrame({"station": range(50), "docks": range(50)}).to_csv(tmp_path / "stations.csv", index=False)
    model = spec.loads(
        """
name: test
sources: [{name: trips, path: trips.parquet}, {name: stations, path: stations.csv, on: [station]}]
keys: [id]
label: minutes
task: regression
candidates: [{name: r, estimator: sklearn.linear_model.Ridge}]
""",
        data_root=tmp_path,
        deep=False,
    )
    take(tmp_path, model)
    made = snapshots.read_table(tmp_path / "snapshot")
    assert made.column("docks").to_pylist() == made.column("station").to_pylist()
    assert made.column("id").to_pylist() == list(range(rows))
