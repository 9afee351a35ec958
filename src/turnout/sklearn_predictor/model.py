"""A fitted estimator where the predictor expects a model: arrays by name in, arrays by name out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from turnout.errors import ModelError, TurnoutError
from turnout.fitted import Fitted
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.tensors import DATATYPES, Array
from turnout.sklearn_predictor import files

__all__ = ["SklearnModel", "load"]

PROBABILITIES = "probabilities"
_DATATYPES = {"b": "BOOL", "f": "FP64", "i": "INT64", "u": "INT64"}  # by numpy's kind; all else is words


class SklearnModel:
    """Runs columns through the estimator of one version."""

    def __init__(self, estimator: Fitted, manifest: Manifest) -> None:
        self.manifest = manifest
        self._estimator = estimator
        self._columns = [column.name for column in estimator.columns()] or list(manifest.features)
        self._datatypes = {output.onnx: DATATYPES[output.datatype].dtype for output in manifest.outputs}
        _use_one_thread(estimator.estimator)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs for these inputs; probabilities are computed only if they are asked for.

        Raises:
            InputError: the estimator refuses these values.
        """
        columns = [column for signature in self.manifest.inputs for column in feeds[signature.onnx].T]
        table = dict(zip(self._columns, columns, strict=True))
        answers = {name: self._answer(name, table) for name in outputs}
        return [answers[name].astype(self._datatypes[name], copy=False) for name in outputs]

    def _answer(self, name: str, table: Mapping[str, Array]) -> Array:
        estimator = self._estimator
        return estimator.probabilities(table) if name == PROBABILITIES else estimator.values(table)


def load(folder: Path, *, digest: str, allow_joblib: bool) -> SklearnModel:
    """The model in a folder.

    Raises:
        ModelError: it is not what the digest says, or cannot or must not be served.
    """
    estimator, manifest = files.read(folder, digest=digest, allow_joblib=allow_joblib)
    return SklearnModel(estimator, manifest or _manifest_of(estimator, folder))


def _manifest_of(estimator: Fitted, folder: Path) -> Manifest:
    """What the estimator remembers of its fitting, for a folder without a manifest."""
    columns = estimator.columns()
    if not columns or not hasattr(estimator.estimator, "predict"):
        raise ModelError(f"{folder}: wanted a fitted estimator that predicts, found {estimator.name}")
    if any(column.words for column in columns):
        inputs = tuple(
            Signature(column.name, f"x{index}", "BYTES" if column.words else "FP64", (-1, 1))
            for index, column in enumerate(columns)
        )
    else:
        inputs = (Signature("input-0", "X", "FP64", (-1, len(columns))),)
    classes = estimator.classes
    return Manifest(
        folder=folder,
        task=estimator.task,
        inputs=inputs,
        outputs=_outputs(estimator),
        features=tuple(column.name for column in columns),
        labels=tuple(classes),
        model=files.SKOPS,
    )


def _outputs(estimator: Fitted) -> tuple[Signature, ...]:
    """Found by asking for one row of zeros; an estimator that takes none of these gives one value per row."""
    zeros = {
        column.name: np.array([""], dtype=object) if column.words else np.zeros(1) for column in estimator.columns()
    }
    try:
        value: Array = estimator.values(zeros)
        found = [("output-0", value)]
        if estimator.has_probabilities:
            found.append((PROBABILITIES, estimator.probabilities(zeros)))
    except TurnoutError:
        classes = np.asarray(estimator.classes or [0.0])
        found = [("output-0", classes[:1])]
    return tuple(
        Signature(name, name, _DATATYPES.get(array.dtype.kind, "BYTES"), (-1, *array.shape[1:]))
        for name, array in found
        if array.ndim in {1, 2}
    )


def _use_one_thread(estimator: Any) -> None:
    """A forest fitted with n_jobs=-1 would start threads for every single row."""
    if not hasattr(estimator, "get_params"):
        return
    jobs = [name for name in estimator.get_params() if name == "n_jobs" or name.endswith("__n_jobs")]
    estimator.set_params(**dict.fromkeys(jobs, 1))
