"""docs/models.md says of every estimator of scikit-learn what serves it, and it is so."""

from __future__ import annotations

import re

import pytest

from bench import formats

# One of every kind of outcome, and none that takes long.
QUICK = (
    "BernoulliNB",
    "DecisionTreeClassifier",
    "LinearSVC",
    "LogisticRegression",
    "NearestCentroid",
    "OneVsOneClassifier",
    "QuadraticDiscriminantAnalysis",
    "ClassifierChain",
    "GaussianProcessRegressor",
    "IsotonicRegression",
    "Ridge",
    "SVR",
    "Birch",
    "DBSCAN",
    "KMeans",
    "MeanShift",
    "FastICA",
    "OneHotEncoder",
    "OrdinalEncoder",
    "PCA",
    "PolynomialFeatures",
    "PowerTransformer",
    "StandardScaler",
)


def documented() -> dict[str, str]:
    """The table's rows by estimator."""
    lines = formats.DOCUMENT.read_text(encoding="utf-8").splitlines()
    return {found[1]: line for line in lines if (found := re.match(r"\| `(\w+)` \|", line))}


def test_every_estimator_of_scikit_learn_has_its_row() -> None:
    assert sorted(documented()) == sorted(case.name for case in formats.cases())


@pytest.mark.parametrize("name", QUICK)
def test_the_row_says_what_an_export_gives(name: str) -> None:
    (case,) = (case for case in formats.cases() if case.name == name)

    assert formats.row(formats.result(case)) == documented()[name]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_whole_table_is_up_to_date() -> None:
    assert [formats.row(formats.result(case)) for case in formats.cases()] == list(documented().values())
