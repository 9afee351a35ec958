"""An engine without a controller: these tests start their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.replay.controllers import Cable, Controllers
from tests.replay.stage import Stage, runtime
from turnout.embedded import lifecycle
from turnout.kube import client, discovery
from turnout.kube.client import Kube
from turnout.kube.discovery import Addresses


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Kube, Addresses]]:
    home = tmp_path_factory.mktemp("replay") / "home"
    lifecycle.up(home, gateway_port=0, without=("controller",))
    try:
        kube = client.connect(home / "kubeconfig")
        kube.apply(runtime())
        yield home, kube, discovery.discover(kube)
    finally:
        lifecycle.down(home)


@pytest.fixture
def cable(engine: tuple[Path, Kube, Addresses]) -> Iterator[Cable]:
    found = Cable(engine[2].ledger_url)
    yield found
    found.close()


@pytest.fixture
def controllers(engine: tuple[Path, Kube, Addresses], tmp_path: Path) -> Iterator[Controllers]:
    home = engine[0]
    found = Controllers({**os.environ, "TURNOUT_HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}, tmp_path)
    yield found
    found.stop()


@pytest.fixture
def stage(engine: tuple[Path, Kube, Addresses]) -> Iterator[Callable[..., Stage]]:
    _, kube, addresses = engine
    stages: list[Stage] = []

    def build(name: str, **options: object) -> Stage:
        stages.append(Stage.set(kube, addresses, name, **options))  # type: ignore[arg-type]
        return stages[-1]

    yield build
    for each in stages:
        each.clear()
