"""What a step costs besides its work: `python -m bench.pipeline [--rounds 5]`; figures in bench/out/pipeline.json.

Chains of 2 and of 12 trivial steps; the difference over ten is what one step costs, whatever starting costs. All ways
take turns in every round, so that a busy machine is busy for all of them. Peers are installed into environments of
their own; one that cannot be installed is left out with the reason.
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

from bench.decision.rows import Row, exact, publish
from bench.decision.rows import median as measured
from bench.rows import OUT
from bench.serving import environments

SHORT, LONG = 2, 12
_ROOT = Path(__file__).parents[2]
# Prefect 3.8 calls FastAPI in a way that its later versions refuse.
_PEERS = {"metaflow": ("metaflow==2.19.39",), "prefect": ("prefect==3.8.8", "fastapi<0.140")}
_SAYS = {
    "turnout": "Turnout's run: kfp.local, watched, with records and logs",
    "kfp_local": "kfp.local 2.17, nothing installed",
    "kfp_default": "kfp.local 2.17 as it comes (a virtual environment for each step)",
    "bare": "the compiled commands by themselves: the least that a driver of our own would cost",
    "metaflow": "Metaflow 2.19 (a process for each step)",
    "prefect": "Prefect 3.8 (steps in one process, a temporary server)",
}


def pythons() -> Iterator[tuple[str, str]]:
    """The ways that can be taken here, each with its interpreter."""
    for way in ("turnout", "kfp_local", "bare"):
        yield way, sys.executable
    for way, wanted in _PEERS.items():
        try:
            python = str(environments.made(way, wanted, home=OUT / "pipeline-work"))
            # Once to see that it runs, and for what it does at its first run only.
            seconds(way, python, steps=SHORT)
            yield way, python
        except RuntimeError as error:
            print(f"{way} is left out: {error}", file=sys.stderr)


def seconds(way: str, python: str, *, steps: int) -> float:
    """One run of a chain."""
    with TemporaryDirectory() as scratch:
        command = [python, "-m", "bench.pipeline.chains", way, str(steps), str(Path(scratch, "chain"))]
        quiet = {**os.environ, "PYTHONPATH": str(_ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet, cwd=scratch)
    if done.returncode:
        raise RuntimeError(f"{way} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def per_step(way: str, python: str, *, rounds: int) -> Iterator[tuple[float, float]]:
    """For each round: seconds of a step, and of everything else."""
    for _ in range(rounds):
        short, long = (seconds(way, python, steps=steps) for steps in (SHORT, LONG))
        step = (long - short) / (LONG - SHORT)
        yield step, short - SHORT * step


def _default() -> list[Row]:
    """kfp.local as it comes, once: it takes some ten seconds a step, and a package index."""
    try:
        took = seconds("kfp_default", sys.executable, steps=SHORT)
    except RuntimeError as error:
        print(f"kfp.local's default is left out: {error}", file=sys.stderr)
        return []
    return [exact("step", _SAYS["kfp_default"], took / SHORT, float("inf"), note=f"{SHORT} steps, once", counted=False)]


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="how often each way is taken (default 5)")
    rounds = options.parse_args().rounds
    ways, found = dict(pythons()), {}
    taking = {way: per_step(way, python, rounds=rounds) for way, python in ways.items()}
    for _ in range(rounds):
        for way, one in taking.items():
            found.setdefault(way, []).append(next(one))
    above = np.array([ours[0] - theirs[0] for ours, theirs in zip(found["turnout"], found["kfp_local"], strict=True)])
    rows = [measured("overhead", "seconds a step on top of kfp.local's own", above, 0.1)]
    for way, figures in found.items():
        steps, rest = (np.array(values) for values in zip(*figures, strict=True))
        note = f"and {median(rest):.2f} s for a run"
        rows.append(measured("step", _SAYS[way], steps, float("inf"), note=note, counted=False))
    return 0 if publish([*rows, *_default()], name="pipeline") else 1


if __name__ == "__main__":
    sys.exit(main())
