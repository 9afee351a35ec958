"""A predictor that cannot serve says why and ends."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import pytest

from tests.predictor import models
from tests.predictor.processes import command, ended

pytestmark = pytest.mark.e2e


def test_an_altered_artifact_is_not_loaded(iris: models.Artifact, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(iris.folder, tmp_path / "copy"))
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")

    found = ended(*command(folder, "--model_name=digits-v4", f"--digest={iris.digest}"))

    assert found.returncode == 3
    last = found.stderr.splitlines()[-1]
    assert last.startswith("turnout.predictor: ModelError: ")
    assert "model.onnx: wanted digest sha256:" in last


def test_a_port_that_is_taken_is_said_to_be(iris: models.Artifact) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = ended(*command(iris.folder, "--model_name=digits-v4", f"--http_port={port}"))

    assert found.returncode == 1
    assert f"Conflict: http://127.0.0.1:{port}: this port is taken" in found.stderr


def test_a_host_that_is_none_is_said_to_be(iris: models.Artifact) -> None:
    found = ended(*command(iris.folder, "--model_name=digits-v4", "--http_host=192.0.2.1"))

    assert found.returncode == 1
    assert "Failed: http://192.0.2.1:0: cannot listen" in found.stderr


def test_it_imports_no_library_of_training_or_control() -> None:
    heavy = ["fastapi", "kubernetes", "mlflow", "pandas", "pydantic", "sklearn", "starlette", "typer"]
    program = f"import sys, turnout.predictor.__main__; print([name for name in {heavy} if name in sys.modules])"

    assert ended(sys.executable, "-c", program).stdout.strip() == "[]"
