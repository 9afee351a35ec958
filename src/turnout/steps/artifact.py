"""A model artifact: a folder with `model.onnx`, `model.skops` and the manifest `model.json`.

The manifest names every file with its digest and says how to call the model; its own digest is the version's identity.
Reading and running an artifact is all that evaluation, the champion's comparison and the smoke request need, and it
is the same file that will be served: ONNX, or skops where there is no ONNX. Only the latter imports scikit-learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from turnout.errors import ModelError
from turnout.steps import parts
from turnout.steps.parts import Array

__all__ = [
    "EVALUATION",
    "MANIFEST",
    "ONNX",
    "SEARCH",
    "SKOPS",
    "UNFITTED",
    "Manifest",
    "Model",
    "Predictions",
    "Tensor",
    "digest",
    "digest_of",
    "feed",
    "load",
    "missing_features",
    "parse",
    "read",
    "write",
]

MANIFEST = "model.json"
ONNX = "model.onnx"
SKOPS = "model.skops"
SEARCH, EVALUATION, UNFITTED = "search.json", "evaluation.json", "unfitted.skops"
"""Beside the artifact, not part of it: how it was found, what it is worth, and the pipeline before it learned."""
_FORMAT = 1

_Run = Callable[[Sequence[str], Mapping[str, Array]], list[Array]]


@dataclass(frozen=True)
class Tensor:
    """One input or output: its name in requests, its name in the ONNX graph, its V2 datatype."""

    name: str
    onnx: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What `model.json` says. `labels` is empty but for a classification."""

    task: str
    files: Mapping[str, str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[str, ...]
    labels: tuple[int | str, ...]

    @property
    def form(self) -> str:
        """What is served: `onnx`, or `skops` where there is no ONNX."""
        return "onnx" if ONNX in self.files else "skops"

    @property
    def is_block(self) -> bool:
        """Whether all features travel in one tensor, a column each; else each has a tensor of its own."""
        return len(self.inputs) == 1 and self.inputs[0].shape[-1] == len(self.features)

    @property
    def feature_types(self) -> dict[str, str]:
        """Datatype by feature: what a table must have to be asked of this model."""
        if self.is_block:
            return dict.fromkeys(self.features, self.inputs[0].datatype)
        return {feature: tensor.datatype for feature, tensor in zip(self.features, self.inputs, strict=True)}


@dataclass(frozen=True)
class Predictions:
    """What a model answered: one value per row, and for classes their probabilities if it knows them."""

    values: Array
    probabilities: Array | None = None


def write(folder: Path, *, manifest: Manifest) -> None:
    """Write `model.json`; the same manifest always gives the same bytes."""
    content = {"format": _FORMAT, **asdict(manifest)}
    (folder / MANIFEST).write_bytes(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def digest(file: Path) -> str:
    """`sha256:<hex>` of a file; of `model.json` it is the identity of the version."""
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def digest_of(content: bytes) -> str:
    """The same of a file's content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read(folder: Path, *, expected: str = "") -> Manifest:
    """The manifest of an artifact whose files are all what it says they are.

    Raises:
        ModelError: a file is missing or altered, or the manifest is none.
    """
    try:
        found = digest(folder / MANIFEST)
        manifest = parse((folder / MANIFEST).read_bytes(), origin=str(folder / MANIFEST))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} has no {MANIFEST}: not a model artifact") from error
    if expected and found != expected:
        raise ModelError(f"{folder / MANIFEST} is not the registered one: wanted {expected}, found {found}")
    for name, wanted in manifest.files.items():
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: {name} is missing")
        if (found := digest(folder / name)) != wanted:
            raise ModelError(f"{folder / name} was altered: wanted {wanted}, found {found}")
    return manifest


def parse(content: bytes, *, origin: str) -> Manifest:
    """The manifest in the bytes of a `model.json`.

    Raises:
        ModelError: they are none.
    """
    try:
        said = orjson.loads(content)
        return Manifest(
            task=said["task"],
            files=said["files"],
            inputs=tuple(_tensor(item) for item in said["inputs"]),
            outputs=tuple(_tensor(item) for item in said["outputs"]),
            features=tuple(said["features"]),
            labels=tuple(said["labels"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ModelError(f"{origin} is not a manifest of format {_FORMAT}: {error}") from error


def _tensor(item: Any) -> Tensor:
    return Tensor(name=item["name"], onnx=item["onnx"], datatype=item["datatype"], shape=tuple(item["shape"]))


class Model:
    """An artifact ready to answer."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._run = _onnx(folder) if manifest.form == "onnx" else _skops(folder, manifest)

    def predict(self, features: Mapping[str, Array]) -> Predictions:
        """Answers for all rows of these columns, asked in blocks: prepared, a row is many times as wide."""
        outputs = [tensor.onnx for tensor in self.manifest.outputs]
        blocks = [self._run(outputs, self._feed(block)) for block in parts.blocks(features)]
        values, *others = (
            np.concatenate([np.asarray(block[place]) for block in blocks]) for place in range(len(outputs))
        )
        return Predictions(values=values.reshape(-1), probabilities=others[0] if others else None)

    def request(self, features: Mapping[str, Array]) -> dict[str, Any]:
        """The V2 request that asks for these rows."""
        feed = self._feed(features)
        return {
            "inputs": [
                {
                    "name": tensor.name,
                    "datatype": tensor.datatype,
                    "shape": list(feed[tensor.onnx].shape),
                    "data": [_plain(value) for value in feed[tensor.onnx].reshape(-1)],
                }
                for tensor in self.manifest.inputs
            ]
        }

    def _feed(self, features: Mapping[str, Array]) -> dict[str, Array]:
        return feed(self.manifest.inputs, {name: features[name] for name in self.manifest.features})


def feed(inputs: Sequence[Tensor], features: Mapping[str, Array]) -> dict[str, Array]:
    """What a graph with these inputs is given for columns in the model's order."""
    if len(inputs) == 1:
        return {inputs[0].onnx: np.column_stack(list(features.values())).astype(_dtype(inputs[0]))}
    return {
        tensor.onnx: values.reshape(-1, 1).astype(_dtype(tensor))
        for values, tensor in zip(features.values(), inputs, strict=True)
    }


def _onnx(folder: Path) -> _Run:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    session = onnxruntime.InferenceSession(str(folder / ONNX), sess_options=options, providers=["CPUExecutionProvider"])

    def run(outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        return list(session.run(outputs, dict(feed)))

    return run


def _skops(folder: Path, manifest: Manifest) -> _Run:
    from turnout import fitted

    model = fitted.load(folder / SKOPS)

    def run(outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        columns = [column for tensor in manifest.inputs for column in feed[tensor.onnx].T]
        table = dict(zip(manifest.features, columns, strict=True))
        return [model.values(table), *(model.probabilities(table) for _ in outputs[1:])]

    return run


def load(folder: Path, *, expected: str = "") -> Model:
    """The artifact in a folder, after checking every digest.

    Raises:
        ModelError: it is damaged, altered or not the `expected` one.
    """
    return Model(folder, read(folder, expected=expected))


def missing_features(manifest: Manifest, features: Mapping[str, Array]) -> Sequence[str]:
    """What keeps a table from being asked of a model: its features that the table lacks or has in another type."""
    types = manifest.feature_types
    return [
        name
        for name, datatype in types.items()
        if name not in features or (features[name].dtype == object) != (datatype == "BYTES")
    ]


def _dtype(tensor: Tensor) -> Any:
    return {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BYTES": object}[tensor.datatype]


def _plain(value: Any) -> Any:
    """A value as JSON has it, which knows no NaN."""
    if isinstance(value, str):
        return value
    return None if value != value else value.item()
