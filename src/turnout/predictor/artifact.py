"""Reads a model artifact and believes nothing in it before its digests match.

The InferenceService carries the digest of `model.json`, and `model.json` carries the digests of the other files, so
one annotation pins every byte. A version is immutable: any difference is damage or tampering, and nothing is served.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from turnout.errors import ModelError

__all__ = ["FORMAT", "MANIFEST", "MODEL", "Manifest", "Signature", "load"]

FORMAT = 1
MANIFEST = "model.json"
MODEL = "model.onnx"


@dataclass(frozen=True)
class Signature:
    """One named tensor: what callers say, what ONNX says, and its type and shape (-1: the rows)."""

    name: str
    onnx: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What `model.json` says."""

    folder: Path
    task: str
    inputs: tuple[Signature, ...]
    outputs: tuple[Signature, ...]
    features: tuple[str, ...]
    labels: tuple[object, ...]
    model: str = MODEL

    @property
    def platform(self) -> str:
        """What V2 calls what the model is made for."""
        return "onnx_onnxv1" if self.model == MODEL else "sklearn"

    @property
    def model_path(self) -> Path:
        return self.folder / self.model


def load(folder: Path, *, digest: str, model: str = MODEL) -> Manifest:
    """The manifest of an artifact whose digests all match.

    Args:
        folder: holds model.json and the files that it names.
        digest: `sha256:<hex>` that model.json must have; empty checks only the files against model.json.
        model: the file that is to be served; it must be among those that model.json names.

    Raises:
        ModelError: a file is missing, altered, or says something that this server cannot serve.
    """
    path = folder / MANIFEST
    text = _read(path)
    found = _prefixed(hashlib.sha256(text))
    if digest and found != digest:
        raise ModelError(f"{path}: wanted digest {digest}, found {found}")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelError(f"{path}: wanted a manifest of format {FORMAT}, found {_brief(document)}")
    _check_files(folder, _field(path, document, "files", dict), model=model)
    return _manifest(path, document, model=model)


def _manifest(path: Path, document: dict[str, Any], *, model: str) -> Manifest:
    inputs = _signatures(path, document, "inputs")
    outputs = _signatures(path, document, "outputs")
    features = tuple(str(feature) for feature in _field(path, document, "features", list))
    width = inputs[0].shape[-1] if len(inputs) == 1 and len(inputs[0].shape) == 2 else len(inputs)
    if len(features) != width:
        raise ModelError(f"{path}: features: wanted {width} names, one per column of the inputs, found {len(features)}")
    return Manifest(
        folder=path.parent,
        task=_field(path, document, "task", str),
        inputs=inputs,
        outputs=outputs,
        features=features,
        labels=tuple(document.get("labels") or ()),
        model=model,
    )


def _check_files(folder: Path, files: dict[str, str], *, model: str) -> None:
    if model not in files:
        raise ModelError(f"{folder / MANIFEST}: files: wanted {model}, found {', '.join(files) or 'nothing'}")
    for name, wanted in files.items():
        if Path(name).name != name:
            raise ModelError(f"{folder / MANIFEST}: files: wanted a plain file name, found {name!r}")
        path = folder / name
        try:
            with path.open("rb") as file:
                found = _prefixed(hashlib.file_digest(file, "sha256"))
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        if found != wanted:
            raise ModelError(f"{path}: wanted digest {wanted}, found {found}")


def _signatures(path: Path, document: dict[str, Any], key: str) -> tuple[Signature, ...]:
    entries = _field(path, document, key, list)
    if not entries:
        raise ModelError(f"{path}: {key}: wanted at least one tensor, found none")
    return tuple(_signature(path, f"{key}[{index}]", entry) for index, entry in enumerate(entries))


def _signature(path: Path, where: str, entry: object) -> Signature:
    if not isinstance(entry, dict):
        raise ModelError(f"{path}: {where}: wanted an object, found {_brief(entry)}")
    name, onnx, datatype = (_field(path, entry, key, str) for key in ("name", "onnx", "datatype"))
    shape = _field(path, entry, "shape", list)
    # Rows are stacked into batches, so the first dimension is free and the others are known.
    if not shape or shape[0] != -1 or not all(type(extent) is int and extent > 0 for extent in shape[1:]):
        raise ModelError(f"{path}: {where}: wanted a shape like [-1, 64], found {shape}")
    return Signature(name=name, onnx=onnx, datatype=datatype, shape=tuple(shape))


def _field(path: Path, document: dict[str, Any], key: str, kind: type) -> Any:
    value = document.get(key)
    if not isinstance(value, kind):
        raise ModelError(f"{path}: {key}: wanted {kind.__name__}, found {_brief(value)}")
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _prefixed(digest: Any) -> str:
    return f"sha256:{digest.hexdigest()}"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
