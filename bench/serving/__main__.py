"""`python -m bench.serving`: the predictor beside its peers and its limits; about twenty minutes for all of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import rows
from bench.rows import OUT, Row
from bench.serving import bars, chart, correctness, environments, matrix, models
from bench.serving.bars import Plan
from bench.serving.measuring import say

_PARTS: dict[str, Callable[[Plan], list[Row]]] = {
    "correctness": correctness.answers,
    "closed": bars.closed_loop,
    "open": bars.open_loop,
    "rows": bars.one_thousand_rows,
    "start": bars.start,
    "peers": matrix.peers,
    "models": matrix.models,
    "ways": matrix.ways,
    "gateway": matrix.gateway,
}


def main() -> int:
    """Measure, print, write bench/out/serving.json and serving.svg; 0 when every bar holds."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of {', '.join(_PARTS)}; without one all of them"
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds behind every bar")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    told = parser.parse_args()
    if unknown := set(told.parts) - set(_PARTS):
        parser.error(f"wanted some of {', '.join(_PARTS)}; found {', '.join(sorted(unknown))}")
    environments.wrk()
    environments.build_openloop()
    say("training the models")
    plan = Plan(
        work=environments.WORK,
        models=models.make(environments.WORK / "models"),
        rounds=told.rounds,
        seconds=told.seconds,
    )
    found: list[Row] = []
    for name, measure in _PARTS.items():
        if not told.parts or name in told.parts:
            say(f"== {name}")
            found += measure(plan)
    held = rows.publish("serving", found)
    if not told.parts:
        chart.draw(found, OUT / "serving.svg")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
