"""Time left: by what the same steps took before, and nothing where nobody knows."""

from __future__ import annotations

from turnout.runs.expecting import Expectation
from turnout.runs.records import FAILED, REUSED, SUCCEEDED, RunRecord, StepRecord


def run(*steps: tuple[str, str, int, int], model: str = "digits") -> RunRecord:
    """A finished run of steps (task, state, begin and end in seconds)."""
    made = tuple(
        StepRecord(task, "log", state=state, item=str(place), started_us=began * 10**6, finished_us=ended * 10**6)
        for place, (task, state, began, ended) in enumerate(steps)
    )
    return RunRecord("r", "", model, "accuracy", 0, state=SUCCEEDED, steps=made)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


EARLIER = run(("ingest", SUCCEEDED, 0, 4), ("train", SUCCEEDED, 4, 10), ("train", SUCCEEDED, 6, 12))


def test_before_the_first_run_of_a_model_nobody_knows() -> None:
    others = run(("ingest", SUCCEEDED, 0, 4), model="other")
    assert Expectation([others], model="digits").left_s("ingest", is_over=False) is None


def test_what_is_left_shrinks_with_time_and_with_each_step() -> None:
    clock = Clock()
    expected = Expectation([EARLIER], model="digits", clock=clock)
    assert expected.left_s("ingest", is_over=False) == 4 + 8
    clock.now = 3
    assert expected.left_s("ingest", is_over=True) == 8
    assert expected.left_s("train (forest)", is_over=False) == 8
    clock.now = 8
    assert expected.left_s("train (forest)", is_over=True) == 3
    assert expected.left_s("train (bayes)", is_over=False) == 3
    clock.now = 30
    assert expected.left_s("train (bayes)", is_over=True) == 0


def test_a_step_counts_as_in_the_latest_run_that_executed_it() -> None:
    later = run(("ingest", SUCCEEDED, 0, 2), ("train", REUSED, 2, 2), ("evaluate", FAILED, 2, 9))
    assert Expectation([later, EARLIER], model="digits").left_s("ingest", is_over=True) == 8
