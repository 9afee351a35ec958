"""A fitted pipeline as an artifact: ONNX for serving, skops for people and for what ONNX has no words for.

Never pickle: loading one runs whatever code is in it. ONNX is data for a small runtime without scikit-learn; skops
opens only what its reader trusts. The same fitted pipeline gives the same bytes, so that a digest names a model.

Which form is served is found by trying, because it depends on what was learned as much as on the estimator: ONNX in
FP32 if it answers what scikit-learn answers, else ONNX in FP64, else skops. docs/models.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from turnout import fitted as fitted_models
from turnout.errors import Failed
from turnout.fitted import Fitted
from turnout.steps import artifact, exporting_onnx, exporting_skops, parts, train_parity
from turnout.steps.artifact import Manifest, Tensor
from turnout.steps.exporting_onnx import Refused, Unknown
from turnout.steps.parts import Array
from turnout.steps.train_parity import Parity

__all__ = ["Export", "export", "frame"]

_PRECISIONS = ("FP32", "FP64")
_DATATYPES = {np.dtype(object): "BYTES", np.dtype(np.float64): "FP64"}
_ROWS = 2000  # of the training part: enough to meet every branch, few enough for an estimator that compares pairs


@dataclass(frozen=True)
class Export:
    """Which form is served, how it agrees with scikit-learn, and why the forms before it were not taken."""

    form: str  # onnx or skops
    precision: str  # FP32 or FP64: what a request's numbers are computed in
    parity: Parity
    refusals: tuple[str, ...] = ()
    note: str = ""
    """What a person should know about it; empty when it is served as usual."""


def export(fitted: Pipeline, *, checks: Sequence[Mapping[str, Array]], task: str, folder: Path) -> Export:
    """Write model.json and the files that it names: model.skops, and model.onnx if that answers the same.

    Args:
        checks: tables of features to compare the answers on; the first is the one that was trained on.

    Raises:
        Failed: neither ONNX nor skops can hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = [parts.select(checks[0], slice(0, _ROWS)), *checks[1:]]
    unkept = _write_skops(fitted, folder / artifact.SKOPS)
    tried: dict[str, Parity] = {}
    refusals: list[str] = []
    for precision in _PRECISIONS:
        try:
            _write_onnx(fitted, features=checks[0], precision=precision, task=task, folder=folder)
            tried[precision] = _compared(fitted, folder, tables)
        except Unknown as error:
            refusals.append(f"ONNX: {error}")
            break
        except Refused as error:
            refusals.append(f"ONNX in {precision}: {error}")
            continue
        if train_parity.is_equal(tried[precision]):
            break
        refusals.append(f"ONNX in {precision}: {train_parity.describe(tried[precision])}")
    precision = _best(tried)
    if precision:
        _write_onnx(fitted, features=checks[0], precision=precision, task=task, folder=folder)
        note = _note_onnx(fitted, precision, refusals)
        return Export("onnx", precision, tried[precision], tuple(refusals), note)
    (folder / artifact.ONNX).unlink(missing_ok=True)
    note = _note_skops(fitted, refusals, unkept=unkept)
    inputs, outputs = _inputs(checks[0], "FP64"), _skops_outputs(fitted, task)
    _write_manifest(fitted, folder, features=checks[0], task=task, inputs=inputs, outputs=outputs)
    return Export("skops", "FP64", _compared(fitted, folder, tables), tuple(refusals), note)


def _best(tried: Mapping[str, Parity]) -> str:
    """The precision to serve in: the first that is equal, else the first that is near; none for an empty string."""
    for good in (train_parity.is_equal, train_parity.is_near):
        for precision, parity in tried.items():
            if good(parity):
                return precision
    return ""


def frame(features: Mapping[str, Array]) -> pd.DataFrame:
    """Columns as scikit-learn gets them: numbers in FP64, but with the values that FP32 requests can have."""
    return pd.DataFrame(
        {name: values if values.dtype == object else values.astype(np.float64) for name, values in features.items()}
    )


