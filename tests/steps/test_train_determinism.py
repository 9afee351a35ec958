"""The same bytes from other processes: with another hash seed, another number of threads, another number of cores.

In the normal run tests/lineage/test_reproducing.py holds it for two families.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.steps.learning import mixed, numbers, parts, spec_of
from turnout.steps.train import train

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "forest": ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5, "n_jobs": 2}),
    "logistic": ("sklearn.linear_model.LogisticRegression", {}),
    "extra": ("sklearn.ensemble.ExtraTreesClassifier", {"n_estimators": 5}),
    "histograms": ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 10}),
    "boosting": ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 5}),
    "adaptive": ("sklearn.ensemble.AdaBoostClassifier", {"n_estimators": 5}),
    "bagging": ("sklearn.ensemble.BaggingClassifier", {"n_estimators": 3}),
    "descent": ("sklearn.linear_model.SGDClassifier", {}),
    "network": ("sklearn.neural_network.MLPClassifier", {"max_iter": 20}),
    "vectors": ("sklearn.svm.SVC", {}),
    "neighbours": ("sklearn.neighbors.KNeighborsClassifier", {}),
    "bayes": ("sklearn.naive_bayes.GaussianNB", {}),
    "tree": ("sklearn.tree.DecisionTreeClassifier", {}),
    "discriminant": ("sklearn.discriminant_analysis.LinearDiscriminantAnalysis", {}),
}


def digests(folder: Path) -> dict[str, str]:
    """Digest of the artifact of each of these families, on numbers and on numbers with words."""
    found = {}
    for kind, table in (("numbers", numbers()), ("mixed", mixed())):
        train_part, test_part = parts(folder / kind, table)
        for name, (estimator, parameters) in FAMILIES.items():
            candidate = {"name": name, "estimator": estimator, "parameters": parameters}
            spec = spec_of(candidate, drop=["price"] if kind == "mixed" else [])
            made = train(spec, candidate=name, train=train_part, test=test_part, out=folder / kind / name)
            found[f"{kind} {name}"] = made.digest
    return found


def _elsewhere(folder: Path, **environment: str) -> dict[str, str]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.steps.test_train_determinism", str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = orjson.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_family_makes_the_same_artifacts_on_one_core_and_on_many(tmp_path: Path) -> None:
    one = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}
    many = {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "LOKY_MAX_CPU_COUNT": "4"}
    found = [_elsewhere(tmp_path / str(at), **cores) for at, cores in enumerate((one, many))]
    assert found[0] == found[1]


if __name__ == "__main__":
    print(orjson.dumps(digests(Path(sys.argv[1]))).decode())
