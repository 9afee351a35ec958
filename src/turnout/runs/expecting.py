"""How long a run may still take, by what the same steps took in earlier runs of the model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnout.runs.records import SUCCEEDED, RunRecord, StepRecord

__all__ = ["Expectation"]


@dataclass(frozen=True)
class _Task:
    """How many steps of a task there were, and the seconds from the first one's begin to the last one's end."""

    steps: int
    seconds: float


class Expectation:
    """Seconds left, after each event of a run; nothing is expected before the first run of a model."""

    def __init__(
        self, earlier: Sequence[RunRecord], *, model: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`earlier` are runs, the latest first; a task counts as in the latest of them that executed all of it."""
        self._tasks: dict[str, _Task] = {}
        for run in earlier:
            if run.model == model and run.state != "Running":
                self._tasks = _tasks(run.steps) | self._tasks
        self._over: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._clock = clock

    def left_s(self, step: str, *, is_over: bool) -> float | None:
        """What is left now that a step (`train`, or `train (forest)`) began or ended; None when nobody knows.

        What comes behind the gate is expected too, because most models pass it.
        """
        task = step.partition(" (")[0]
        self._began.setdefault(task, self._clock())
        self._over[task] += is_over
        return sum(map(self._left_of, self._tasks)) if self._tasks else None

    def _left_of(self, task: str) -> float:
        expected, over = self._tasks[task], self._over[task]
        if over >= expected.steps:
            return 0.0
        since_s = self._clock() - self._began[task] if task in self._began else 0.0
        at_least = 0.0 if task in self._began else expected.seconds
        return max(at_least, expected.seconds - since_s)


def _tasks(steps: Sequence[StepRecord]) -> dict[str, _Task]:
    """Those of which every step was executed to its end."""
    found: dict[str, _Task] = {}
    for task in {step.task for step in steps}:
        some = [step for step in steps if step.task == task]
        if all(step.state == SUCCEEDED and step.finished_us is not None for step in some):
            began, ended = min(step.started_us for step in some), max(step.finished_us or 0 for step in some)
            found[task] = _Task(len(some), (ended - began) / 1e6)
    return found
