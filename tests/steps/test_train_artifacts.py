"""What training leaves behind: the manifest, stable bytes, a model that answers like the fitted one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
import skops.io

from tests.steps.learning import BAYES, FOREST, LOGISTIC, RIDGE, mixed, numbers, parts, spec_of, trained
from turnout.errors import DataError, Failed, ModelError
from turnout.steps import artifact
from turnout.steps import parts as reading


def test_a_table_of_numbers_is_asked_with_one_block(tmp_path: Path) -> None:
    trained(spec_of(FOREST), tmp_path, numbers(), candidate="forest")
    manifest = orjson.loads((tmp_path / "forest" / "model.json").read_bytes())
    assert manifest["inputs"] == [{"name": "input-0", "onnx": "X", "datatype": "FP32", "shape": [-1, 3]}]
    assert [output["name"] for output in manifest["outputs"]] == ["output-0", "probabilities"]
    assert manifest["outputs"][0]["datatype"] == "INT64"
    assert manifest["outputs"][1]["shape"] == [-1, 3]
    assert (manifest["features"], manifest["labels"], manifest["format"]) == (["a", "b", "c"], [0, 1, 2], 1)


def test_a_mixed_table_is_asked_column_by_column_whatever_the_columns_are_called(tmp_path: Path) -> None:
    spec = spec_of(LOGISTIC, drop=["price"])
    trained(spec, tmp_path, mixed(), candidate="logistic")
    manifest = artifact.read(tmp_path / "logistic")
    assert [(tensor.name, tensor.datatype) for tensor in manifest.inputs] == [
        ("label", "FP32"),
        ("rooms of it", "FP32"),
        ("garden", "FP32"),
        ("city", "BYTES"),
    ]
    assert manifest.outputs[0].datatype == "BYTES"
    assert manifest.labels == ("cheap", "dear")


def test_a_regression_answers_values_without_labels(tmp_path: Path) -> None:
    spec = spec_of(RIDGE, label="price", task="regression", drop=["kind"])
    trained(spec, tmp_path, mixed(), candidate="ridge")
    manifest = artifact.read(tmp_path / "ridge")
    assert (manifest.outputs[0].datatype, manifest.labels, len(manifest.outputs)) == ("FP32", (), 1)


def test_a_large_table_is_asked_in_blocks_and_answered_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BLOCK_ROWS", 7)
    spec = spec_of(LOGISTIC, drop=["price"])
    found = trained(spec, tmp_path, mixed(), candidate="logistic")
    model, part = artifact.load(tmp_path / "logistic"), reading.read(tmp_path / "test.parquet", spec=spec)
    asked = model.predict(part.features)
    monkeypatch.undo()
    whole = model.predict(part.features)
    assert asked.values.tolist() == whole.values.tolist()
    assert len(asked.values) == part.rows > 7
    assert np.allclose(asked.probabilities, whole.probabilities, atol=1e-6)
    assert (found.export.form, found.export.parity.rows > part.rows) == ("onnx", True)


def test_an_estimator_without_probabilities_promises_none(tmp_path: Path) -> None:
    machine = {"name": "machine", "estimator": "sklearn.svm.LinearSVC"}
    trained(spec_of(machine), tmp_path, numbers(), candidate="machine")
    model = artifact.load(tmp_path / "machine")
    assert [tensor.name for tensor in model.manifest.outputs] == ["output-0"]


@pytest.mark.parametrize("candidate", [FOREST, LOGISTIC], ids=["forest", "logistic"])
def test_training_twice_gives_the_same_bytes(tmp_path: Path, candidate: dict[str, object]) -> None:
    name = str(candidate["name"])
    first, second = (
        trained(spec_of(candidate, drop=["price"]), tmp_path, mixed(), candidate=name, out=out) for out in ("1", "2")
    )
    assert first.digest == second.digest
    for file in ("model.onnx", "model.skops", "model.json"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    spec = spec_of(BAYES)
    here = trained(spec, tmp_path, numbers(), candidate="bayes").digest
    program = (
        "import sys; from pathlib import Path; from turnout import spec; from turnout.steps.train import train;"
        "train(spec.loads(sys.argv[1], deep=False), candidate='bayes', train=Path(sys.argv[2], 'train.parquet'),"
        "test=Path(sys.argv[2], 'test.parquet'), out=Path(sys.argv[2], 'there'))"
    )
    subprocess.run(
        [sys.executable, "-c", program, spec.dump(), str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert artifact.digest(tmp_path / "there" / "model.json") == here


def test_skops_reads_its_stable_file_and_predicts_the_same(tmp_path: Path) -> None:
    table = numbers()
    trained(spec_of(FOREST), tmp_path, table, candidate="forest")
    file = tmp_path / "forest" / "model.skops"
    fitted = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    features = reading.read(tmp_path / "test.parquet", spec=spec_of(FOREST)).features
    served = artifact.load(tmp_path / "forest").predict(features)
    assert np.array_equal(fitted.predict(pd.DataFrame(features).astype("float64")), served.values)


def test_a_word_never_seen_and_a_missing_number_are_answered(tmp_path: Path) -> None:
    trained(spec_of(LOGISTIC, drop=["price"]), tmp_path, mixed(), candidate="logistic")
    one = {
        "label": np.array([np.nan], dtype=np.float32),
        "rooms of it": np.array([3], dtype=np.float32),
        "garden": np.array([1], dtype=np.float32),
        "city": np.array(["Oslo"], dtype=object),
    }
    assert artifact.load(tmp_path / "logistic").predict(one).values[0] in ("cheap", "dear")


def test_the_whole_search_is_written_down(tmp_path: Path) -> None:
    found = trained(spec_of(FOREST), tmp_path, numbers(), candidate="forest")
    search = orjson.loads((tmp_path / "forest" / "search.json").read_bytes())
    assert [point["parameters"] for point in search["points"]] == [{"max_depth": 2}, {"max_depth": 4}]
    assert all(len(point["folds"]) == 3 and point["fit_s"] > 0 for point in search["points"])
    assert search["score"] == found.score == max(point["mean"] for point in search["points"])
    assert search["parameters"] == {"n_estimators": 5, **search["points"][search["best"]]["parameters"]}
    assert search["parity"]["different"] == 0


def test_an_altered_file_is_not_loaded(tmp_path: Path) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    with (tmp_path / "bayes" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=r"model\.onnx was altered: wanted sha256:.*, found sha256:"):
        artifact.load(tmp_path / "bayes")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "has no model.json"), (b"{}", "not a manifest"), (b"{", "not a manifest")]
)
def test_what_is_no_artifact_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(ModelError, match=says):
        artifact.load(tmp_path)


def test_another_artifact_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    trained(spec_of(BAYES), tmp_path, numbers(), candidate="bayes")
    with pytest.raises(ModelError, match="not the registered one"):
        artifact.load(tmp_path / "bayes", expected="sha256:0000")


def test_a_class_with_fewer_rows_than_folds_is_named(tmp_path: Path) -> None:
    table = numbers()
    table["kind"] = 0
    table.loc[:1, "kind"] = 1
    with pytest.raises(DataError, match=r"class .*1.* of 'kind' has 2 training rows, fewer than the 3 folds"):
        trained(spec_of(BAYES), tmp_path, table, candidate="bayes")


def test_one_class_only_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one class only"):
        trained(spec_of(BAYES), tmp_path, numbers().assign(kind=7), candidate="bayes")


def test_what_scikit_learn_refuses_names_the_candidate(tmp_path: Path) -> None:
    bayes = {**BAYES, "preprocess": []}
    table = numbers()
    table.loc[5, "a"] = None
    with pytest.raises(Failed, match="candidate bayes: scikit-learn refuses to fit"):
        trained(spec_of(bayes), tmp_path, table, candidate="bayes")


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ([1.5] * 240, "classes are whole numbers or words"),
        ([None, *[1] * 239], "1 of 160 rows have no value"),
        ([float("inf"), *[1.0] * 239], "1 of 160 rows are not finite"),
    ],
)
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, label: list[object], says: str) -> None:
    train_part, _ = parts(tmp_path, numbers().assign(kind=label))
    with pytest.raises(DataError, match=says):
        reading.read(train_part, spec=spec_of(BAYES))


def test_a_column_of_lists_is_refused_by_name(tmp_path: Path) -> None:
    train_part, _ = parts(tmp_path, numbers().assign(seen=[[1, 2]] * 240))
    with pytest.raises(DataError, match=r"column 'seen' holds list.*drop"):
        reading.read(train_part, spec=spec_of(BAYES))
