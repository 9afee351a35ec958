"""Small artifacts as `register` writes them: an ONNX file and the manifest that names its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

__all__ = ["Artifact", "flats", "iris", "names", "prices"]


@dataclass(frozen=True)
class Artifact:
    """A folder that a predictor can load, and what scikit-learn says about the same model."""

    folder: Path
    digest: str
    estimator: Any


def iris(folder: Path) -> Artifact:
    """Four numbers in, a whole number out: one input tensor."""
    x, y = load_iris(return_X_y=True)
    estimator = RandomForestClassifier(10, random_state=0).fit(x.astype(np.float32), y)
    return write(
        folder,
        estimator,
        onnx=to_onnx(estimator, x[:1].astype(np.float32), options={"zipmap": False}),
        inputs=[_tensor("input-0", "X", "FP32", [-1, 4])],
        outputs=[
            _tensor("output-0", "label", "INT64", [-1]),
            _tensor("probabilities", "probabilities", "FP32", [-1, 3]),
        ],
        features=["sepal_length", "sepal_width", "petal_length", "petal_width"],
        labels=[0, 1, 2],
    )


def names(folder: Path) -> Artifact:
    """The same flowers, with strings as labels."""
    x, y = load_iris(return_X_y=True)
    species = load_iris().target_names
    estimator = RandomForestClassifier(5, random_state=0).fit(x.astype(np.float32), species[y])
    return write(
        folder,
        estimator,
        onnx=to_onnx(estimator, x[:1].astype(np.float32), options={"zipmap": False}),
        inputs=[_tensor("input-0", "X", "FP32", [-1, 4])],
        outputs=[_tensor("output-0", "label", "BYTES", [-1])],
        features=["a", "b", "c", "d"],
        labels=[str(name) for name in species],
    )


def prices(folder: Path) -> Artifact:
    """Regression on one column."""
    x = np.arange(20, dtype=np.float32).reshape(-1, 1)
    estimator = LinearRegression().fit(x, 3 * x[:, 0] + 1)
    return write(
        folder,
        estimator,
        task="regression",
        onnx=to_onnx(estimator, x[:1]),
        inputs=[_tensor("input-0", "X", "FP32", [-1, 1])],
        outputs=[_tensor("output-0", "variable", "FP32", [-1, 1])],
        features=["size"],
        labels=None,
    )


def flats(folder: Path) -> Artifact:
    """A table of a decimal, a whole number and a string column; it refuses a district that it never saw."""
    table = pd.DataFrame(
        {
            "area": [30.0, 55.0, np.nan, 80.0, 120.0, 44.0],
            "rooms": [1, 2, 2, 3, 4, 1],
            "district": ["east", "west", "east", "north", "west", "north"],
        }
    )
    columns = ColumnTransformer(
        [
            ("decimal", SimpleImputer(), ["area"]),
            ("whole", "passthrough", ["rooms"]),
            ("string", OneHotEncoder(handle_unknown="error"), ["district"]),
        ]
    )
    estimator = make_pipeline(columns, LogisticRegression()).fit(table, [0, 0, 0, 1, 1, 0])
    types = [
        ("area", FloatTensorType([None, 1])),
        ("rooms", Int64TensorType([None, 1])),
        ("district", StringTensorType([None, 1])),
    ]
    return write(
        folder,
        estimator,
        onnx=to_onnx(estimator, initial_types=types, options={"zipmap": False}),
        inputs=[
            _tensor("area", "area", "FP32", [-1, 1]),
            _tensor("rooms", "rooms", "INT64", [-1, 1]),
            _tensor("district", "district", "BYTES", [-1, 1]),
        ],
        outputs=[
            _tensor("output-0", "label", "INT64", [-1]),
            _tensor("probabilities", "probabilities", "FP32", [-1, 2]),
        ],
        features=["area", "rooms", "district"],
        labels=[0, 1],
    )


def write(folder: Path, estimator: Any, *, onnx: Any, task: str = "classification", **manifest: Any) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    document = {"format": 1, "task": task, "files": {"model.onnx": sha256(model)}, **manifest}
    return Artifact(folder, write_manifest(folder, document), estimator)


def write_manifest(folder: Path, document: dict[str, Any]) -> str:
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    (folder / "model.json").write_bytes(text)
    return sha256(text)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _tensor(name: str, onnx: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "onnx": onnx, "datatype": datatype, "shape": shape}
