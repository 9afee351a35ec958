"""Models that are somewhere else: brought by an initializer process, from a real S3 server and over HTTP."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import shutil
import signal
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import running, seaweed
from tests.embedded.running import Running, eventually
from tests.embedded.seaweed import ObjectStore
from turnout.embedded import lifecycle
from turnout.embedded.initializer import __main__ as command
from turnout.embedded.supervision import procfs

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with seaweed.serve(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A folder that a web server shows."""
    folder = tmp_path_factory.mktemp("web")

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = SimpleHTTPRequestHandler.extensions_map | {".gz": "application/gzip"}

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def _account(s3: ObjectStore, name: str, *, secret: str = "") -> list[dict[str, Any]]:
    """A ServiceAccount and the Secret with its keys, as KServe wants them."""
    keys = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": secret or s3.secret_key}
    annotations = {"s3-endpoint": s3.endpoint, "s3-usehttps": "0", "s3-region": "eu-central-1"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": "default",
                "annotations": {f"serving.kserve.io/{key}": value for key, value in annotations.items()},
            },
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()},
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": "default"},
            "secrets": [{"name": name}],
        },
    ]


def _service(name: str, uri: str, *, account: str = "") -> dict[str, Any]:
    found = running.inference_service(name, uri)
    if account:
        found["spec"]["predictor"]["serviceAccountName"] = account
    return found


def _initializer(engine: Running, name: str) -> dict[str, Any]:
    (pod,) = json.loads(engine.kubectl("get", "pods", "-l", f"app=isvc.{name}-predictor", "-o", "json"))["items"]
    found: dict[str, Any] = pod["status"].get("initContainerStatuses", [{"state": {}}])[0]
    return found


def _model_folder(engine: Running, name: str) -> Path:
    arguments = engine.ask(f"{name}-default.localhost", "/process").json["argv"]
    return Path(next(entry for entry in arguments if entry.startswith("--model_dir=")).partition("=")[2])


def test_a_model_comes_from_s3_with_the_keys_of_the_service_account(engine: Running, s3: ObjectStore) -> None:
    for key, text in (("iris/a.txt", b"a"), ("iris/deep/b.txt", b"b"), ("iris-2/c.txt", b"c")):
        s3.client().put_object("models", key, io.BytesIO(text), len(text))
    engine.apply(*_account(s3, "reader"), _service("fig", "s3://models/iris", account="reader"))
    engine.wait_ready("fig")
    folder = _model_folder(engine, "fig")
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a.txt": "a", "deep/b.txt": "b"}
    (pod,) = [record.name for record in engine.predictors() if record.name.startswith("default.fig-")]
    assert s3.secret_key not in (engine.home / "run" / f"{pod}.json").read_text()
    engine.kubectl("delete", "isvc", "fig")
    eventually(lambda: not folder.exists())


def test_wrong_keys_missing_models_and_unknown_accounts_say_so_in_the_status(engine: Running, s3: ObjectStore) -> None:
    engine.apply(
        *_account(s3, "stranger", secret="wrong"),
        *_account(s3, "friend"),
        _service("wrong", "s3://models/iris", account="stranger"),
        _service("none", "s3://models/nothing", account="friend"),
        _service("nobody", "s3://models/iris", account="unknown"),
    )

    def failure(name: str) -> dict[str, Any]:
        found: dict[str, Any] = engine.get("isvc", name).get("status", {}).get("modelStatus", {})
        return found if "lastFailureInfo" in found else {}

    for name, text in (
        ("wrong", "the object store refused"),
        ("none", "No model found in models/nothing"),
        ("nobody", 'serviceaccount "unknown" not found'),
    ):
        found = eventually(lambda: failure(name), within_s=20.0)  # noqa: B023 (called within the turn)
        assert found["transitionStatus"] == "BlockedByFailedLoad"
        assert found["states"] == {"activeModelState": "", "targetModelState": "FailedToLoad"}
        assert found["lastFailureInfo"]["reason"] == "ModelLoadFailed"
        assert text in found["lastFailureInfo"]["message"]
    engine.kubectl("delete", "isvc", "wrong", "none", "nobody")


