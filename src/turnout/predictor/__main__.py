"""`python -m turnout.predictor`: see `--help`."""

from __future__ import annotations

import logging
import os
import sys

# Before numpy is imported: BLAS threads would cost memory and start-up time, and onnxruntime uses none of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvloop

from turnout import settings
from turnout.errors import ModelError, TurnoutError
from turnout.predictor import arguments, server

MODEL_ERROR = 3  # the exit code by which the engine tells a bad artifact from a crash


def main() -> int:
    """The exit code: 0 ended by a signal, 1 failed, 2 wrong use, 3 the artifact cannot be served."""
    told = arguments.parse()
    logging.basicConfig(level=settings.read("TURNOUT_LOG_LEVEL").upper(), format="%(name)s: %(message)s")
    try:
        uvloop.run(server.serve(told))
    except TurnoutError as error:
        print(f"turnout.predictor: {type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return MODEL_ERROR if isinstance(error, ModelError) else error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
