"""An artifact is believed only when every digest matches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.predictor import models
from turnout.errors import ModelError
from turnout.predictor import artifact
from turnout.predictor.model import Model


@pytest.fixture
def copy(iris: models.Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(iris.folder, tmp_path / "copy"))


@pytest.fixture
def rewritten(copy: Path) -> Callable[..., Path]:
    """A folder whose manifest says something else, digests and all."""

    def rewrite(**changes: Any) -> Path:
        document = orjson.loads((copy / "model.json").read_bytes())
        models.write_manifest(copy, {**document, **changes})
        return copy

    return rewrite


def test_a_good_artifact_says_what_it_takes_and_gives(iris: models.Artifact) -> None:
    manifest = artifact.load(iris.folder, digest=iris.digest)

    assert [signature.shape for signature in manifest.inputs] == [(-1, 4)]
    assert [signature.name for signature in manifest.outputs] == ["output-0", "probabilities"]
    assert manifest.labels == (0, 1, 2)


def test_an_empty_digest_still_checks_the_files(copy: Path) -> None:
    assert artifact.load(copy, digest="").task == "classification"
    (copy / "model.onnx").write_bytes(b"altered")

    with pytest.raises(ModelError, match=r"model\.onnx: wanted digest sha256:\w+, found sha256:\w+"):
        artifact.load(copy, digest="")


def test_another_manifest_is_refused(copy: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.json: wanted digest sha256:00, found sha256:\w+"):
        artifact.load(copy, digest="sha256:00")


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()

    with pytest.raises(ModelError, match=rf"{name}: cannot be read: No such file"):
        artifact.load(copy, digest="")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "wanted a manifest of format 1"),
        ({"files": {}}, "files: wanted model.onnx, found nothing"),
        ({"files": None}, "files: wanted dict, found None"),
        ({"files": {"model.onnx": "x"}}, r"model.onnx: wanted digest x"),
        ({"inputs": []}, "inputs: wanted at least one tensor, found none"),
        ({"inputs": ["x"]}, r"inputs\[0\]: wanted an object, found 'x'"),
        (
            {"inputs": [{"name": "a", "onnx": "X", "datatype": "FP32", "shape": [1, 4]}]},
            r"wanted a shape like \[-1, 64\]",
        ),
        ({"features": ["only", "two"]}, "features: wanted 4 names, one per column of the inputs, found 2"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    rewritten: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        artifact.load(rewritten(**changes), digest="")


def test_a_file_outside_the_folder_is_refused(rewritten: Callable[..., Path], copy: Path) -> None:
    files = orjson.loads((copy / "model.json").read_bytes())["files"]

    with pytest.raises(ModelError, match=r"wanted a plain file name, found '\.\./secret'"):
        artifact.load(rewritten(files={**files, "../secret": "sha256:0"}), digest="")


def test_a_manifest_that_is_no_json_is_refused(copy: Path) -> None:
    (copy / "model.json").write_text("{")

    with pytest.raises(ModelError, match="not JSON"):
        artifact.load(copy, digest="")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onnx": "Y"}, r"inputs: wanted Y of tensor\(float\), found X of tensor\(float\)"),
        ({"datatype": "INT64"}, r"inputs: wanted X of tensor\(int64\), found X of tensor\(float\)"),
        ({"datatype": "UINT8"}, "inputs: input-0: cannot serve datatype UINT8"),
    ],
)
def test_a_manifest_that_does_not_describe_its_model_is_refused(
    rewritten: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    signature = {"name": "input-0", "onnx": "X", "datatype": "FP32", "shape": [-1, 4], **changes}

    with pytest.raises(ModelError, match=message):
        Model(artifact.load(rewritten(inputs=[signature]), digest=""))


def test_a_model_that_onnxruntime_cannot_read_is_refused(rewritten: Callable[..., Path], copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no model")

    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        Model(artifact.load(rewritten(files={"model.onnx": models.sha256(b"no model")}), digest=""))
