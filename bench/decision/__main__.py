"""`python -m bench.decision [bar1 ... bar16 controller comparison]`; without words, all of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.decision import code, comparison, errors, kinds, labels, power, replayed, rollouts
from bench.decision.rows import Row, publish, write

BARS: dict[str, Callable[[float], Sequence[Any]]] = {
    "bar1": errors.bar1,
    "bar2": errors.bar2,
    "bar3": errors.bar3,
    "bar4": power.bar4,
    "bar5": power.bar5,
    "bar6": power.bar6,
    "bar7": power.bar7,
    "bar8": rollouts.bar8,
    "bar9": labels.bar9,
    "bar10": labels.bar10,
    "bar11": kinds.bar11,
    "bar12": kinds.bar12,
    "bar13": kinds.bar13,
    "bar14": rollouts.bar14,
    "bar15": code.bar15,
    "bar16": code.bar16,
    "controller": replayed.controller,
    "comparison": comparison.comparison,
}


def main(words: list[str] | None = None) -> int:
    """Run the bars that were named; the exit code is 1 if a counted row does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.decision", description=__doc__)
    parser.add_argument("bars", nargs="*", metavar="bar", help=f"of {', '.join(BARS)}; all without one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repetitions to run (default 1)")
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.bars if name not in BARS]
    if unknown:
        parser.error(f"no such bar: {', '.join(unknown)}; there are {', '.join(BARS)}")
    rows: list[Row] = []
    output = "decision-part" if arguments.bars else "decision"
    for name in arguments.bars or BARS:
        started = time.monotonic()
        if name == "comparison":
            comparison.comparison(arguments.scale)
        else:
            rows += BARS[name](arguments.scale)
            write(rows, name=output)  # who is interrupted keeps what was measured
        print(f"{name} took {time.monotonic() - started:.0f} s", file=sys.stderr)
    if not rows:
        return 0
    return 0 if publish(rows, name=output) else 1


if __name__ == "__main__":
    sys.exit(main())
