"""The whole story with a cluster's settings: models in S3 and the ledger in PostgreSQL instead of files and SQLite."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from tests.embedded import seaweed
from tests.embedded.seaweed import ObjectStore
from tests.ledger.postgresql import PostgreSQL
from turnout.demo import stages, story
from turnout.kube import client

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class LikeACluster(stages.Laptop):
    """The embedded engine, whose predictors fetch their models with a ServiceAccount's keys, as KServe has it."""

    s3: ObjectStore | None = None

    def begin(self) -> None:
        super().begin()
        assert self.s3 is not None
        keys = {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}
        notes = {"s3-endpoint": self.s3.endpoint, "s3-usehttps": "0", "s3-region": "us-east-1"}
        kube = client.connect()
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": "turnout-s3",
                    "namespace": "default",
                    "annotations": {f"serving.kserve.io/{key}": value for key, value in notes.items()},
                },
                "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()},
            }
        )
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": "default"},
                "secrets": [{"name": "turnout-s3"}],
            }
        )


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[ObjectStore]:
    (tmp_path / "s3").mkdir()
    with seaweed.serve(tmp_path / "s3") as found:
        yield found


@pytest.fixture
def database() -> Iterator[str]:
    with PostgreSQL() as server:
        yield server.new_database()


def test_the_story_is_the_same_on_s3_and_postgresql(
    s3: ObjectStore, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "TURNOUT_LEDGER_DATABASE": database,
        "TURNOUT_ARTIFACTS_URL": "s3://models/turnout",
        "AWS_ENDPOINT_URL": f"http://{s3.endpoint}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        # The story sets them for itself; this gives them back.
        "TURNOUT_HOME": str(tmp_path / "home"),
        "KUBECONFIG": "",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    script = story.Script.of(first=None, second=None, gate=True, keep=False, seed=None)
    console = Console(file=io.StringIO())
    told = story.tell(script, place=LikeACluster(tmp_path / "home", label_window="10s", s3=s3), console=console)
    assert told.ended_well, console.file.getvalue()  # type: ignore[attr-defined]
    objects = {found.object_name for found in s3.client().list_objects("models", "turnout/models/", recursive=True)}
    assert {f"turnout/models/digits/v{number}/model.json" for number in (1, 2, 3)} <= objects
    with psycopg.connect(database) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM predictions").fetchone() or (0,)
    assert kept >= told.result["requests"]["answered"]
    assert not (tmp_path / "home" / "ledger.db").exists()
