"""One engine for all tests of this folder, with everything that `turnout up` starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from turnout.embedded import lifecycle
from turnout.kube import client, discovery
from turnout.kube.client import Kube
from turnout.kube.discovery import Addresses

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Engine:
    home: Path
    kube: Kube
    addresses: Addresses

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TURNOUT_HOME": str(self.home), "KUBECONFIG": str(self.home / "kubeconfig")}

    def run(
        self, *command: str, check: bool = True, cwd: Path = ROOT, timeout_s: float = 150
    ) -> subprocess.CompletedProcess[str]:
        """A program of the virtual environment, as a user would call it."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("engine") / "home"
    lifecycle.up(home, gateway_port=0)
    try:
        kube = client.connect(home / "kubeconfig")
        yield Engine(home, kube, discovery.discover(kube))
    finally:
        lifecycle.down(home)


@pytest.fixture
def sample(engine: Engine) -> Callable[[str], dict[str, Any]]:
    """Applies the iris sample under another name and waits until it is ready."""

    def apply(name: str, **predictor: Any) -> dict[str, Any]:
        import yaml

        obj = yaml.safe_load((ROOT / "kserve" / "samples" / "iris-v1.yaml").read_text())
        obj["metadata"].update(name=name, namespace="default")
        obj["spec"]["predictor"].update(predictor)
        engine.kube.apply(obj)
        return engine.kube.wait("InferenceService", name, namespace="default", timeout_s=30)

    return apply
