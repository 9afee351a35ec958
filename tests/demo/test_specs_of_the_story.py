from __future__ import annotations

from pathlib import Path

from rich.console import Console

from turnout import spec
from turnout.demo import stages, story

FOREST = Path(story.__file__).parent / "digits" / "forest.yaml"


def stage(place: stages.Place, *, endpoint: str) -> story.Stage:
    (place.home / "data").mkdir(parents=True)
    return story.Stage(place, Console(), endpoint=endpoint)


def test_a_laptops_story_takes_the_example_as_it_is(tmp_path: Path) -> None:
    assert story._named(FOREST, stage(stages.Laptop(tmp_path), endpoint="digits")) == FOREST


def test_a_clusters_story_gives_labels_more_time_and_bakes_as_long(tmp_path: Path) -> None:
    found = spec.load(story._named(FOREST, stage(stages.Cluster(tmp_path), endpoint="digits-2")), data_root=tmp_path)
    assert found.name == "digits-2"
    assert (found.rollout["labelWindow"], found.rollout["bake"]) == ("10s", "10s")
    assert found.rollout["stepTime"] == "1s"