def _compared(fitted: Pipeline, folder: Path, tables: Sequence[Mapping[str, Array]]) -> Parity:
    """How the artifact agrees with the pipeline, over all tables.

    Raises:
        Refused: the artifact cannot be run at all.
    """
    with exporting_onnx.running():
        model = artifact.load(folder)
        blocks = (block for table in tables for block in parts.blocks(table))
        return train_parity.total(train_parity.compare_on(block, model, fitted, frame(block)) for block in blocks)


def _note_onnx(fitted: Pipeline, precision: str, refusals: Sequence[str]) -> str:
    if not refusals:
        return ""
    return f"{Fitted(fitted).name} is served by ONNX in {precision}: {'; '.join(refusals)}"


def _note_skops(fitted: Pipeline, refusals: Sequence[str], *, unkept: str) -> str:
    name, why = Fitted(fitted).name, "; ".join(refusals)
    if unkept:
        raise Failed(
            f"{name} can be served neither by ONNX ({why}) nor by scikit-learn from skops ({unkept}): "
            "choose another estimator or other preprocessing; docs/models.md lists what can be served"
        )
    return f"{name} is served by scikit-learn from skops (runtime turnout-sklearn), which is slower; {why}"


def _write_skops(fitted: Pipeline, file: Path) -> str:
    """Write it; returns why it could not be served from there, if it could not."""
    from skops.io.exceptions import UnsupportedTypeException

    try:
        content = exporting_skops.dumps(fitted)
    except UnsupportedTypeException as error:
        file.unlink(missing_ok=True)
        return str(error)
    file.write_bytes(content)
    unknown = fitted_models.untrusted(content)
    return f"it holds types that are not trusted: {', '.join(unknown)}" if unknown else ""


def _write_onnx(fitted: Pipeline, *, features: Mapping[str, Array], precision: str, task: str, folder: Path) -> None:
    inputs, file = _inputs(features, precision), folder / artifact.ONNX
    file.write_bytes(exporting_onnx.convert(fitted, inputs))
    outputs = exporting_onnx.outputs(fitted, file, artifact.feed(inputs, parts.select(features, slice(0, 2))))
    _write_manifest(fitted, folder, features=features, task=task, inputs=inputs, outputs=outputs)


def _write_manifest(
    fitted: Pipeline,
    folder: Path,
    *,
    features: Iterable[str],
    task: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
) -> None:
    files = [folder / name for name in (artifact.ONNX, artifact.SKOPS) if (folder / name).exists()]
    manifest = Manifest(
        task=task,
        files={file.name: artifact.digest(file) for file in files},
        inputs=inputs,
        outputs=outputs,
        features=tuple(features),
        labels=tuple(Fitted(fitted).classes),
    )
    artifact.write(folder, manifest=manifest)


def _inputs(features: Mapping[str, Array], precision: str) -> tuple[Tensor, ...]:
    """One block for a table of numbers, else one input per column, because a tensor holds one type; a time is FP64."""
    if all(values.dtype == np.float32 for values in features.values()):
        return (Tensor(name="input-0", onnx="X", datatype=precision, shape=(-1, len(features))),)
    return tuple(
        Tensor(name=name, onnx=f"x{index}", datatype=_DATATYPES.get(values.dtype, precision), shape=(-1, 1))
        for index, (name, values) in enumerate(features.items())
    )


def _skops_outputs(fitted: Pipeline, task: str) -> tuple[Tensor, ...]:
    """What scikit-learn answers: the label or value, and probabilities if there are any."""
    classes = Fitted(fitted).classes
    datatype = "FP64" if task == "regression" else "BYTES" if classes and isinstance(classes[0], str) else "INT64"
    label = Tensor(name="output-0", onnx="output-0", datatype=datatype, shape=(-1,))
    if not Fitted(fitted).has_probabilities:
        return (label,)
    return (label, Tensor(name="probabilities", onnx="probabilities", datatype="FP64", shape=(-1, len(classes))))
