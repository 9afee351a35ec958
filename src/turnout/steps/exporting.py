"""A fitted pipeline as an artifact: ONNX for serving, skops for people, a manifest over both.

Never pickle: loading one runs whatever code is in it. ONNX is data for a small runtime without scikit-learn; skops
opens only what its reader trusts. The same fitted pipeline gives the same bytes, so that a digest names a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.pipeline import Pipeline

from turnout.errors import Failed
from turnout.steps import artifact, exporting_skops
from turnout.steps.artifact import Manifest, Tensor
from turnout.steps.parts import Array

__all__ = ["export"]

# The wheel comes with telemetry switched on; what is served here is nobody else's business.
onnxruntime.disable_telemetry_events()

# How skl2onnx says that it cannot: no converter, no such option, a parameter that its converter does not know.
_REFUSALS = (MissingConverter, MissingShapeCalculator, NameError, NotImplementedError, RuntimeError)
_DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}


def export(fitted: Pipeline, *, features: Mapping[str, Array], task: str, folder: Path) -> None:
    """Write model.onnx, model.skops and model.json of a pipeline fitted on these columns.

    Raises:
        Failed: ONNX has no converter for one of its steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = _inputs(features)
    _write_onnx(fitted, inputs=inputs, to=folder / artifact.ONNX)
    (folder / artifact.SKOPS).write_bytes(exporting_skops.dumps(fitted))
    manifest = Manifest(
        task=task,
        files={name: artifact.digest(folder / name) for name in (artifact.ONNX, artifact.SKOPS)},
        inputs=inputs,
        outputs=_outputs(fitted, folder / artifact.ONNX),
        features=tuple(features),
        labels=() if task == "regression" else tuple(_plain(label) for label in fitted.classes_),
    )
    artifact.write(folder, manifest=manifest)


def _inputs(features: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """One block for a table of numbers, else one input per column, because a tensor holds one type."""
    if all(values.dtype != object for values in features.values()):
        return (Tensor(name="input-0", onnx="X", datatype="FP32", shape=(-1, len(features))),)
    return tuple(
        Tensor(name=name, onnx=f"x{index}", datatype="BYTES" if values.dtype == object else "FP32", shape=(-1, 1))
        for index, (name, values) in enumerate(features.items())
    )


def _write_onnx(fitted: Pipeline, *, inputs: Sequence[Tensor], to: Path) -> None:
    kinds = {"FP32": FloatTensorType, "BYTES": StringTensorType}
    types = [(tensor.onnx, kinds[tensor.datatype]([None, tensor.shape[1]])) for tensor in inputs]
    model = fitted.steps[-1][1]
    try:
        # The name is given because the converter's own is a random one.
        converted = convert_sklearn(fitted, name="turnout", initial_types=types, options=_options(fitted))
    except _REFUSALS as error:
        raise Failed(f"{type(model).__name__} cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    del converted.graph.output[len(_output_names(fitted)) :]
    # They come out of a set.
    converted.opset_import.sort(key=lambda opset: opset.domain)
    to.write_bytes(converted.SerializeToString(deterministic=True))


def _options(fitted: Pipeline) -> dict[int, dict[str, bool]] | None:
    """Probabilities as one plain tensor instead of a list of dictionaries; where there are none, the raw scores."""
    model = fitted.steps[-1][1]
    if hasattr(fitted, "predict_proba"):
        return {id(model): {"zipmap": False}}
    return {id(model): {"raw_scores": True}} if hasattr(model, "classes_") else None


def _output_names(fitted: Pipeline) -> list[str]:
    """The label or value first; then probabilities, if the estimator has any (some have only scores)."""
    return ["output-0", "probabilities"] if hasattr(fitted, "predict_proba") else ["output-0"]


def _outputs(fitted: Pipeline, file: Path) -> tuple[Tensor, ...]:
    found = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_outputs()
    return tuple(
        Tensor(name=name, onnx=output.name, datatype=_DATATYPES[output.type], shape=_shape(output.shape))
        for name, output in zip(_output_names(fitted), found, strict=True)
    )


def _shape(shape: Sequence[Any]) -> tuple[int, ...]:
    return (-1, *(int(size) for size in shape[1:]))


def _plain(label: Any) -> int | str:
    return int(label) if isinstance(label, (int, np.integer)) else str(label)