def test_a_model_comes_over_http_whole_or_unpacked(engine: Running, web: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = web
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "weights.txt").write_text("w")
    with tarfile.open(folder / "model.tar", "w") as archive:
        archive.add(tmp_path / "inner" / "weights.txt", "weights.txt")
    engine.apply(_service("tar", f"{url}/model.tar"))
    engine.wait_ready("tar")
    assert [path.name for path in _model_folder(engine, "tar").iterdir()] == ["weights.txt"]
    engine.kubectl("delete", "isvc", "tar")


def test_our_own_bucket_is_the_engines_folder_of_artifacts(engine: Running) -> None:
    (engine.home / "artifacts" / "kiwi").mkdir()
    engine.apply(_service("kiwi", "s3://turnout/kiwi"))
    engine.wait_ready("kiwi")
    assert _model_folder(engine, "kiwi") == engine.home / "artifacts" / "kiwi"
    engine.kubectl("delete", "isvc", "kiwi")


def test_archives_files_and_gzipped_files_end_as_kserves_initializer_leaves_them(
    web: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = web
    (folder / "plain.bin").write_bytes(b"plain")
    (folder / "packed.bin.gz").write_bytes(gzip.compress(b"packed"))
    shutil.make_archive(str(folder / "both"), "zip", folder, "plain.bin")
    found = {}
    for name in ("plain.bin", "packed.bin.gz", "both.zip"):
        command.download(f"{url}/{name}", tmp_path / name)
        found[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert found == {
        "plain.bin": {"plain.bin": b"plain"},
        "packed.bin.gz": {"packed.bin": b"packed"},
        "both.zip": {"plain.bin": b"plain"},
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.bin", "returned a 404 response code"),
        ("", "No filename contained in URI"),
        ("evil.tar", "cannot be unpacked"),
        ("page.tar.gz?x=1", "cannot be unpacked"),
    ],
)
def test_a_download_that_fails_says_why_in_one_line_and_leaves_no_folder(
    web: tuple[str, Path], tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, folder = web
    (folder / "page.tar.gz").write_bytes(b"<html>")
    with tarfile.open(folder / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../outside")
        archive.addfile(member, io.BytesIO())
    assert command.main([f"{url}/{name}", str(tmp_path / "model")]) == 1
    assert text in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "outside").exists()


def test_what_an_initializer_left_half_done_is_begun_anew(web: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = web
    (folder / "one.bin").write_bytes(b"1")
    (tmp_path / ".model.aside").mkdir()
    (tmp_path / ".model.aside" / "half").write_bytes(b"?")
    command.download(f"{url}/one.bin", tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["one.bin"]


def test_a_download_outlives_the_engine_that_began_it_by_beginning_anew(engine: Running, tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()

    class Slow(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            began.set()
            may_end.wait(60)
            with contextlib.suppress(OSError):  # the first one to ask is dead by then
                super().do_GET()

    (tmp_path / "one.bin").write_bytes(b"1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(tmp_path)))
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
    engine.apply(_service("slow", f"http://127.0.0.1:{server.server_port}/one.bin"))
    assert began.wait(30)
    eventually(lambda: "running" in _initializer(engine, "slow")["state"])
    os.kill(engine.engine().pid, signal.SIGKILL)
    lifecycle.up(engine.home, gateway_port=0, without=running.WITHOUT)  # 0: the port that it had
    may_end.set()
    engine.wait_ready("slow")
    assert [path.name for path in _model_folder(engine, "slow").iterdir()] == ["one.bin"]
    initializers = [marker for _, marker in procfs.marked(f"{engine.home}/run/") if "storage-initializer" in marker]
    assert not initializers
    server.shutdown()
    server.server_close()


def test_other_ways_to_name_a_model_are_said_not_to_be_served(engine: Running) -> None:
    service = running.inference_service("spec", "s3://models/iris")
    service["spec"]["predictor"]["model"]["storage"] = {"key": "k"}
    engine.apply(service)
    found = eventually(lambda: engine.condition("isvc", "spec", "PredictorReady").get("reason"))
    assert found == "StorageNotSupported"
    assert "give the model's place as storageUri" in engine.condition("isvc", "spec", "Ready")["message"]
    engine.kubectl("delete", "isvc", "spec", "slow")
