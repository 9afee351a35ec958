"""MLflow's aliases against a real MLflow, set by the program that the controller starts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from turnout.controller.aliases import Aliases, Wanted
from turnout.controller.rollout import Challenge, Rollout

TESTED = Rollout(champion="digits-v1", challenges=(Challenge("digits-v2"),))


@pytest.fixture
def registry(tmp_path: Path) -> MlflowClient:
    """A registry with two versions of digits."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model("digits")
    for number in (1, 2):
        client.create_model_version("digits", source=f"{tmp_path}/{number}")
    return client


def found(registry: MlflowClient) -> dict[str, str]:
    return {alias: str(number) for alias, number in registry.get_registered_model("digits").aliases.items()}


def followed(aliases: Aliases, rollout: Rollout) -> Wanted:
    """What was set, once the program has ended."""
    deadline = time.monotonic() + 120
    while (wanted := aliases.follow("default/digits", rollout)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return wanted


def test_champion_and_challenger_follow_the_rollout_and_go_with_it(registry: MlflowClient) -> None:
    aliases = Aliases(registry.tracking_uri)
    assert followed(aliases, TESTED) == ("digits-v1", "digits-v2")
    assert found(registry) == {"champion": "1", "challenger": "2"}
    assert followed(aliases, Rollout(champion="digits-v2")) == ("digits-v2", None)
    assert found(registry) == {"champion": "2"}


@pytest.mark.long
def test_what_mlflow_refuses_is_said_and_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    aliases = Aliases("nowhere://registry")
    deadline = time.monotonic() + 120
    while "could not be set" not in caplog.text:
        assert aliases.follow("default/digits", TESTED) is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "again in 30 s" in caplog.text


@pytest.mark.parametrize("champion", [None, "digits", "digits-vx"])
def test_versions_that_no_registry_knows_are_left_alone(champion: str | None) -> None:
    assert Aliases("sqlite:///unused").follow("default/digits", Rollout(champion=champion)) is None
