"""A candidate of the spec as a scikit-learn pipeline."""

from __future__ import annotations

from pathlib import Path

from tests.steps.learning import FOREST, LOGISTIC, numbers, spec_of, trained
from turnout.steps import train_pipeline


def _steps(candidate: dict[str, object]) -> list[str]:
    spec = spec_of(candidate)
    pipeline = train_pipeline.build(spec.candidates[0], numeric=[0, 1], categorical=[], seed=3)
    prepare = dict(pipeline.steps).get("prepare")
    return [name for name, _ in prepare.steps] if prepare is not None else []


def test_linear_models_get_scaled_numbers() -> None:
    assert _steps(LOGISTIC) == ["impute", "scale"]


def test_trees_split_at_every_scale_and_get_none() -> None:
    assert _steps(FOREST) == ["impute"]


def test_an_empty_list_means_no_preparation() -> None:
    assert _steps({**FOREST, "preprocess": []}) == []


def test_the_steps_of_the_spec_replace_the_default() -> None:
    binarize = {"use": "sklearn.preprocessing.Binarizer", "parameters": {"threshold": 0.5}}
    assert _steps({**FOREST, "preprocess": [binarize]}) == ["step1"]


def test_words_are_encoded_beside_the_numbers() -> None:
    spec = spec_of(LOGISTIC)
    pipeline = train_pipeline.build(spec.candidates[0], numeric=[0], categorical=[1], seed=3)
    assert [name for name, _, _ in pipeline.named_steps["prepare"].transformers] == ["numeric", "categorical"]


def test_what_draws_random_numbers_gets_the_seed_of_the_spec() -> None:
    pipeline = train_pipeline.build(spec_of(FOREST).candidates[0], numeric=[0], categorical=[], seed=11)
    assert pipeline.named_steps["model"].random_state == 11


def test_a_seed_in_the_spec_wins() -> None:
    candidate = {**FOREST, "parameters": {"random_state": 5}}
    pipeline = train_pipeline.build(spec_of(candidate).candidates[0], numeric=[0], categorical=[], seed=11)
    assert pipeline.named_steps["model"].random_state == 5


def test_a_grid_over_lists_reaches_scikit_learn_as_tuples(tmp_path: Path) -> None:
    network = {
        "name": "network",
        "estimator": "sklearn.neural_network.MLPClassifier",
        "parameters": {"max_iter": 20},
        "grid": {"hidden_layer_sizes": [[3], [4]]},
    }
    found = trained(spec_of(network), tmp_path, numbers(), candidate="network")
    assert [point.parameters for point in found.search.points] == [
        {"hidden_layer_sizes": (3,)},
        {"hidden_layer_sizes": (4,)},
    ]
