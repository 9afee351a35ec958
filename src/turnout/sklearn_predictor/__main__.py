"""`python -m turnout.sklearn_predictor`: the predictor's flags, and --allow_joblib."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence

# Before numpy is imported: threads make a single row four times slower (HistGradientBoosting: 34 ms instead of 9).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from turnout.predictor.__main__ import main as predict
from turnout.sklearn_predictor import model

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code, as the predictor's."""
    parser = argparse.ArgumentParser(prog="turnout.sklearn_predictor", add_help=False, allow_abbrev=False)
    # A text, because the runtime's template fills in the annotation's value, or nothing.
    parser.add_argument("--allow_joblib", default="", help='"true" lets a joblib file run its code')
    found, rest = parser.parse_known_args(argv)
    return predict(rest, load=functools.partial(model.load, allow_joblib=found.allow_joblib.lower() == "true"))


if __name__ == "__main__":
    sys.exit(main())
