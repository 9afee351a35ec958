"""What a step costs besides its work, and what a day's snapshot does: `python -m bench.pipeline.cost [--rounds 9]`.

Figures in bench/out/pipeline.json. Chains of 2 and of 12 trivial steps; the difference over ten is what one step costs,
whatever starting costs. All ways take turns in every round, so that a busy machine is busy for all of them; peers,
which no bar is about, in the first rounds only. They are installed into environments of their own; one that cannot be
installed, or fails, is left out with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from bench.decision.rows import Row, exact, publish, write
from bench.decision.rows import median as measured
from bench.pipeline import daily
from bench.rows import OUT
from bench.serving import environments

SHORT, LONG, ROUNDS = 2, 12, 9
_PEER_ROUNDS, _MOST_S = 3, 300
_ROOT = Path(__file__).parents[2]
_OURS = ("turnout", "kfp_local", "bare")
# Prefect 3.8 calls FastAPI in a way that its later versions refuse.
_PEERS = {"metaflow": ("metaflow==2.19.39",), "prefect": ("prefect==3.8.8", "fastapi<0.140")}
_SAYS = {
    "turnout": "Turnout's run: kfp.local, watched, with records and logs",
    "kfp_local": "kfp.local 2.17, nothing installed",
    "kfp_default": "kfp.local 2.17 as it comes (a virtual environment for each step)",
    "bare": "the compiled commands by themselves: the least that a driver of our own would cost",
    "metaflow": "Metaflow 2.19 (a process for each step)",
    "prefect": "Prefect 3.8 (steps in one process, a temporary server that is up already)",
}


def pythons() -> Iterator[tuple[str, str]]:
    """The ways that can be taken here, each with its interpreter."""
    for way in _OURS:
        yield way, sys.executable
    for way, wanted in _PEERS.items():
        try:
            print(f"{way}: installing, and running once", flush=True)
            python = str(environments.made(way, wanted, home=OUT / "pipeline-work"))
            # Once to see that it runs, and for what it does at its first run only.
            seconds(way, python, steps=SHORT)
            yield way, python
        except RuntimeError as error:
            print(f"{way} is left out: {error}", file=sys.stderr)


def seconds(way: str, python: str, *, steps: int) -> float:
    """One run of a chain.

    Raises:
        RuntimeError: it failed, or came to no end; with its last words.
    """
    with TemporaryDirectory() as scratch:
        command = [python, "-m", "bench.pipeline.chains", way, str(steps), str(Path(scratch, "chain"))]
        quiet = {**os.environ, "PYTHONPATH": str(_ROOT)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=quiet, cwd=scratch, timeout=_MOST_S
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{way}: {steps} steps were not done after {_MOST_S} s") from error
    if done.returncode:
        raise RuntimeError(f"{way} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def per_step(way: str, python: str) -> tuple[float, float]:
    """Seconds of a step, and of everything else."""
    short, long = (seconds(way, python, steps=steps) for steps in (SHORT, LONG))
    step = (long - short) / (LONG - SHORT)
    return step, short - SHORT * step


def taken(ways: dict[str, str], *, rounds: int) -> Iterator[dict[str, list[tuple[float, float]]]]:
    """What was found after each round."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for way, python in list(ways.items()):
            if way not in _OURS and number >= _PEER_ROUNDS:
                continue
            try:
                found.setdefault(way, []).append(per_step(way, python))
            except RuntimeError as error:
                if way in _OURS:
                    raise
                print(f"{way} is left out from here on: {error}", file=sys.stderr)
                del ways[way]
                continue
            print(f"round {number + 1} of {rounds}: {way}, {found[way][-1][0]:.3f} s a step", flush=True)
        yield found


def table(found: dict[str, list[tuple[float, float]]]) -> list[Row]:
    """The bar, and what each way takes."""
    above = np.array([ours[0] - theirs[0] for ours, theirs in zip(found["turnout"], found["kfp_local"], strict=True)])
    rows = [measured("overhead", "seconds a step on top of kfp.local's own", above, 0.1)]
    for way, figures in found.items():
        if figures:
            steps, rest = (np.array(values) for values in zip(*figures, strict=True))
            note = f"and {median(rest):.2f} s for a run"
            rows.append(measured("step", _SAYS[way], steps, float("inf"), note=note, counted=False))
    return rows


def _default() -> list[Row]:
    """kfp.local as it comes, once: it takes some ten seconds a step, and a package index."""
    print("kfp.local as it comes, once", flush=True)
    try:
        took = seconds("kfp_default", sys.executable, steps=SHORT)
    except RuntimeError as error:
        print(f"kfp.local's default is left out: {error}", file=sys.stderr)
        return []
    return [exact("step", _SAYS["kfp_default"], took / SHORT, float("inf"), note=f"{SHORT} steps, once", counted=False)]


def _snapshots() -> list[Row]:
    """What ten days weigh when one percent of the rows changes each day, all of one time."""
    found = []
    for rows in (30_000, 150_000):
        ratio, one = daily.weigh("ours", rows)
        name, note = f"ten daily ones of {rows:,} rows over one", f"one: {one / 1e6:.2f} MB"
        found.append(exact("snapshots", name, ratio, 1.2, note=note))
    return found


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(prog="python -m bench.pipeline.cost", description=__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each way is taken (default {ROUNDS})")
    rounds = options.parse_args().rounds
    rows = snapshots = _snapshots()
    write(rows, name="pipeline")
    for found in taken(dict(pythons()), rounds=rounds):
        rows = [*table(found), *snapshots]
        write(rows, name="pipeline")
    return 0 if publish([*rows, *_default()], name="pipeline") else 1


if __name__ == "__main__":
    sys.exit(main())
