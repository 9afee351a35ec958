"""Counters in plain numbers, written as Prometheus text when somebody asks.

A client library's labelled counter costs four microseconds a request, a tenth of the whole request; adding to a number
in shared memory costs nothing that can be measured. Every worker adds to cells of its own and whoever is asked sums
over all of them, so one scrape is right whichever worker answers it, also after a worker was replaced.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Sequence

__all__ = ["CONTENT_TYPE", "DURATION_BUCKETS_S", "PHASES", "Metrics", "Sheets", "sample", "together"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
PHASES = ("decode", "predict", "encode", "record")
CODES = (200, 400, 404, 405, 408, 409, 413, 415, 422, 431, 500, 501, 503)

# Where what is counted lies among a worker's cells. All of them are doubles: whole numbers are exact up to 2^53.
_CODE_CELL = {code: index for index, code in enumerate(CODES)}
_ROWS = len(CODES)
_BATCHES = _ROWS + 1
_HISTOGRAM = len(DURATION_BUCKETS_S) + 2  # its buckets, the last one without bound, and the sum
_TOTAL = _BATCHES + 1
_FIRST_PHASE = _TOTAL + _HISTOGRAM
_PHASE_CELL = {phase: _FIRST_PHASE + _HISTOGRAM * index for index, phase in enumerate(PHASES)}
_MIRROR = _TOTAL + _HISTOGRAM * (1 + len(PHASES))
_MIRRORED = 24  # what the prediction log says about itself, line by line
_CELLS = _MIRROR + _MIRRORED


class Sheets:
    """The cells of all workers, in memory that they share when it is made before they are forked."""

    def __init__(self, workers: int = 1) -> None:
        cells = memoryview(mmap.mmap(-1, workers * _CELLS * 8)).cast("d")
        self.all = tuple(cells[start : start + _CELLS] for start in range(0, workers * _CELLS, _CELLS))


class Metrics:
    """What one version has done, in all workers; this one adds to one sheet. Not for several threads."""

    def __init__(self, *, model: str, version: str, sheets: Sheets | None = None, worker: int = 0) -> None:
        self.labels = f'model="{model}",version="{version}"'
        self._sheets: Sequence[memoryview[float]] = (sheets or Sheets()).all
        self._own = self._sheets[worker]

    def count_reply(self, status: int) -> None:
        """One reply of any kind; a code that nobody here sends would be a mistake of ours."""
        self._own[_CODE_CELL.get(status, _CODE_CELL[500])] += 1

    def count_batch(self, requests: int, durations_s: tuple[float, float, float, float]) -> None:
        """One run for some requests, and how long each of PHASES took; each of them waited for the whole of all."""
        own = self._own
        own[_BATCHES] += 1
        cell = _FIRST_PHASE
        for duration_s in durations_s:
            own[cell + bisect_left(DURATION_BUCKETS_S, duration_s)] += requests
            own[cell + _HISTOGRAM - 1] += duration_s * requests
            cell += _HISTOGRAM

    def count_predictions(self, rows: int, durations_s: Sequence[float]) -> None:
        """Replies that are predictions, and how long each took from its request's last byte in."""
        own = self._own
        own[_CODE_CELL[200]] += len(durations_s)
        own[_ROWS] += rows
        own[_TOTAL + _HISTOGRAM - 1] += sum(durations_s)
        for duration_s in durations_s:
            own[_TOTAL + bisect_left(DURATION_BUCKETS_S, duration_s)] += 1

    def mirror(self, lines: Iterable[str]) -> None:
        """Let the other workers know what this one's log says (`recording.metrics`); the same lines every time."""
        values = [line.rpartition(" ")[2] for line in lines if not line.startswith("#")]
        for index, value in enumerate(values[:_MIRRORED]):
            self._own[_MIRROR + index] = float(value)

    def lines(self, mirrored: Iterable[str] = ()) -> Iterable[str]:
        """The text, line by line; `mirrored` are this worker's own lines of what `mirror` was told."""
        yield "# HELP turnout_requests_total Replies by status code."
        yield "# TYPE turnout_requests_total counter"
        counts = {code: self._sum(cell) for code, cell in _CODE_CELL.items()}
        for code, count in counts.items():
            if count:
                yield f'turnout_requests_total{{{self.labels},code="{code}"}} {count:.0f}'
        errors = sum(count for code, count in counts.items() if code >= 400)
        yield from self._sample("turnout_request_errors_total", "counter", "Replies of 400 and above.", errors)
        yield from self._sample("turnout_rows_total", "counter", "Rows predicted.", self._sum(_ROWS))
        yield from self._sample("turnout_batches_total", "counter", "Runs of the model.", self._sum(_BATCHES))
        yield from self._sample("turnout_workers", "gauge", "Processes that answer.", len(self._sheets))
        name = "turnout_request_duration_seconds"
        yield f"# HELP {name} Answered predictions, from the request's last byte to its reply."
        yield f"# TYPE {name} histogram"
        yield from self._histogram(name, self.labels, _TOTAL)
        name = "turnout_phase_duration_seconds"
        yield f"# HELP {name} How long a request's batch took in each phase."
        yield f"# TYPE {name} histogram"
        for phase, cell in _PHASE_CELL.items():
            yield from self._histogram(name, f'{self.labels},phase="{phase}"', cell)
        yield from self._mirrored(list(mirrored))

    def _sum(self, cell: int) -> float:
        return sum(sheet[cell] for sheet in self._sheets)

    def _sample(self, name: str, kind: str, sentence: str, value: float) -> Iterable[str]:
        return sample(name, kind, sentence, self.labels, f"{value:.0f}")

    def _histogram(self, name: str, labels: str, cell: int) -> Iterable[str]:
        seen = 0.0
        for offset, bound in enumerate((*DURATION_BUCKETS_S, "+Inf")):
            seen += self._sum(cell + offset)
            yield f'{name}_bucket{{{labels},le="{bound}"}} {seen:.0f}'
        yield f"{name}_sum{{{labels}}} {self._sum(cell + _HISTOGRAM - 1)}"
        yield f"{name}_count{{{labels}}} {seen:.0f}"

    def _mirrored(self, lines: list[str]) -> Iterable[str]:
        """The log's lines with the values of all workers: their sum, or, of what is up or not, the worst."""
        if len(self._sheets) == 1:
            yield from lines
            return
        self.mirror(lines)
        cell = _MIRROR
        for line in lines:
            if line.startswith("#"):
                yield line
                continue
            key = line.rpartition(" ")[0]
            merge = min if key.partition("{")[0].endswith("_up") else sum
            yield f"{key} {merge([sheet[cell] for sheet in self._sheets]):.0f}"
            cell += 1


def together(texts: Iterable[Iterable[str]]) -> list[str]:
    """The lines of several versions, with all samples of one metric behind its one description."""
    families: dict[str, list[str]] = {}
    for lines in texts:
        family, known = "", False
        for line in lines:
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                known = family in families
            if not (known and line.startswith("#")):
                families.setdefault(family, []).append(line)
    return [line for lines in families.values() for line in lines]


def sample(name: str, kind: str, sentence: str, labels: str, value: float | str) -> Iterable[str]:
    """One metric of one value."""
    yield f"# HELP {name} {sentence}"
    yield f"# TYPE {name} {kind}"
    yield f"{name}{{{labels}}} {value}"
