"""A fitted pipeline as ONNX, and every way in which its converter says no."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from turnout.steps.artifact import Tensor

__all__ = ["Refused", "Unknown", "convert", "outputs", "running"]

# The wheel comes with telemetry switched on; what is served here is nobody else's business.
onnxruntime.disable_telemetry_events()

_RUNTIME_REFUSALS = (
    ort.EPFail,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.NotImplemented,
    ort.RuntimeException,
)
_CLASS = re.compile(r"<class '[\w.]*?(\w+)'>")
_CODES = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed: ?")
_TYPES = {"FP32": FloatTensorType, "FP64": DoubleTensorType, "BYTES": StringTensorType}
_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}


class Refused(Exception):
    """ONNX cannot say it, or its runtime cannot run what the converter said; the message is the reason's first line."""


class Unknown(Refused):
    """There is no converter for one of the steps, in whatever precision."""


def convert(fitted: Pipeline, inputs: Sequence[Tensor]) -> bytes:
    """The graph of a pipeline with these inputs.

    Raises:
        Refused: the converter does not know one of its steps, or one of its parameters.
    """
    types = [(tensor.onnx, _TYPES[tensor.datatype]([None, tensor.shape[1]])) for tensor in inputs]
    model = fitted.steps[-1][1]
    if isinstance(model, VotingClassifier):
        model.set_params(flatten_transform=False)  # shapes what `transform` gives, which nobody asks a classifier for
    try:
        # The name is given because the converter's own is a random one.
        converted = convert_sklearn(fitted, name="turnout", initial_types=types, options=_options(fitted))
    except (MissingConverter, MissingShapeCalculator) as error:
        name = _CLASS.search(str(error))
        raise Unknown(f"there is no converter for {name[1] if name else 'one of its steps'}") from error
    except Exception as error:  # one converter per estimator, each raising what occurred to its author
        raise Refused(_first_line(error)) from error
    del converted.graph.output[len(_output_names(fitted)) :]
    # They come out of a set.
    converted.opset_import.sort(key=lambda opset: opset.domain)
    return bytes(converted.SerializeToString(deterministic=True))


def outputs(fitted: Pipeline, file: Path) -> tuple[Tensor, ...]:
    """The outputs that a graph declares.

    Raises:
        Refused: the runtime does not load the graph, or an output is none that can be served.
    """
    with running():
        found = onnxruntime.InferenceSession(str(file), _quiet(), providers=["CPUExecutionProvider"]).get_outputs()
    names = _output_names(fitted)
    if len(found) != len(names) or any(output.type not in _DATATYPES for output in found):
        raise Refused(f"its outputs are {', '.join(output.type for output in found)}")
    return tuple(
        Tensor(name=name, onnx=output.name, datatype=_DATATYPES[output.type], shape=_shape(output.shape))
        for name, output in zip(names, found, strict=True)
    )


@contextmanager
def running() -> Iterator[None]:
    """Turn what the runtime raises into Refused: some graphs that the converter writes cannot be loaded or run."""
    try:
        yield
    except _RUNTIME_REFUSALS as error:
        raise Refused(_first_line(error)) from error


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    return options


def _options(fitted: Pipeline) -> dict[int, dict[str, bool]] | None:
    """Probabilities as one plain tensor instead of a list of dictionaries; where there are none, the raw scores."""
    model = fitted.steps[-1][1]
    if hasattr(fitted, "predict_proba"):
        return {id(model): {"zipmap": False}}
    return {id(model): {"raw_scores": True}} if hasattr(model, "decision_function") else None


def _output_names(fitted: Pipeline) -> list[str]:
    """The label or value first; then probabilities, if the estimator has any (some have only scores)."""
    return ["output-0", "probabilities"] if hasattr(fitted, "predict_proba") else ["output-0"]


def _shape(shape: Sequence[Any]) -> tuple[int, ...]:
    try:
        return (-1, *(int(size) for size in shape[1:]))
    except (TypeError, ValueError) as error:
        raise Refused(f"an output has the shape {shape}") from error


def _first_line(error: BaseException) -> str:
    """What went wrong, without the runtime's codes and the path of our scratch file."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return _CODES.sub("", line)[:300]
