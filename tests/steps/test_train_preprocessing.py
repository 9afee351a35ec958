"""A candidate of the spec as a scikit-learn pipeline."""

from __future__ import annotations

from pathlib import Path

from sklearn.pipeline import Pipeline

from tests.steps.learning import FOREST, LOGISTIC, numbers, spec_of, trained
from turnout.steps import train_pipeline
from turnout.steps.train_pipeline import Prepared


def _built(candidate: dict[str, object], *, seed: int = 3, **kinds: Prepared) -> Pipeline:
    """The pipeline of a candidate for columns of these kinds."""
    return train_pipeline.build(spec_of(candidate).candidates[0], kinds, columns=list(kinds), seed=seed)


def _steps(candidate: dict[str, object]) -> list[str]:
    prepare = dict(_built(candidate, a="numeric", b="numeric").steps).get("prepare")
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
    pipeline = _built(LOGISTIC, a="numeric", b="categorical")
    assert [name for name, _, _ in pipeline.named_steps["prepare"].transformers] == ["numeric", "categorical"]


def test_what_draws_random_numbers_gets_the_seed_of_the_spec() -> None:
    pipeline = _built(FOREST, a="numeric", seed=11)
    assert pipeline.named_steps["model"].random_state == 11


def test_a_seed_in_the_spec_wins() -> None:
    candidate = {**FOREST, "parameters": {"random_state": 5}}
    pipeline = _built(candidate, a="numeric", seed=11)
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
