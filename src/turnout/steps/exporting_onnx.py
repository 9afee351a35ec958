"""A fitted pipeline as ONNX, and every way in which its converter says no."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from turnout.steps import exporting_dates
from turnout.steps.artifact import Tensor
from turnout.steps.exporting_trees import without_zeros
from turnout.steps.parts import Array

__all__ = ["Refused", "Unknown", "convert", "outputs", "running"]

# The wheel comes with telemetry switched on; what is served here is nobody else's business.
onnxruntime.disable_telemetry_events()

exporting_dates.register()
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
        converted = _converted(fitted, types)
    except (MissingConverter, MissingShapeCalculator) as error:
        name = _CLASS.search(str(error))
        raise Unknown(f"there is no converter for {name[1] if name else 'one of its steps'}") from error
    except Exception as error:  # one converter per estimator, each raising what occurred to its author
        raise Refused(_first_line(error)) from error
    del converted.graph.output[len(_output_names(fitted)) :]
    _without_locale(converted.graph)
    without_zeros(converted.graph)
    # They come out of a set.
    converted.opset_import.sort(key=lambda opset: opset.domain)
    return bytes(converted.SerializeToString(deterministic=True))


def outputs(fitted: Pipeline, file: Path, feed: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """The outputs of a graph, with the shapes that they have for these rows: not all graphs declare the right ones.

    Raises:
        Refused: the runtime does not load or run the graph, or an output is none that can be served.
    """
    names = _output_names(fitted)
    with running():
        session = onnxruntime.InferenceSession(str(file), _quiet(), providers=["CPUExecutionProvider"])
        found, arrays = session.get_outputs(), session.run(None, dict(feed))
    if len(found) != len(names) or any(output.type not in _DATATYPES for output in found):
        raise Refused(f"its outputs are {', '.join(output.type for output in found)}")
    return tuple(
        Tensor(name=name, onnx=output.name, datatype=_DATATYPES[output.type], shape=(-1, *array.shape[1:]))
        for name, output, array in zip(names, found, arrays, strict=True)
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


def _converted(fitted: Pipeline, types: Sequence[Any]) -> Any:
    """Probabilities as one plain tensor instead of a list of dictionaries; where there are none, the raw scores.

    Not every converter knows both options; one that knows neither has nothing to be told. The name is given because
    the converter's own is a random one.
    """
    model = fitted.steps[-1][1]
    wanted: list[dict[str, bool]] = [{"zipmap": False}] if hasattr(model, "classes_") else []
    if wanted and not hasattr(fitted, "predict_proba"):
        wanted.insert(0, {"raw_scores": True})
    for options in wanted:
        with suppress(NameError):  # how skl2onnx says that there is no such option
            return convert_sklearn(fitted, name="turnout", initial_types=types, options={id(model): options})
    return convert_sklearn(fitted, name="turnout", initial_types=types)


def _without_locale(graph: Any) -> None:
    """Let words be lowered everywhere alike: the converter asks for en_US, which a small image need not have."""
    for node in graph.node:
        if node.op_type == "StringNormalizer":
            kept = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("locale", "C.UTF-8")])


def _output_names(fitted: Pipeline) -> list[str]:
    """The label or value first; then probabilities, if the estimator has any (some have only scores)."""
    return ["output-0", "probabilities"] if hasattr(fitted, "predict_proba") else ["output-0"]


def _first_line(error: BaseException) -> str:
    """What went wrong, without the runtime's codes and the path of our scratch file."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return _CODES.sub("", line)[:300]
