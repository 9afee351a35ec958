"""What the examples make of their packages' files: on a few rows in the packages' own form, through the real ingest."""

from __future__ import annotations

import io
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.examples.readmes import ROOT
from tests.steps.tables import take
from turnout import spec as specs
from turnout.steps import snapshots

EXAMPLES = ROOT / "examples"
FLIGHT = {"minute": 0, "tailnum": "N1", "origin": "JFK", "dest": "MIA", "carrier": "AA", "distance": 1089}


def prepared(name: str) -> dict[str, Any]:
    """What is defined in an example's prepare.py."""
    return runpy.run_path(str(EXAMPLES / name / "prepare.py"))


def instances(name: str, folder: Path) -> list[dict[str, Any]]:
    """The rows that the example's model.yaml makes of `folder/data`, however few they are."""
    model = specs.load(EXAMPLES / name / "model.yaml", data_root=folder)
    few = model.model_copy(update={"checks": model.checks.model_copy(update={"min_rows": 1})})
    take(folder, few)
    rows: list[dict[str, Any]] = snapshots.read_table(folder / "snapshot").to_pylist()
    return rows


def hours(days: int) -> io.BytesIO:
    """A table of bike rentals as its package has it: day by day, the hour as `3pm`."""
    rows = [
        {
            "dteday": str(pd.Timestamp("2012-03-01") + pd.Timedelta(days=day))[:10],
            "season": "spring",
            "hr": f"{hour % 12 or 12}{'am' if hour < 12 else 'pm'}",
            "holiday": "No",
            "weekday": None,
            "workingday": "Yes",
            "weathersit": None,
            "temp": 8.0,
            "atemp": 7.0,
            "hum": 50.0,
            "windspeed": 9.0,
            "casual": 1,
            "registered": day * 24 + hour,
            "cnt": day * 24 + hour + 1,
        }
        for day in range(days)
        for hour in range(24)
    ]
    return io.BytesIO(pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(index=False).encode())


def test_an_hour_knows_what_was_rented_a_week_before_and_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    prepared("bikes")["table"](hours(9)).to_csv(tmp_path / "data" / "rentals.csv", index=False)
    rows = instances("bikes", tmp_path)
    assert len(rows) == 9 * 24
    assert [row["last_week_rentals"] for row in rows[: 7 * 24]] == [None] * (7 * 24)
    assert all(row["last_week_rentals"] == row["rentals"] - 7 * 24 for row in rows[7 * 24 :])
    assert not {"casual", "registered", "last_week_id"} & set(rows[0])


def raw_flights(flights: Mapping[str, tuple[float, float, float]]) -> pd.DataFrame:
    """Flights of one plane as their package has them: by planned hour, minutes late at both ends and in the air."""
    return pd.DataFrame(
        [
            {**FLIGHT, "time_hour": f"2013-01-01T{hour}:00:00Z", "dep_delay": left, "arr_delay": came, "air_time": air}
            for hour, (left, came, air) in flights.items()
        ]
    )


def test_a_flight_knows_how_its_plane_landed_before_once_that_is_known(tmp_path: Path) -> None:
    raw = raw_flights(
        {"06": (0.0, 40.0, 60.0), "07": (30.0, 5.0, 60.0), "10": (0.0, 20.0, 60.0), "12": (5.0, 1.0, 60.0)}
    )
    made = prepared("flights")["tables"](pd.concat([raw, raw.tail(1).assign(arr_delay=float("nan"))]))
    known = {
        "weather": {
            "origin": ["JFK"],
            "time_hour": [pd.Timestamp("2013-01-01T09:45Z")],
            "temp": [39.0],
            "wind_speed": [1.0],
        }
        | {"precip": [0.0], "pressure": [1012.0], "visib": [10.0]},
        "planes": {"tailnum": ["N1"], "year": [2004], "seats": [55], "speed": [None]},
        "airports": {"faa": ["MIA"], "lat": [25.8], "lon": [-80.3], "name": ["Miami"]},
    }
    (tmp_path / "data").mkdir()
    for name, table in {**made, **{name: pd.DataFrame(rows) for name, rows in known.items()}}.items():
        table.to_parquet(tmp_path / "data" / f"{name}.parquet", index=False)
    rows = instances("flights", tmp_path)
    # The first lands at 7:00, which is known at 8:00; the second departs at 7:30 and lands at 8:30, known at 9:30.
    assert [row["previous_arr_delay"] for row in rows] == [None, None, 5.0, 20.0]
    assert [row["late"] for row in rows] == [1, 0, 1, 0]
    # Weather of 9:45 is read at 10:15.
    assert [row["weather_temp"] for row in rows] == [None, None, None, 39.0]
    assert (rows[0]["plane_seats"], rows[0]["dest_lat"]) == (55, 25.8)
    assert not {"arr_delay", "air_time", "landed"} & set(rows[0])


def test_reviews_are_explored_before_a_kind_of_model_is_chosen(tmp_path: Path) -> None:
    example = prepared("text")
    found = example["table"]("1\t2.5\tA  warm film.\n2\t-1.0\tDull and far too long.\n3\t0.2\tFine.\n")
    assert found["opinion"].tolist() == ["positive", "negative", "positive"]
    said = example["explore"](found)
    assert said.startswith("3 reviews (66.7% positive, 33.3% negative), 3 words in the typical one\n1 reviews for each")
    many = pd.concat([found] * 2000, ignore_index=True).assign(id=range(6000))
    assert example["explore"](many).endswith("words in their order")
    (tmp_path / "data").mkdir()
    many.to_csv(tmp_path / "data" / "reviews.csv", index=False)
    assert instances("text", tmp_path)[0]["review"] == "A warm film."


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_model_yaml_of_the_examples_is_right(file: Path) -> None:
    specs.load(file)
