"""Which engine joins as of a time: the same files through DuckDB, Polars and Arrow, each in a process of its own.

    python -m bench.pipeline.joins [--rows 10000000] [--memory 1GB]

Two tables are written as Parquet: events (an id, a key out of 1,000, a time) and readings (key, time, three numbers),
a tenth as many. Each event gets the reading of its key that was the last at its time, and the result is written as
Parquet in the order of the ids. What is not installed is left out; docs/adr/0006 has what came out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

_KEYS, _SPAN_US = 1000, 365 * 86_400 * 1_000_000


def prepare(folder: Path, *, rows: int) -> None:
    """Both tables, events in the order of their ids and so in no order of time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)

    def keyed(count: int) -> dict[str, object]:
        at = pa.array(random.integers(0, _SPAN_US, count)).cast(pa.timestamp("us", tz="UTC"))
        return {"key": random.integers(0, _KEYS, count), "at": at}

    pq.write_table(pa.table({"id": np.arange(rows), **keyed(rows)}), folder / "events.parquet")
    count = rows // 10
    readings = {**keyed(count), **{name: random.normal(size=count) for name in ("heat", "rain", "wind")}}
    pq.write_table(pa.table(readings), folder / "readings.parquet")


def duckdb(folder: Path, memory: str) -> None:
    """ASOF JOIN, sorted; may spill beyond `memory`."""
    import duckdb as engine

    connection = engine.connect(config={"memory_limit": memory, "threads": 2, "temp_directory": str(folder / "spill")})
    connection.execute(f"""
        COPY (
            SELECT e.id, e.key, e.at, r.heat, r.rain, r.wind
            FROM '{folder}/events.parquet' e ASOF LEFT JOIN '{folder}/readings.parquet' r
            ON e.key = r.key AND e.at >= r.at ORDER BY e.id
        ) TO '{folder}/duckdb.parquet'
    """)  # noqa: S608 - our own folder


def polars(folder: Path, memory: str) -> None:
    """join_asof on lazy frames with the streaming engine; it takes no bound on its memory."""
    import polars as engine

    events = engine.scan_parquet(folder / "events.parquet").sort("at")
    readings = engine.scan_parquet(folder / "readings.parquet").sort("at")
    joined = events.join_asof(readings, on="at", by="key", strategy="backward").sort("id")
    joined.sink_parquet(folder / "polars.parquet")


def arrow(folder: Path, memory: str) -> None:
    """What pyarrow, which is there anyway, can do: Table.join_asof on sorted tables."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def sorted_table(name: str) -> pa.Table:
        table = pq.read_table(folder / f"{name}.parquet")
        table = table.set_column(table.column_names.index("at"), "at", pc.cast(table.column("at"), pa.int64()))
        return table.sort_by("at")

    events, readings = sorted_table("events"), sorted_table("readings")
    joined = events.join_asof(readings, on="at", by="key", tolerance=-_SPAN_US).sort_by("id")
    pq.write_table(joined, folder / "arrow.parquet")


ENGINES: dict[str, Callable[[Path, str], None]] = {"duckdb": duckdb, "polars": polars, "arrow": arrow}


def measure(name: str, folder: Path, *, memory: str) -> dict[str, object]:
    """Seconds and peak memory of one engine."""
    command = [sys.executable, "-m", "bench.pipeline.joins", "--one", name, "--folder", str(folder), "--memory", memory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"engine": name, "error": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return {"engine": name, **json.loads(done.stdout)}


def same(folder: Path, names: list[str]) -> bool:
    """Whether all of them found the same readings."""
    import pyarrow.parquet as pq

    found = [pq.read_table(folder / f"{name}.parquet", columns=["heat"]).column("heat") for name in names]
    return all(column.equals(found[0]) for column in found)


def main() -> None:
    """Entry point."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--memory", default="1GB", help="What DuckDB may take before it spills.")
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        began = time.perf_counter()
        ENGINES[given.one](given.folder, given.memory)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": round(time.perf_counter() - began, 2), "peak_gib": round(peak, 2)}))
        return
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, rows=given.rows)
        found = [measure(name, folder, memory=given.memory) for name in ENGINES if find_spec(name) or name == "arrow"]
        for row in found:
            print(row)
        print("equal:", same(folder, [str(row["engine"]) for row in found if "error" not in row]))


if __name__ == "__main__":
    main()
