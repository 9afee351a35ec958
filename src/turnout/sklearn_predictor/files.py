"""Which file in a model folder is served, and how it is opened.

A folder that Turnout registered has a model.json that pins every byte. Any other folder (KServe's samples) holds one
file; there the digest, if one is given, is that file's own. A skops file is opened type by type; a joblib file runs
whatever code its author put in, so it is opened only for those who say that they want that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from turnout import fitted
from turnout.errors import ModelError
from turnout.fitted import Fitted
from turnout.predictor import artifact
from turnout.predictor.artifact import Manifest

__all__ = ["ALLOW_JOBLIB", "SKOPS", "read"]

SKOPS = "model.skops"
ALLOW_JOBLIB = "turnout.dev/allow-joblib"  # on the InferenceService
_JOBLIB = frozenset({".joblib", ".pickle", ".pkl"})


def read(folder: Path, *, digest: str, allow_joblib: bool) -> tuple[Fitted, Manifest | None]:
    """The estimator in a folder, and its manifest if it has one.

    Raises:
        ModelError: there is no such file or more than one, it is not what the digest says, or it must not be opened.
    """
    if (folder / artifact.MANIFEST).exists():
        manifest = artifact.load(folder, digest=digest, model=SKOPS)
        return fitted.load(manifest.model_path), manifest
    path = _only_file(folder)
    if digest:
        _check(path, digest)
    if path.suffix not in _JOBLIB:
        return fitted.load(path), None
    if not allow_joblib:
        raise ModelError(
            f"{path}: not loaded, because a {path.suffix} file runs the code that is in it. If you trust whoever wrote "
            f'it, annotate the InferenceService with {ALLOW_JOBLIB}: "true"; better, save the model with skops'
        )
    return Fitted(_joblib(path)), None


def _only_file(folder: Path) -> Path:
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.glob("*") if path.suffix in {".skops", *_JOBLIB})
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelError(
            f"{folder}: wanted {artifact.MANIFEST}, or one .skops, .joblib, .pkl or .pickle; found {names}"
        )
    return found[0]


def _check(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        raise ModelError(f"{path}: wanted digest {digest}, found {found}")


def _joblib(path: Path) -> Any:
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:  # it runs code: anything may come out
        raise ModelError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
