"""What is dropped from trees changes no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from turnout.steps.exporting_trees import without_zeros

X, Y = load_digits(return_X_y=True)
WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], dtype=object)
FORESTS = (
    RandomForestClassifier(20, random_state=0),
    RandomForestClassifier(20, max_depth=3, random_state=0),  # leaves of several classes
    RandomForestClassifier(20, class_weight="balanced", random_state=0),
    ExtraTreesClassifier(20, random_state=0),
    DecisionTreeClassifier(random_state=0),
    BaggingClassifier(n_estimators=5, random_state=0),
)


def graphs(model: Any, x: Any) -> tuple[Any, Any]:
    """As the converter writes it, and without what says nothing."""
    plain = to_onnx(model, x[:1], options={"zipmap": False})
    slim = onnx.ModelProto.FromString(plain.SerializeToString())
    without_zeros(slim.graph)
    return plain, slim


def answers(graph: Any, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: x}))


def weights_of(graph: Any) -> Any:
    return next(a for node in graph.graph.node for a in node.attribute if a.name == "class_weights").floats


def assert_same(plain: Any, slim: Any, x: Any) -> None:
    for before, after in zip(answers(plain, x), answers(slim, x), strict=True):
        np.testing.assert_array_equal(before, after)


# Of these, the runtime takes only random forests in FP64.
CASES = [(model, np.float32) for model in FORESTS] + [(FORESTS[0], np.float64), (FORESTS[1], np.float64)]


@pytest.mark.parametrize("labels", [Y, WORDS[Y]], ids=["numbers", "words"])
@pytest.mark.parametrize(("model", "dtype"), CASES, ids=repr)
def test_every_answer_stays_the_same_to_the_bit(model: Any, labels: Any, dtype: Any) -> None:
    x = X.astype(dtype)
    plain, slim = graphs(model.fit(x[::2], labels[::2]), x)

    assert_same(plain, slim, x)
    noise = np.random.default_rng(0).normal(8, 8, size=(500, X.shape[1])).astype(dtype)
    assert_same(plain, slim, noise)
    assert slim.ByteSize() < 0.75 * plain.ByteSize()


def test_a_forest_that_is_sure_keeps_a_third() -> None:
    x = X.astype(np.float32)
    plain, slim = graphs(RandomForestClassifier(30, random_state=0).fit(x, Y), x)

    assert slim.ByteSize() < 0.4 * plain.ByteSize()
    assert min(weights_of(slim)) > 0


def test_a_row_without_a_vote_for_the_second_of_two_classes_keeps_its_answer() -> None:
    """The runtime would take it for a model of one score, and answer with the other class."""
    x = np.arange(200, dtype=np.float32).reshape(-1, 1)
    plain, slim = graphs(RandomForestClassifier(10, random_state=0).fit(x, x[:, 0] > 100), x)

    assert_same(plain, slim, x)
    assert answers(slim, x)[1][0].tolist() == [1.0, 0.0]


def test_negative_weights_stay() -> None:
    x = X.astype(np.float32)
    plain, _ = graphs(GradientBoostingClassifier(n_estimators=3, random_state=0).fit(x, Y), x)
    weights_of(plain)[0] = 0.0
    slim = onnx.ModelProto.FromString(plain.SerializeToString())
    without_zeros(slim.graph)

    assert list(weights_of(slim)) == list(weights_of(plain))
    assert min(weights_of(slim)) < 0
    assert_same(plain, slim, x)


def test_a_leaf_without_any_weight_is_left_alone() -> None:
    x = X.astype(np.float32)
    plain, _ = graphs(DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, Y), x)
    for index in range(10):  # all of the first leaf
        weights_of(plain)[index] = 0.0
    slim = onnx.ModelProto.FromString(plain.SerializeToString())
    without_zeros(slim.graph)

    assert list(weights_of(slim)) == list(weights_of(plain))
    assert_same(plain, slim, x)
