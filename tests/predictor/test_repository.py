"""Versions side by side: what is listed, loaded and unloaded, and what never changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.predictor import models
from tests.predictor.ledgers import FakeLedger
from tests.predictor.processes import Predictor, eventually

pytestmark = pytest.mark.e2e

Launch = Callable[..., Predictor]
ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture
def folder(tmp_path: Path, names: models.Artifact) -> Path:
    shutil.copytree(names.folder, tmp_path / "versions" / "digits-v5")
    return tmp_path / "versions"


@pytest.fixture
def predictor(launch: Launch, iris: models.Artifact, folder: Path, tmp_path: Path, token_file: Path) -> Predictor:
    log = ("--log_dir", str(tmp_path / "log"), "--pod", "pod")
    return launch(iris, f"--repository={folder}", *log)


@pytest.fixture(scope="module")
def unchanging(
    launch: Launch, iris: models.Artifact, names: models.Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Predictor:
    """One process for all tests that leave it as it was."""
    versions = tmp_path_factory.mktemp("versions")
    shutil.copytree(names.folder, versions / "digits-v5")
    return launch(iris, f"--repository={versions}")


def predict(predictor: Predictor, model: str, version: str) -> object:
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}
    reply = predictor.send_json(f"/v2/models/{model}/versions/{version}/infer", {"inputs": [tensor]})
    return reply.json["outputs"][0]["data"][0] if reply.status == 200 else reply.status


def change(predictor: Predictor, name: str, verb: str) -> tuple[int, object]:
    reply = predictor.call("POST", f"/v2/repository/models/{name}/{verb}")
    return reply.status, reply.json


def test_a_second_version_is_loaded_beside_the_first_and_unloaded(predictor: Predictor, tmp_path: Path) -> None:
    index = predictor.call("POST", "/v2/repository/index")
    assert [(entry["name"], entry["state"]) for entry in index.json] == [
        ("digits-v5", "UNAVAILABLE"),
        ("digits-v4", "READY"),
    ]
    assert predict(predictor, "digits", "digits-v5") == 404

    assert change(predictor, "digits-v5", "load") == (200, {"name": "digits-v5", "load": True})

    assert predictor.get("/v2/models").json == {"models": ["digits", "digits-v4", "digits-v5"]}
    assert predictor.get("/v2/models/digits").json["versions"] == ["digits-v4", "digits-v5"]
    assert predict(predictor, "digits", "digits-v4") == 0
    assert predict(predictor, "digits", "digits-v5") == predict(predictor, "digits-v5", "digits-v5") == "setosa"
    ready = predictor.send_json("/v2/repository/index", {"ready": True})
    assert [entry["name"] for entry in ready.json] == ["digits-v4", "digits-v5"]
    assert 'turnout_rows_total{model="digits",version="digits-v5"} 2' in predictor.get("/metrics").body.decode()
    assert eventually(lambda: list((tmp_path / "log" / "digits-v5").glob("*.ndjson")))

    assert change(predictor, "digits-v5", "unload") == (200, {"name": "digits-v5", "unload": True})

    assert predict(predictor, "digits-v5", "digits-v5") == 404
    assert predict(predictor, "digits", "digits-v4") == 0


def test_metrics_of_several_versions_describe_every_metric_once(predictor: Predictor) -> None:
    change(predictor, "digits-v5", "load")

    described = [line for line in predictor.get("/metrics").body.decode().splitlines() if line.startswith("# TYPE")]

    assert len(described) == len(set(described))


def test_a_version_never_changes_while_it_is_loaded(
    predictor: Predictor, folder: Path, prices: models.Artifact
) -> None:
    change(predictor, "digits-v5", "load")
    assert change(predictor, "digits-v5", "load")[0] == 200

    for path in prices.folder.iterdir():
        shutil.copy(path, folder / "digits-v5")
    status, body = change(predictor, "digits-v5", "load")

    assert status == 409
    assert "a version never changes: wanted sha256:" in str(body)
    assert predict(predictor, "digits", "digits-v5") == "setosa"


@pytest.mark.parametrize(
    ("name", "verb", "status", "message"),
    [
        ("digits-v4", "load", 200, "load"),
        ("digits-v4", "unload", 409, "this process was started for it"),
        ("nothing", "load", 404, "not found in the repository; it has digits-v5"),
        ("..%2Fdigits-v5", "load", 404, "not found"),
        ("digits-v5", "unload", 200, "unload"),
        ("digits-v5", "explode", 404, "not found"),
    ],
)
def test_what_cannot_be_changed_is_told(unchanging: Predictor, name: str, verb: str, status: int, message: str) -> None:
    found, body = change(unchanging, name, verb)

    assert found == status
    assert message in str(body)


def test_a_damaged_artifact_is_not_loaded(predictor: Predictor, folder: Path) -> None:
    (folder / "digits-v5" / "model.onnx").write_bytes(b"damaged")

    status, body = change(predictor, "digits-v5", "load")

    assert status == 422
    assert "wanted digest" in str(body)


def test_without_a_repository_nothing_can_be_loaded(launch: Launch, iris: models.Artifact) -> None:
    alone = launch(iris)

    assert change(alone, "digits-v5", "load")[0] == 409
    assert change(alone, "digits-v4", "unload")[0] == 409
    assert alone.call("POST", "/v2/repository/index", b"{").status == 400


def test_each_version_ships_a_log_of_its_own(
    launch: Launch, iris: models.Artifact, folder: Path, tmp_path: Path, token_file: Path, ledger: FakeLedger
) -> None:
    flags = ("--log_dir", str(tmp_path / "log"), "--pod", "pod", "--ledger_url", ledger.url)
    predictor = launch(iris, f"--repository={folder}", *flags, "--ledger_token_file", str(token_file))
    change(predictor, "digits-v5", "load")
    predict(predictor, "digits", "digits-v4")
    predict(predictor, "digits", "digits-v5")

    eventually(lambda: len(ledger.events) == 2)

    assert {(event["version"], event["pod"]) for event in ledger.events.values()} == {
        ("digits-v4", "pod"),
        ("digits-v5", "pod.digits-v5"),
    }
