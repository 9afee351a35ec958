"""What is opened, what is not, and what the one who wants it opened is told."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import joblib
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.neighbors import NearestCentroid

from turnout.errors import ModelError
from turnout.sklearn_predictor import files


@pytest.fixture(scope="module")
def estimator() -> Any:
    return NearestCentroid().fit(*load_iris(return_X_y=True))


@pytest.fixture
def folder(tmp_path: Path, estimator: Any) -> Path:
    (tmp_path / "iris.skops").write_bytes(skops.io.dumps(estimator))
    return tmp_path


def read(folder: Path, *, digest: str = "", allow_joblib: bool = False) -> str:
    return files.read(folder, digest=digest, allow_joblib=allow_joblib)[0].name


def test_a_folder_with_one_skops_file_is_served_and_so_is_the_file(folder: Path) -> None:
    assert read(folder) == read(folder / "iris.skops") == "NearestCentroid"


def test_without_a_manifest_the_digest_is_the_files_own(folder: Path) -> None:
    digest = hashlib.sha256((folder / "iris.skops").read_bytes()).hexdigest()

    assert read(folder, digest=f"sha256:{digest}") == "NearestCentroid"
    with pytest.raises(ModelError, match=r"iris\.skops: wanted digest sha256:00, found sha256:"):
        read(folder, digest="sha256:00")


@pytest.mark.parametrize("suffix", [".joblib", ".pkl", ".pickle"])
def test_a_file_that_runs_code_is_opened_only_for_those_who_say_so(tmp_path: Path, estimator: Any, suffix: str) -> None:
    joblib.dump(estimator, tmp_path / f"model{suffix}")

    with pytest.raises(ModelError, match=rf"not loaded, because a {suffix} file runs .*turnout\.dev/allow-joblib"):
        read(tmp_path)
    assert read(tmp_path, allow_joblib=True) == "NearestCentroid"


def test_the_digest_is_checked_before_any_code_runs(tmp_path: Path) -> None:
    joblib.dump(Trap(tmp_path / "sprung"), tmp_path / "model.joblib")

    with pytest.raises(ModelError, match="wanted digest"):
        read(tmp_path, digest="sha256:00", allow_joblib=True)
    with pytest.raises(ModelError, match="not loaded"):
        read(tmp_path)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """What a joblib file can do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


def test_a_damaged_joblib_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"not a pickle")

    with pytest.raises(ModelError, match=r"model\.joblib: cannot be loaded: "):
        read(tmp_path, allow_joblib=True)


@pytest.mark.parametrize(("names", "found"), [((), "none"), (("a.skops", "b.joblib"), "a.skops, b.joblib")])
def test_no_model_or_several_are_refused(tmp_path: Path, names: tuple[str, ...], found: str) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(ModelError, match=rf"wanted model\.json, or one \.skops.*; found {found}"):
        read(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found none"):
        read(tmp_path / "missing")
