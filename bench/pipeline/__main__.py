"""All that is measured of the training pipeline: `python -m bench.pipeline [--share 1] [gate] [cost] [scale]`.

Each part is a process of its own and writes its figures as soon as it has them (bench/out/gate.json, pipeline.json,
scale.json): one that fails, or is stopped, takes nothing from the others. A share below 1 takes fewer repetitions and
fewer rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from bench.pipeline.cost import ROUNDS
from bench.scale import ROWS

PARTS: dict[str, Callable[[float], Sequence[str]]] = {
    "gate": lambda share: ("bench.gate", "--scale", str(share)),
    "cost": lambda share: ("bench.pipeline.cost", "--rounds", str(max(2, round(ROUNDS * share)))),
    "scale": lambda share: ("bench.scale", "--rows", str(max(100_000, round(ROWS * share)))),
}


def main() -> int:
    """Entry point."""
    options = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    options.add_argument("parts", nargs="*", metavar="PART", help=f"which (default all): {', '.join(PARTS)}")
    options.add_argument("--share", type=float, default=1.0, help="of the repetitions and rows (default 1)")
    given = options.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        options.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    ended = {}
    for part in given.parts or PARTS:
        began = time.monotonic()
        print(f"== {part}", flush=True)
        code = subprocess.run([sys.executable, "-m", *PARTS[part](given.share)], check=False).returncode
        ended[part] = code
        verdict = "every bar holds" if code == 0 else f"ended with {code}"
        print(f"== {part}: {verdict}, after {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return int(any(ended.values()))


if __name__ == "__main__":
    sys.exit(main())
