"""`python -m tests.chaos`: the long run. Exit code 1 when a request failed, an object is lost or a process is left."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos import story
from tests.chaos.objects import ECHO, ONNX
from tests.chaos.story import Plan

_OUT = Path(__file__).parents[2] / "bench" / "out" / "chaos.json"


def main(argv: list[str] | None = None) -> int:
    """Run, print the figures, write them."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Constant load, kills and changes.")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="what is done in which order")
    parser.add_argument("--rate", type=int, default=240, help="requests a second")
    parser.add_argument("--echo", action="store_true", help="with a stand-in for the predictor, which starts faster")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="turnout-chaos-") as folder:
        home = Path(folder) / "home"
        places = _echo_places(Path(folder)) if asked.echo else ("pvc://samples/iris", "pvc://samples/./iris")
        plan = Plan(
            seconds=asked.seconds,
            seed=asked.seed,
            rate=asked.rate,
            model=ECHO if asked.echo else ONNX,
            places=tuple(places),
        )
        outcome = story.run(home, plan, say=lambda text: print(text, flush=True))
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(outcome.as_dict(), indent=2) + "\n")
    print(json.dumps(outcome.as_dict(), indent=2))
    return 0 if outcome.is_good else 1


def _echo_places(folder: Path) -> list[str]:
    found = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        found.append((folder / name).as_uri())
    return found


if __name__ == "__main__":
    sys.exit(main())
