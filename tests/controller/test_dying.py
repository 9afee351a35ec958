"""A controller that dies after every single write of a rollout, in turn; whoever comes next finishes it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.controller.test_reconciling import Stage

GOOD = {"digits-v1": 0.6, "digits-v2": 0.97}
BAD = {"digits-v1": 0.97, "digits-v2": 0.4}


class Dead(Exception):
    """The process is gone; nothing after the write happened."""


class Mortal:
    """Counts the writes of a stage, and dies after the n-th."""

    def __init__(self, stage: Stage) -> None:
        self.count, self.at = 0, -1
        for owner in (stage.kube, stage.ledger):
            for name in ("create", "apply", "patch", "delete", "put_state"):
                if hasattr(owner, name):
                    setattr(owner, name, self._mortal(getattr(owner, name)))

    def _mortal(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            answer = write(*arguments, **named)
            self.count += 1
            if self.count == self.at:
                raise Dead
            return answer

        return wrapped


def tick(stage: Stage) -> None:
    """One round; who dies in it is followed by a controller of the next term."""
    try:
        stage.tick()
    except Dead:
        stage.controller, stage.term = stage.another(), 2


def play(right: dict[str, float], *, until: str, die_at: int = -1) -> tuple[Stage, int]:
    """A rollout from first to last, by a controller that dies once; its successor knows only the books."""
    stage = Stage("digits-v1", "digits-v2", policy={"margin": 0.2})
    mortal, draw = Mortal(stage), random.Random(5)
    mortal.at = die_at
    for _ in range(40):
        tick(stage)
        if until in stage.ledger.actions and not stage.ledger.saved["unreported"]:
            break
        if stage.kube.objects.get(("HTTPRoute", "digits-turnout")):
            stage.ledger.answer(100, right=right, draw=draw)
    for _ in range(3):
        tick(stage)
    return stage, mortal.count


@pytest.mark.parametrize(("right", "until", "last"), [(GOOD, "baked", "digits-v2"), (BAD, "rollback", "digits-v1")])
def test_whenever_a_controller_dies_the_rollout_ends_as_it_would_have(
    right: dict[str, float], until: str, last: str
) -> None:
    whole, writes = play(right, until=until)
    expected = Counter(a for a in whole.ledger.actions if a != "step")
    assert writes > 10
    for die_at in range(1, writes + 1):
        stage, _ = play(right, until=until, die_at=die_at)
        assert stage.kube.weights == {last: 100}, die_at
        assert Counter(a for a in stage.ledger.actions if a != "step") == expected, die_at
        told = Counter(e["reason"] for e in stage.kube.events if e["reason"] not in ("AliasesMoved", "ShareRaised"))
        assert set(told.values()) == {1}, (die_at, told)
        assert sum(told.values()) == sum(expected.values()), die_at
