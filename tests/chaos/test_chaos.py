"""The short run of the chaos test; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import story
from tests.chaos.story import Plan


@pytest.mark.e2e
def test_nothing_fails_is_lost_or_left_while_parts_are_killed_and_objects_change(tmp_path: Path) -> None:
    places = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        places.append((tmp_path / name).as_uri())
    outcome = story.run(tmp_path / "home", Plan(seconds=6, seed=7, kill_every_s=0.8, places=tuple(places)))
    assert outcome.is_good, f"{outcome.failures} {outcome.gateway} {outcome}"
    assert sum(outcome.kills.values()) >= 2
    assert outcome.requests > 500
