"""Seconds of the demo's phases and of every pipeline step. Run: `python -m bench.demo`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from bench import rows
from turnout import runs

_RUNS = 3


def main() -> int:
    """Run the demo several times in a folder of its own."""
    phases: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        for _ in range(_RUNS):
            command = [str(Path(sys.executable).parent / "turnout"), "demo"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            demo = Path(folder) / ".turnout" / "demo"
            for name, seconds in orjson.loads((demo / "result.json").read_bytes())["seconds"].items():
                phases.setdefault(name, []).append(seconds)
            for record in runs.list_runs(demo):
                for step in record.as_dict()["steps"]:
                    if step["seconds"] is not None:
                        steps.setdefault(step["name"], []).append(step["seconds"])
    limits = {"total": 75.0}
    found = [rows.measured(f"phase {n}", v, "s", at_most=limits.get(n)) for n, v in phases.items()]
    found += [rows.measured(f"step {n}", v, "s") for n, v in steps.items()]
    return 0 if rows.publish("demo", found) else 1


if __name__ == "__main__":
    sys.exit(main())
