"""Every mistake that a model.yaml can hold: one sentence each, with its line."""

from __future__ import annotations

import pytest

from turnout import spec
from turnout.errors import SpecError

LINES = """\
name: digits
sources:
  - {name: pixels, path: pixels.csv}
  - {name: labels, path: labels.csv}
keys: [id]
label: digit
task: classification
drop: [comment]
checks:
  min_rows: 10
  columns:
    p00: {type: float, min: 0, max: 16}
split: {method: stratified, test: 0.3, seed: 7}
candidates:
  - name: forest
    estimator: sklearn.ensemble.RandomForestClassifier
    parameters: {n_estimators: 10}
    preprocess: [{use: sklearn.preprocessing.Binarizer, parameters: {threshold: 7.5}}]
    grid: {max_depth: [5, 10]}
  - name: bayes
    estimator: sklearn.naive_bayes.GaussianNB
metric: accuracy
gates: {minimum: 0.8}
rollout: {steps: [5, 20], stepTime: 1s}
"""

MISTAKES = [
    # what is written, what is written instead, line, path, words of the message
    ("name: digits", "name: Digits", 1, "name", "lower-case"),
    ("name: digits", "name: 5", 1, "name", "text was wanted, found 5"),
    ("name: digits", f"name: {'a' * 41}", 1, "name", "at most 40"),
    ("name: labels,", "name: pixels,", 4, "sources[1].name", "also the name of sources[0]"),
    ("path: labels.csv", "paths: labels.csv", 4, "sources[1].path", "is missing"),
    ("path: labels.csv", "path: labels.csv, seperator: ';'", 4, "sources[1].seperator", "did you mean 'separator'?"),
    (
        "path: labels.csv",
        "path: labels.csv, since: 2026-01-01T00:00Z",
        4,
        "sources[1].since",
        "only a ledger:// source",
    ),
    ("path: labels.csv", "path: 'ledger://', since: noon", 4, "sources[1].since", "'noon': a time such as 2026-11-20"),
    ("path: labels.csv", "path: 'ledger://x', until: 2026-01-01", 4, "sources[1].until", "a time with its offset"),
    ("path: labels.csv", "path: 'ledger://a/b/c'", 4, "sources[1].path", "ledger://endpoint or ledger://namespace/"),
    ("path: labels.csv", "path: 'ledger://x', append: false", 4, "sources[1].append", "no keys to be joined on"),
    (
        "gates: {minimum: 0.8}",
        "gates: {replay: {requests: 0}}",
        23,
        "gates.replay.requests",
        "greater than or equal to 1",
    ),
    (
        "gates: {minimum: 0.8}",
        "gates: {replay: {maxDisagreement: 1}}",
        23,
        "gates.replay.maxDisagreement",
        "did you mean",
    ),
    ("path: labels.csv", "path: labels.csv, on: [id], append: true", 4, "sources[1].on", "appended or looked up, not"),
    ("path: labels.csv", "path: labels.csv, as_of: at", 4, "sources[1].as_of", "in the spec's `time`"),
    ("path: labels.csv", "path: labels.csv, delay: 1h", 4, "sources[1].delay", "only a source with as_of"),
    ("path: labels.csv", "path: labels.csv, delay: soon", 4, "sources[1].delay", "a duration such as 90s"),
    ("path: labels.csv", "path: labels.csv, on: []", 4, "sources[1].on", "name at least one column"),
    ("path: labels.csv", "path: labels.csv, prefix: x", 4, "sources[1].prefix", "only a source that is looked up"),
    ("path: labels.csv", "path: 'mysql://host/shop'", 4, "sources[1].path", "a database needs a `query`, too"),
    ("path: labels.csv", "path: labels.csv, query: SELECT 1", 4, "sources[1].query", "only a database answers"),
    (
        "path: labels.csv",
        "path: 'postgresql://me:secret@host/shop', query: SELECT 1",
        4,
        "sources[1].path",
        "a password in a spec is kept with every version",
    ),
    ("split: {method: stratified", "split: {method: time", 13, "split.method", "by which time?"),
    ("split: {method: stratified", "split: {method: group", 13, "split", "say in `by` which column"),
    ("split: {method: stratified", "split: {by: house, method: stratified", 13, "split.by", "only a split by 'group'"),
    ("split: {method: stratified", "split: {by: digit, method: group", 13, "split.by", "'digit' is the label"),
    ("max_depth: [5, 10]", "max_depth: {low: 1, high: 9}", 19, "candidates[0].grid.max_depth", "only a random search"),
    ("metric: accuracy", "search: {points: 5}", 22, "search.points", "only a random search is told"),
    ("metric: accuracy", "search: {method: all}", 22, "search.method", "'all' is not one of grid, random, halving"),
    (
        "max_depth: [5, 10]",
        "step1.treshold: [1.0]",
        19,
        "candidates[0].grid.step1.treshold",
        "did you mean 'threshold'?",
    ),
    (
        "max_depth: [5, 10]",
        "text.ngram_rage: [1]",
        19,
        "candidates[0].grid.text.ngram_rage",
        "did you mean 'ngram_range'?",
    ),
    ("max_depth: [5, 10]", "step2.k: [1]", 19, "candidates[0].grid.step2.k", "there is no preprocessing step 'step2'"),
    ("min_rows: 10", "fresh: 1d", 10, "checks.fresh", "by which time?"),
    ("label: digit", "time: p00\nlabel: digit", 13, "checks.columns.p00.type", "so it is a datetime"),
    ("label: digit", "time: digit\nlabel: digit", 6, "time", "'digit' is also the label"),
    ("keys: [id]", "keys: [id, id]", 5, "keys[1]", "named twice"),
    ("keys: [id]", "keys: []", 5, "keys", "several sources are joined on keys"),
    ("keys: [id]", "keys: [comment]", 5, "keys[0]", "also in drop"),
    ("label: digit", "label: id", 6, "label", "also a key"),
    ("label: digit", "label: comment", 6, "label", "also in drop"),
    ("label: digit\n", "", 1, "label", "is missing"),
    ("task: classification", "task: clasification", 7, "task", "did you mean 'classification'?"),
    ("min_rows: 10", "min_rows: ten", 10, "checks.min_rows", "a whole number was wanted, found 'ten'"),
    ("min_rows: 10", "min_row: 10", 10, "checks.min_row", "did you mean 'min_rows'?"),
    ("min: 0, max: 16", "min: 20, max: 16", 12, "checks.columns.p00.min", "min 20 is above max 16"),
    ("type: float, min: 0, max: 16", "type: string, min: 0", 12, "checks.columns.p00.min", "only numbers have a min"),
    ("type: float", "type: flaot", 12, "checks.columns.p00.type", "did you mean 'float'?"),
    ("min: 0, max: 16", "values: [1, a]", 12, "checks.columns.p00.values[1]", "'a' is not of the column's type float"),
    ("test: 0.3", "test: 1.5", 13, "split.test", "less than 1, found 1.5"),
    ("method: stratified", "method: stratifed", 13, "split.method", "did you mean 'stratified'?"),
    (
        "sklearn.ensemble.RandomForestClassifier",
        "os.system",
        16,
        "candidates[0].estimator",
        "'os.system' is not allowed; estimators come from sklearn",
    ),
    (
        "sklearn.ensemble.RandomForestC",
        "sklearn.ensemble._forest.RandomForestC",
        16,
        "candidates[0].estimator",
        "allow",
    ),
    ("sklearn.ensemble.RandomForestC", "sklearn.datasets.C", 16, "candidates[0].estimator", "is not allowed"),
    ("RandomForestClassifier", "RandomForrestClassifier", 16, "candidates[0].estimator", "did you mean 'RandomForest"),
    ("RandomForestClassifier", "RandomForestRegressor", 16, "candidates[0].estimator", "does not do classification"),
    (
        "RandomForestClassifier",
        "StackingClassifier",
        17,
        "candidates[0].parameters",
        "needs the parameter 'estimators'",
    ),
    ("n_estimators: 10", "n_estimator: 10", 17, "candidates[0].parameters.n_estimator", "did you mean 'n_estimators'?"),
    ("n_estimators: 10", "n_estimators: ten", 17, "candidates[0].parameters.n_estimators", "must be an int"),
    ("Binarizer", "Binariser", 18, "candidates[0].preprocess[0].use", "did you mean 'Binarizer'?"),
    ("sklearn.preprocessing.Binarizer", "joblib.load", 18, "candidates[0].preprocess[0].use", "is not allowed"),
    (
        "preprocessing.Binarizer",
        "preprocessing.FunctionTransformer",
        18,
        "candidates[0].preprocess[0].use",
        "not allow",
    ),
    ("preprocessing.Binarizer", "cluster.DBSCAN", 18, "candidates[0].preprocess[0].use", "does not transform"),
    ("threshold: 7.5", "treshold: 7.5", 18, "candidates[0].preprocess[0].parameters.treshold", "'threshold'?"),
    ("max_depth: [5, 10]", "max_dept: [5, 10]", 19, "candidates[0].grid.max_dept", "did you mean 'max_depth'?"),
    ("max_depth: [5, 10]", "max_depth: [5, deep]", 19, "candidates[0].grid.max_depth[1]", "must be an int"),
    ("max_depth: [5, 10]", "max_depth: []", 19, "candidates[0].grid.max_depth", "must not be empty"),
    ("max_depth: [5, 10]", "max_depth: 5", 19, "candidates[0].grid.max_depth", "a list was wanted, found 5"),
    ("max_depth: [5, 10]", "n_estimators: [5]", 19, "candidates[0].grid.n_estimators", "also in parameters"),
    ("name: bayes", "name: forest", 20, "candidates[1].name", "also the name of candidates[0]"),
    ("metric: accuracy", "metric: r2", 22, "metric", "does not measure a classification"),
    ("metric: accuracy", "metric: acuracy", 22, "metric", "did you mean 'accuracy'?"),
    ("minimum: 0.8", "minimum: high", 23, "gates.minimum", "a number was wanted, found 'high'"),
    ("minimum: 0.8", "champion: {alpha: 2}", 23, "gates.champion.alpha", "0.5"),
    ("stepTime: 1s", "stepTime: fast", 24, "rollout.stepTime", "a duration such as 90s"),
    ("stepTime: 1s", "steptime: 1s", 24, "rollout.steptime", "did you mean 'stepTime'?"),
    ("steps: [5, 20]", "steps: [20, 5]", 24, "rollout.steps", "rise"),
    ("metric: accuracy", "label: other", 22, "label", "is written twice, on line 6 and on line 22"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "path", "words"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_a_mistake_is_named_with_its_line(right: str, wrong: str, line: int, path: str, words: str) -> None:
    assert right in LINES
    problems = _problems(LINES.replace(right, wrong, 1))
    named = [problem for problem in problems if problem.startswith(f"model.yaml:{line}: {path}: ")]
    assert named, problems
    assert words in named[0]


def test_the_spec_that_the_mistakes_are_made_in_is_right() -> None:
    assert spec.loads(LINES).name == "digits"


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = LINES.replace("name: digits", "name: 5").replace("min_rows: 10", "min_rows: 0")
    text = text.replace("GaussianNB", "GausianNB").replace("stepTime: 1s", "stepTime: x")
    problems = _problems(text)
    assert [int(problem.split(":")[1]) for problem in problems] == [1, 10, 21, 24]


def test_the_message_says_how_many_mistakes_there_are_and_ends_the_command_with_2() -> None:
    with pytest.raises(SpecError, match=r"model\.yaml cannot be used: 1 mistake") as refused:
        spec.loads(LINES.replace("name: digits", "name: 5"))
    assert refused.value.exit_code == 2


def test_a_regression_cannot_be_split_by_classes() -> None:
    text = LINES.replace("classification", "regression").replace("metric: accuracy", "metric: r2")
    assert any("13: split.method: 'stratified' needs classes" in problem for problem in _problems(text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [a\nlabel: b\n", "model.yaml:2:"),
        ("name: a\n\tlabel: b\n", "model.yaml:2:1:"),
        ("name: a\nlabel: {b: 'c}\n", "model.yaml:3:"),
        ("name: !!python/object/apply:os.system [ls]\n", "model.yaml:1:7:"),
        ("name: a\nlabel: \x07\n", "model.yaml:2:"),
        ("name: a\n--- \nname: b\n", "model.yaml:2:"),
        ("name: &a [*a]\n", "model.yaml:1:"),
        ("name: " + "[" * 2000 + "\n", "model.yaml:"),
    ],
    ids=["open list", "tab", "open quote", "python object", "control character", "two documents", "cycle", "depth"],
)
def test_text_that_is_not_yaml_is_refused_with_line_and_column(text: str, place: str) -> None:
    problems = _problems(text)
    assert len(problems) == 1
    assert problems[0].startswith(place)


def test_a_pyramid_of_anchors_is_refused_in_time() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "an anchor contains itself" in _problems("\n".join(levels))[0]


def test_anchors_may_share_a_grid() -> None:
    text = LINES.replace("grid: {max_depth", "grid: &grid {max_depth").replace(
        "    estimator: sklearn.naive_bayes.GaussianNB",
        "    estimator: sklearn.tree.DecisionTreeClassifier\n    grid: *grid",
    )
    assert spec.loads(text).candidates[1].grid == {"max_depth": (5, 10)}


def _problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as refused:
        spec.loads(text)
    return refused.value.problems
