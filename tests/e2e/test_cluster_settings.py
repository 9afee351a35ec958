"""The embedded engine with a cluster's settings: models in S3 and the ledger in PostgreSQL, not files and SQLite.

What runs in Pods there runs here without any kubeconfig: with a ServiceAccount's files and two variables.
"""

from __future__ import annotations

import argparse
import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from kubernetes.config import incluster_config
from rich.console import Console
from typer.testing import CliRunner

from cluster import deploying as cluster_deploying
from tests.embedded import seaweed
from tests.embedded.running import eventually
from tests.embedded.seaweed import ObjectStore
from tests.ledger.postgresql import PostgreSQL
from turnout import spec as specs
from turnout.cli.app import app
from turnout.controller.__main__ import run as run_controller
from turnout.controller.leasing import NAME as LEASE
from turnout.demo import stages, story
from turnout.embedded.home import Home
from turnout.errors import InputError
from turnout.kube import client, discovery
from turnout.kube.inferenceservices import Version
from turnout.steps import deploy as deploying

pytestmark = pytest.mark.e2e

STORE = "s3://models/turnout"
SPEC = """
name: iris
sources: [{name: table, path: iris.csv}]
label: kind
task: classification
candidates: [{name: bayes, estimator: sklearn.naive_bayes.GaussianNB}]
"""
DIGEST = "sha256:3c5e2d4e6641f00d4682bcb76c55561203b78999ef70d920c33201b446031827"
QUESTION = {"inputs": [{"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}


@dataclass(frozen=True)
class LikeACluster(stages.Laptop):
    """The embedded engine, whose predictors fetch their models with a ServiceAccount's keys, as KServe has it."""

    s3: ObjectStore | None = None

    def begin(self) -> None:
        super().begin()
        assert self.s3 is not None
        keys = {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}
        notes = {"s3-endpoint": self.s3.endpoint, "s3-usehttps": "0", "s3-region": "us-east-1"}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "turnout-s3",
                "namespace": "default",
                "annotations": {f"serving.kserve.io/{key}": value for key, value in notes.items()},
            },
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()},
        }
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "default"},
            "secrets": [{"name": "turnout-s3"}],
        }
        for obj in (secret, account):
            client.connect().apply(obj)


@pytest.fixture
def database() -> Iterator[str]:
    with PostgreSQL() as server:
        yield server.new_database()


@pytest.fixture
def place(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LikeACluster]:
    (tmp_path / "s3").mkdir()
    with seaweed.serve(tmp_path / "s3") as s3:
        settings = {
            "TURNOUT_LEDGER_DATABASE": database,
            "TURNOUT_ARTIFACTS_URL": STORE,
            "AWS_ENDPOINT_URL": f"http://{s3.endpoint}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            # The place sets them for itself; this gives them back.
            "TURNOUT_HOME": str(tmp_path / "home"),
            "KUBECONFIG": "",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield LikeACluster(tmp_path / "home", label_window="10s", s3=s3)


def kept(database: str) -> int:
    """How many predictions PostgreSQL has."""
    with psycopg.connect(database) as connection:
        (number,) = connection.execute("SELECT count(*) FROM predictions").fetchone() or (0,)
    return int(number)


def like_in_a_pod(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process has no kubeconfig, only what Kubernetes gives a container."""
    kubeconfig = client.connect()
    address = urlsplit(kubeconfig.server)
    folder.mkdir()
    for name, content in (
        ("token", Home(home).token.read_bytes()),
        ("ca.crt", (Home(home).tls / "ca.crt").read_bytes()),
    ):
        (folder / name).write_bytes(content)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TURNOUT_HOME", str(folder / "none"))
    monkeypatch.delenv("KUBECONFIG")


@contextmanager
def controlled() -> Iterator[str]:
    """A controller in this process leads instead of the engine's; its identity."""
    kube = client.connect()
    # The engine's takes it a moment after it has started.
    (lease,) = eventually(lambda: kube.list("Lease", namespace=discovery.SYSTEM_NAMESPACE), within_s=60.0)
    assert lease["metadata"]["name"] == LEASE
    # Whoever starts anew under the name of the holder takes the lead at once.
    name = lease["spec"]["holderIdentity"].rpartition("_")[0]
    stop = threading.Event()
    arguments = argparse.Namespace(interval=0.1, lease=15.0, name=name)
    thread = threading.Thread(target=run_controller, args=(stop, arguments))
    thread.start()
    try:
        yield str(lease["spec"]["holderIdentity"])
    finally:
        stop.set()
        thread.join()


def test_deploy_step_controller_and_cli_need_a_service_accounts_files_only(
    place: LikeACluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.prepare()
    try:
        place.begin()
        like_in_a_pod(place.home, tmp_path / "account", monkeypatch)
        cluster_deploying.upload_samples()
        kube = client.connect()
        addresses = discovery.discover(kube)
        with controlled() as before:
            deploying.deploy(
                specs.loads(SPEC, deep=False),
                version=Version("iris-v1", "iris", f"{STORE}/samples/iris", DIGEST),
                smoke=deploying.Smoke(QUESTION, "setosa"),
                namespace="default",
                kube=kube,
                gateway=deploying.Gateway(addresses.gateway_url, addresses.domain),
            )
            kube.wait_until(
                "Turnout",
                "iris",
                namespace="default",
                holds=lambda obj: (obj.get("status") or {}).get("champion") == "iris-v1",
                what="a champion",
                timeout_s=60,
            )
            held = CliRunner().invoke(app, ["hold", "iris", "--wait", "60"])
            assert held.exit_code == 0, held.stderr
            lease = kube.get("Lease", LEASE, namespace=discovery.SYSTEM_NAMESPACE)
            assert lease["spec"]["holderIdentity"] not in ("", before)
        eventually(lambda: kept(database) > 0, within_s=30.0)
        (tmp_path / "account" / "token").write_text("another")
        with pytest.raises(InputError, match="Unauthorized"):
            client.connect().list("Turnout")
    finally:
        place.end(keep=False, console=Console(file=io.StringIO()))


@pytest.mark.timeout(600)
def test_the_story_is_the_same_on_s3_and_postgresql(place: LikeACluster, database: str) -> None:
    script = story.Script.of(first=None, second=None, gate=True, keep=False, seed=None)
    said = io.StringIO()
    told = story.tell(script, place=place, console=Console(file=said))
    assert told.ended_well, said.getvalue()
    assert place.s3 is not None
    objects = {one.object_name for one in place.s3.client().list_objects("models", "turnout/", recursive=True)}
    assert {f"turnout/models/digits/v{number}/model.json" for number in (1, 2, 3)} <= objects
    assert any(name.startswith("turnout/snapshots/") for name in objects)
    assert kept(database) >= told.result["requests"]["answered"]
    assert not (place.home / "ledger.db").exists()
