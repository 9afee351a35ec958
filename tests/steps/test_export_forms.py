"""ONNX where it answers the same, FP64 where FP32 does not, scikit-learn from skops where ONNX has no words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.cluster import Birch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tests.steps.learning import mixed, numbers, spec_of, trained
from turnout.errors import Failed, ModelError
from turnout.fitted import Fitted, load, untrusted
from turnout.steps import artifact, exporting
from turnout.steps.exporting import Export
from turnout.steps.parts import Array

NEAREST = {"name": "nearest", "estimator": "sklearn.neighbors.NearestCentroid"}


def exported(model: Any, features: dict[str, Array], label: Array, folder: Path, *, task: str) -> Export:
    pipeline = Pipeline([("model", model)]).fit(exporting.frame(features), label)
    return exporting.export(pipeline, checks=[features], task=task, folder=folder)


def table(*columns: Any) -> dict[str, Array]:
    return {f"c{index}": np.asarray(column, dtype=np.float32) for index, column in enumerate(columns)}


def test_what_onnx_does_not_know_is_served_from_skops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = trained(spec_of(NEAREST), tmp_path, numbers(), candidate="nearest")

    assert (found.export.form, found.export.parity.different) == ("skops", 0)
    assert capsys.readouterr().out == (
        "NearestCentroid is served by scikit-learn from skops (runtime turnout-sklearn), which is slower; "
        "ONNX: there is no converter for NearestCentroid\n"
    )
    manifest = artifact.read(tmp_path / "nearest")
    assert (list(manifest.files), manifest.form) == (["model.skops"], "skops")
    assert manifest.outputs[0].datatype == "INT64"
    search = orjson.loads((tmp_path / "nearest" / artifact.SEARCH).read_bytes())
    assert search["served"]["form"] == "skops"


def test_a_table_of_words_and_numbers_is_served_from_skops_too(tmp_path: Path) -> None:
    trained(spec_of(NEAREST, drop=["price"]), tmp_path, mixed(), candidate="nearest")
    model = artifact.load(tmp_path / "nearest")

    datatypes = {tensor.name: tensor.datatype for tensor in model.manifest.inputs}
    assert datatypes == {"label": "FP64", "rooms of it": "FP64", "garden": "FP64", "city": "BYTES"}
    assert model.manifest.outputs[0].datatype == "BYTES"
    one = {"label": [0.1], "rooms of it": [3], "garden": [1]}
    features = {name: np.array(values, dtype=np.float32) for name, values in one.items()}
    assert model.predict({**features, "city": np.array(["Bonn"], dtype=object)}).values[0] in {"cheap", "dear"}


def test_where_fp32_costs_digits_onnx_computes_in_fp64(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # A large offset and a small effect: FP32 has no digits left for the difference.
    large, small = 1e6 + rng.normal(size=200).round(1), rng.normal(size=200)
    found = exported(LinearRegression(), table(large, small), large - 1e6 + small, tmp_path, task="regression")

    assert (found.form, found.precision) == ("onnx", "FP64")
    assert "LinearRegression is served by ONNX in FP64: ONNX in FP32: " in found.note
    manifest = artifact.read(tmp_path)
    assert [tensor.datatype for tensor in (*manifest.inputs, *manifest.outputs)] == ["FP64", "FP64"]


def test_a_graph_that_answers_something_else_is_not_served(tmp_path: Path) -> None:
    """skl2onnx converts categorical splits of HistGradientBoosting as if they were thresholds."""
    rng = np.random.default_rng(0)
    category = rng.integers(0, 8, size=300)
    value = np.array([5.0, -3.0, 8.0, 0.0, -7.0, 2.0, 9.0, -1.0])[category]
    found = exported(
        HistGradientBoostingRegressor(max_iter=20, categorical_features=[0]),
        table(category, rng.normal(size=300)),
        value,
        tmp_path,
        task="regression",
    )

    assert found.form == "skops"
    assert "of 300 rows are answered otherwise than by scikit-learn" in found.note
    assert not (tmp_path / "model.onnx").exists()


def test_what_neither_form_can_hold_is_refused_with_both_reasons(tmp_path: Path) -> None:
    x = np.arange(20.0)
    with pytest.raises(Failed) as caught:
        exported(Birch(n_clusters=2), table(x, x), x, tmp_path, task="clustering")

    assert str(caught.value) == (
        "Birch can be served neither by ONNX (ONNX: there is no converter for Birch) nor by scikit-learn from skops "
        "(Objects of type Birch are not supported yet.): choose another estimator or other preprocessing; "
        "docs/models.md lists what can be served"
    )


def test_a_type_that_is_not_trusted_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    import skops.io

    content = skops.io.dumps(Stranger().fit([[1.0]]))
    (tmp_path / "model.skops").write_bytes(content)

    assert untrusted(content) == [f"{__name__}.Stranger"]
    with pytest.raises(ModelError, match=r"types that are not trusted, so nothing of it is loaded: .*Stranger"):
        load(tmp_path / "model.skops")


class Stranger(StandardScaler):
    """A type that nobody vouches for."""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04\x95"])
def test_a_file_that_is_no_skops_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(ModelError, match="not a skops file"):
        load(tmp_path / "model.skops")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load(tmp_path / "model.skops")


def test_an_estimator_without_names_takes_its_columns_in_order() -> None:
    model = Fitted(LinearRegression().fit([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [2.0, 1.0, 3.0]))

    assert [column.name for column in model.columns()] == ["x0", "x1"]
    assert model.values({"a": np.array([1.0]), "b": np.array([0.0])}) == pytest.approx([1.0])
    assert not model.has_probabilities
