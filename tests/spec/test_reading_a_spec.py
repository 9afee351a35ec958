"""What a right model.yaml becomes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from turnout import spec
from turnout.errors import SpecError

MINIMAL = """\
name: prices
sources: [{name: houses, path: houses.csv}]
label: price
task: regression
candidates: [{name: ridge, estimator: sklearn.linear_model.Ridge, grid: {alpha: [1e-3, 1]}}]
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_minimal_spec_gets_the_defaults() -> None:
    model = spec.loads(MINIMAL)
    assert (model.folds, model.metric, model.split.method, model.gates.enabled) == (5, "r2", "random", True)
    assert model.key_columns == (spec.ROW_KEY,)
    assert model.candidates[0].preprocess is None


def test_a_classification_is_measured_by_accuracy_unless_it_says_otherwise() -> None:
    text = MINIMAL.replace("regression", "classification").replace("linear_model.Ridge", "linear_model.RidgeClassifier")
    assert spec.loads(text).metric == "accuracy"


def test_numbers_are_those_of_yaml_1_2() -> None:
    assert spec.loads(MINIMAL).candidates[0].grid["alpha"] == (0.001, 1)


def test_words_that_look_like_other_things_in_yaml_1_1_stay_words() -> None:
    text = MINIMAL + "checks: {columns: {country: {values: [no, yes, 2026-11-21, on]}}}\n"
    assert spec.loads(text).checks.rule("country").values == ("no", "yes", "2026-11-21", "on")


def test_what_is_dumped_reads_back_equal() -> None:
    text = MINIMAL + "rollout: {stepTime: 1s, steps: [5, 20]}\nchecks: {columns: {'a*': {values: ['no', '1e-9', 5]}}}\n"
    model = spec.loads(text, data_root=Path("/data"))
    assert spec.loads(model.dump()) == model


def test_relative_sources_start_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(MINIMAL)
    assert spec.load(path).sources[0].path == str(tmp_path / "houses.csv")


def test_relative_sources_start_at_the_data_root_when_one_is_given(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(MINIMAL)
    assert spec.load(path, data_root=tmp_path / "elsewhere").sources[0].path == str(tmp_path / "elsewhere/houses.csv")


@pytest.mark.parametrize("address", ["s3://bucket/houses.parquet", "/data/houses.csv"])
def test_sources_with_an_address_of_their_own_keep_it(tmp_path: Path, address: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(MINIMAL.replace("houses.csv", address))
    assert spec.load(path).sources[0].path == address


def test_an_exact_column_name_wins_over_a_pattern() -> None:
    text = MINIMAL + "checks: {columns: {'p*': {min: 0}, price: {min: 10}}}\n"
    checks = spec.loads(text).checks
    assert (checks.rule("price").min, checks.rule("p1").min, checks.rule("other").min) == (10, 0, None)


def test_a_candidate_is_found_by_name() -> None:
    model = spec.loads(MINIMAL)
    assert model.candidate("ridge").estimator == "sklearn.linear_model.Ridge"
    with pytest.raises(KeyError):
        model.candidate("lasso")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_right_spec(example: Path) -> None:
    assert spec.load(example).name


def test_the_json_schema_describes_every_field_and_the_rollout() -> None:
    schema = spec.json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(spec.ModelSpec.model_fields)
    assert "minLabels" in schema["$defs"]["Policy"]["properties"]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert spec.load(path).name == "prices"


def test_importing_the_package_imports_no_scikit_learn() -> None:
    code = "import sys, turnout.spec; sys.exit('sklearn' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_shallow_reading_asks_scikit_learn_nothing() -> None:
    spec.loads(MINIMAL.replace("alpha: [1e-3", "alfa: [1e-3"), deep=False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: path.write_bytes(b"name: \xff"), "not UTF-8"),
        (lambda path: path.write_text(""), "a mapping"),
        (lambda path: path.write_text("- a\n- b\n"), "found a list"),
    ],
)
def test_a_file_that_is_no_spec_at_all_is_refused(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "model.yaml"
    make(path)  # type: ignore[operator]
    with pytest.raises(SpecError, match=words) as refused:
        spec.load(path)
    assert refused.value.exit_code == 2
