from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.predictor import models
from tests.predictor.desks import IDENTITY
from tests.predictor.ledgers import TOKEN, FakeLedger
from tests.predictor.processes import Predictor, start
from turnout.predictor import artifact
from turnout.predictor.identity import Identity
from turnout.predictor.model import Model


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> models.Artifact:
    return models.iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture(scope="session")
def flats(tmp_path_factory: pytest.TempPathFactory) -> models.Artifact:
    return models.flats(tmp_path_factory.mktemp("flats"))


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> models.Artifact:
    return models.names(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> models.Artifact:
    return models.prices(tmp_path_factory.mktemp("prices"))


@pytest.fixture(scope="session")
def iris_model(iris: models.Artifact) -> Model:
    return Model(artifact.load(iris.folder, digest=iris.digest))


@pytest.fixture(scope="session")
def flats_model(flats: models.Artifact) -> Model:
    return Model(artifact.load(flats.folder, digest=flats.digest))


@pytest.fixture
def identity() -> Identity:
    return IDENTITY


@pytest.fixture
def ledger() -> Iterator[FakeLedger]:
    found = FakeLedger()
    yield found
    found.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Predictor]]:
    """Starts predictors as version digits-v4 of endpoint digits, and ends them with the module."""
    started: list[Predictor] = []
    stderr = tmp_path_factory.mktemp("stderr")

    def launch(found: models.Artifact, *flags: str, environment: dict[str, str] | None = None) -> Predictor:
        path = stderr / f"{len(started)}.log"
        names = ("--model_name=digits-v4", "--endpoint=digits", f"--digest={found.digest}")
        started.append(start(found.folder, path, (*names, *flags), environment))
        return started[-1]

    yield launch
    for predictor in started:
        if predictor.process.poll() is None:
            predictor.kill()
        if predictor.process.stdout is not None:
            predictor.process.stdout.close()
