"""A predictor that misbehaves as its `--fault` says: slow:0.05, failing:0.6, crashing, late:3."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Failed
from turnout.predictor import __main__ as predictor
from turnout.predictor import model, shipper


class Faulty:
    """A model that answers like the real one, if it answers."""

    def __init__(self, real: Any, fault: str) -> None:
        self._real = real
        self._kind, _, size = fault.partition(":")
        self._size = float(size or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        if self._kind == "slow":
            time.sleep(self._size)
        if self._kind == "crashing":
            os._exit(1)
        if self._kind == "failing" and random.random() < self._size:
            raise Failed("the model failed: as it was told to")
        return list(self._real.run(feeds, outputs))


def main() -> int:
    fault = next(word.removeprefix("--fault=") for word in sys.argv if word.startswith("--fault="))
    if fault.startswith("late:"):
        shipper.PULSE_S = float(fault.partition(":")[2])

    def load(folder: Path, *, digest: str) -> Any:
        return Faulty(model.load(folder, digest=digest), fault)

    return predictor.main([word for word in sys.argv[1:] if not word.startswith("--fault=")], load=load)


if __name__ == "__main__":
    sys.exit(main())
