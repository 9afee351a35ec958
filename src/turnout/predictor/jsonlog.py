"""Logs as lines of JSON: messages on standard error, and, when asked for, every answered prediction on standard output.

A line names predictions, never what was asked or answered: inputs are in the prediction log alone.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence

import orjson

from turnout.predictor.batching import Waiting
from turnout.predictor.inference import Outcome, Request

__all__ = ["AccessLog", "configure"]


def configure(*, level: str, log_format: str) -> None:
    """Send messages of this level and above to standard error."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=level, handlers=[handler])


class AccessLog:
    """Writes one line per request that reached a model, with one write per tick; see `batching.AccessLog`."""

    def __init__(self, *, version: str, write: Callable[[bytes], object] | None = None) -> None:
        self._version = version
        self._write = write or _to_stdout

    def __call__(self, batch: Sequence[tuple[Request, Waiting]], outcomes: Sequence[Outcome], now_s: float) -> None:
        """Note what became of a batch, after its replies have left."""
        time_s = time.time()
        self._write(
            b"".join(
                self._line(request, outcome, time_s=time_s, now_s=now_s)
                for (request, _), outcome in zip(batch, outcomes, strict=True)
            )
        )

    def _line(self, request: Request, outcome: Outcome, *, time_s: float, now_s: float) -> bytes:
        line = {
            "time": _iso(time_s),
            "version": self._version,
            "model": request.model,
            "protocol": request.dialect.name,
            "status": outcome.status,
            "id": outcome.prediction_id or None,
            "request_id": request.request_id,
            "rows": outcome.rows,
            "duration_us": int((now_s - request.arrived_s) * 1e6),
        }
        if request.trace is not None:
            line |= request.trace.recorded()
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class _JsonFormatter(logging.Formatter):
    """One object per message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _iso(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def _iso(time_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_s)) + f".{int(time_s % 1 * 1e6):06d}Z"


def _to_stdout(lines: bytes) -> None:
    sys.stdout.flush()  # what was printed before comes first
    os.write(1, lines)
