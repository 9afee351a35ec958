"""Every example's README, typed from top to bottom: its data, a run, and an answer of its endpoint."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import ROOT, Engine
from tests.examples import readmes

pytestmark = pytest.mark.e2e

TIMEOUT_S = 1800.0


@pytest.mark.timeout(TIMEOUT_S)
def test_clusters_are_served_as_their_readme_says(engine: Engine) -> None:
    readmes.check(ROOT / "examples" / "clusters" / "README.md", engine.environment, timeout_s=TIMEOUT_S)


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", ["bikes", "digits", "flights", "own-data", "text", "wine"])
def test_an_example_does_what_its_readme_says(engine: Engine, name: str) -> None:
    readmes.check(ROOT / "examples" / name / "README.md", engine.environment, timeout_s=TIMEOUT_S)
