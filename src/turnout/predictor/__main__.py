"""`python -m turnout.predictor`: see `--help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

# Before numpy is imported: BLAS threads would cost memory and start-up time, and onnxruntime uses none of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvloop

from turnout import settings
from turnout.errors import ModelError, TurnoutError
from turnout.predictor import arguments, jsonlog, model, server, workers
from turnout.predictor.arguments import Arguments
from turnout.predictor.metrics import Sheets
from turnout.predictor.model import Load
from turnout.predictor.server import Place

MODEL_ERROR = 3  # the exit code by which the engine tells a bad artifact from a crash


def main(argv: Sequence[str] | None = None, *, load: Load = model.load) -> int:
    """The exit code: 0 ended by a signal, 1 failed, 2 wrong use, 3 the artifact cannot be served."""
    told = arguments.parse(argv)
    jsonlog.configure(level=settings.read("TURNOUT_LOG_LEVEL").upper(), log_format=told.log_format)
    if told.workers > 1:
        return _told(lambda: workers.run(told, lambda place: _told(lambda: _serve(told, place, load))))
    return _told(lambda: _serve(told, None, load))


def _serve(told: Arguments, place: Place | None, load: Load) -> int:
    uvloop.run(server.serve(told, place or server.alone(told, Sheets()), load))
    return 0


def _told(action: Callable[[], int]) -> int:
    try:
        return action()
    except TurnoutError as error:
        print(f"turnout.predictor: {type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return MODEL_ERROR if isinstance(error, ModelError) else error.exit_code


if __name__ == "__main__":
    sys.exit(main())
