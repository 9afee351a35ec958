"""Flights, doubled up to ten million rows, through the real steps: `python -m bench.scale [--rows 10000000]`.

Each step of each size runs in a process of its own, as in the pipeline; beside the two largest sizes plain pandas does
the same in one process. Figures in bench/out/scale.json. What is learned from is bounded at half a million rows
(`split.most_rows`); reading, checking, joining, naming and keeping are not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.decision.rows import Row, exact, publish, write
from bench.rows import OUT
from bench.scale import ROWS, flights
from bench.scale.steps import STEPS

WORK = OUT / "scale-work"
DOUBLINGS, MOST_ROWS = 3, 500_000
# Twice the rows may take so much longer: linear within 1.3.
_FACTOR, _PEAK_GB = 2 * 1.3, 4.0
# Training is bounded, so that all steps together grow by less than those that see every row.
_TIMED = {"all steps": tuple(STEPS), "ingest and featurize": ("ingest", "featurize")}


def run(*module: str, **environment: str) -> dict[str, float]:
    """What one process took.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    given = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-m", *module], capture_output=True, text=True, check=False, env=given)
    if done.returncode:
        raise RuntimeError(f"{' '.join(module)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def ours(folder: Path) -> dict[str, dict[str, float]]:
    """All steps on one size, one after the other."""
    found = {}
    for step in STEPS:
        # As the compiled pipeline has it for training; plain pandas takes all threads that there are.
        found[step] = run("bench.scale.steps", step, str(folder), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        print(step, {name: round(value, 2) for name, value in found[step].items()}, flush=True)
    return found


def plain(folder: Path) -> dict[str, float] | None:
    """Plain pandas on one size; nothing where it came to no end, for want of memory perhaps."""
    try:
        found = run("bench.scale.plain", str(folder), str(MOST_ROWS))
    except RuntimeError as error:
        print(error, flush=True)
        return None
    print("pandas", {name: round(value, 2) for name, value in found.items()}, flush=True)
    return found


def one_size(rows: int, *, with_pandas: bool) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
    """What the steps took on so many rows, and pandas."""
    folder = WORK / str(rows)
    shutil.rmtree(folder, ignore_errors=True)
    flights.grow(WORK / "tables", rows=rows, to=folder)
    (folder / "model.yaml").write_text(flights.SPEC.format(folder=folder, most_rows=MOST_ROWS), encoding="utf-8")
    try:
        print(f"{rows:,} rows", flush=True)
        found = ours(folder)
        peer = plain(folder) if with_pandas else None
    finally:
        shutil.rmtree(folder)
    return found, peer


def _rows(rows: int, took: dict[str, dict[str, float]], peer: dict[str, float] | None) -> list[Row]:
    found = []
    for step, figures in took.items():
        note = (
            f"{figures['seconds']:.1f} s, {figures['cpu_s']:.1f} s of processors; {figures['own_gb']:.2f} without files"
        )
        found.append(exact("memory", f"{step}, {rows:,} rows: peak GB", figures["peak_gb"], _PEAK_GB, note=note))
    if peer is not None:
        whole = sum(figures["seconds"] for figures in took.values())
        peak = max(figures["peak_gb"] for figures in took.values())
        note = (
            f"pandas: {peer['seconds']:.1f} s, peak {peer['peak_gb']:.2f} GB; the steps: {whole:.1f} s, {peak:.2f} GB"
        )
        name = f"{rows:,} rows: seconds of the steps over pandas'"
        found.append(exact("pandas", name, whole / peer["seconds"], 2.0, note=note, counted=False))
    return found


def _times(now: list[float], before: list[float] | None, *, rows: int) -> list[Row]:
    """What twice the rows cost."""
    found = []
    for name, more, less in zip(_TIMED, now, before or (), strict=before is not None):
        note = f"{more:.1f} s after {less:.1f} s"
        found.append(exact("time", f"{rows:,} rows over half of them: {name}", more / less, _FACTOR, note=note))
    return found


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    options.add_argument("--rows", type=int, default=ROWS, help="the largest size (default ten million)")
    options.add_argument(
        "--no-pandas", action="store_true", help="leave plain pandas out (else: at the two largest sizes)"
    )
    given = options.parse_args()
    flights.fetch(WORK / "tables")
    found: list[Row] = []
    before: list[float] | None = None
    for rows in [given.rows >> halvings for halvings in range(DOUBLINGS, -1, -1)]:
        try:
            # It takes as long as all steps: where it matters is at the end.
            took, peer = one_size(rows, with_pandas=not given.no_pandas and rows >= given.rows // 2)
        except RuntimeError as error:
            print(error, flush=True)
            found.append(exact("run", f"{rows:,} rows: failures", 1.0, 0.0, note=str(error)[:300]))
            before = None
        else:
            found += _rows(rows, took, peer)
            now = [sum(took[step]["seconds"] for step in steps) for steps in _TIMED.values()]
            found += _times(now, before, rows=rows)
            before = now
        write(found, name="scale")
    return 0 if publish(found, name="scale") else 1


if __name__ == "__main__":
    sys.exit(main())
