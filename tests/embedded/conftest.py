"""An engine for each module that asks for one, and places for models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import running
from tests.embedded.running import Running


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine with the echo runtime, without ledger and controller."""
    with running.engine(tmp_path_factory.mktemp("home")) as found:
        found.apply(running.RUNTIME)
        yield found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder; files in it tell the echo server how to behave."""
    folder = tmp_path / "model"
    folder.mkdir()
    return folder
