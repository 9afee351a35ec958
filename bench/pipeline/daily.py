"""What ten daily snapshots weigh, each with 1 % of the rows, one range of time, changed: ours and table formats'.

    python -m bench.pipeline.daily [--rows 150000]

Prints the bytes of ten over those of the first one. The formats are given what helps them: each day only the changed
rows are merged by their key. docs/adr/0011 has what came out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

DAYS = 10
_PEERS = {"delta": ("deltalake==1.6.6", "pyarrow", "numpy"), "lance": ("pylance==14.0.2", "pyarrow", "numpy")}


def days(rows: int) -> Iterator[tuple[Any, Any]]:
    """Each day the whole table, and of it the rows that changed."""
    random = np.random.default_rng(0)
    at = np.sort(random.integers(0, 365 * 86_400, rows)) * 1_000_000
    table = pa.table(
        {
            "id": random.permutation(rows),
            "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
            "cost": random.normal(size=rows).round(3),
            "shop": random.choice(["a", "b", "c"], rows),
        }
    )
    yield table, table
    for day in range(1, DAYS):
        cost, first = table.column("cost").to_numpy().copy(), rows * (7 * day + 3) // 100
        cost[first : first + rows // 100] += 1.0
        table = table.set_column(2, "cost", pa.array(cost))
        yield table, table.slice(first, rows // 100)


def ours(folder: Path) -> Callable[[Any, Any], None]:
    """Parts named by their content."""
    from turnout.steps import keeping, snapshots

    def keep(table: Any, _changed: Any) -> None:
        place = folder.with_name("local")
        made = snapshots.write(
            place, table.sort_by("id"), keys=("id",), label="cost", sources=(), quarantined=0, time="at"
        )
        keeping.keep(place, made, artifacts_url=folder.as_uri())

    return keep


def delta(folder: Path) -> Callable[[Any, Any], None]:
    """Delta Lake by delta-rs."""
    from deltalake import DeltaTable, write_deltalake

    def keep(table: Any, changed: Any) -> None:
        if table is changed:
            write_deltalake(str(folder), table)
            return
        merge = DeltaTable(str(folder)).merge(changed, "t.id = s.id", source_alias="s", target_alias="t")
        merge.when_matched_update_all().execute()

    return keep


def lance(folder: Path) -> Callable[[Any, Any], None]:
    """Lance."""
    import lance as engine

    def keep(table: Any, changed: Any) -> None:
        if table is changed:
            engine.write_dataset(table, str(folder))
            return
        engine.dataset(str(folder)).merge_insert("id").when_matched_update_all().execute(changed)

    return keep


WAYS: dict[str, Callable[[Path], Callable[[Any, Any], None]]] = {"ours": ours, "delta": delta, "lance": lance}


def weigh(way: str, rows: int) -> tuple[float, int]:
    """Bytes of ten over bytes of one, and bytes of one."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "store")
        keep, weights = WAYS[way](folder), []
        for table, changed in days(rows):
            keep(table, changed)
            weights.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    return weights[-1] / weights[0], weights[0]


def _say(way: str, rows: int) -> None:
    ratio, one = weigh(way, rows)
    print(f"{way}: {ratio:.2f} of one ({one:,} bytes)", flush=True)


def main() -> None:
    """Entry point."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=150_000)
    options.add_argument("--one", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        _say(given.one, given.rows)
        return
    from bench.rows import OUT
    from bench.serving import environments

    _say("ours", given.rows)
    for way, wanted in _PEERS.items():
        python = str(environments.made(way, wanted, home=OUT / "pipeline-work"))
        command = [python, "-m", "bench.pipeline.daily", "--one", way, "--rows", str(given.rows)]
        subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})


if __name__ == "__main__":
    sys.exit(main())
