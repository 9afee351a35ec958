"""`python -m turnout.sklearn_predictor` is the predictor with scikit-learn behind it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.neighbors import NearestCentroid

from tests.predictor.processes import Predictor, ended, start

pytestmark = pytest.mark.e2e

MODULE = "turnout.sklearn_predictor"
ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.skops").write_bytes(skops.io.dumps(NearestCentroid().fit(*load_iris(return_X_y=True))))
    predictor = start(folder, folder / "stderr", ("--model_name=iris-v1", "--endpoint=iris"), module=MODULE)
    yield predictor
    predictor.kill()
    assert predictor.process.stdout is not None
    predictor.process.stdout.close()


def test_it_speaks_v1_and_v2_under_both_names(served: Predictor) -> None:
    assert served.send_json("/v1/models/iris:predict", {"instances": [ROW]}).json == {"predictions": [0]}
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [1, 4], "data": ROW}
    reply = served.send_json("/v2/models/iris-v1/infer", {"inputs": [tensor]})
    assert reply.json["outputs"] == [{"name": "output-0", "datatype": "INT64", "shape": [1], "data": [0]}]
    assert reply.headers["x-turnout-version"] == "iris-v1"
    assert served.get("/v2/models/iris").json["platform"] == "sklearn"


def test_a_callers_mistake_is_a_400(served: Predictor) -> None:
    reply = served.send_json("/v1/models/iris:predict", {"instances": [[None, 1, 2, 3]]})
    assert (reply.status, "contains NaN" in reply.error) == (400, True)


@pytest.mark.parametrize("given", ["", "--allow_joblib=", "--allow_joblib=no"])
def test_a_joblib_file_without_leave_ends_it_with_the_reason(tmp_path: Path, given: str) -> None:
    joblib.dump({}, tmp_path / "model.joblib")
    flags = [flag for flag in ("--http_port=0", f"--model_dir={tmp_path}", "--model_name=m", given) if flag]
    found = ended(sys.executable, "-m", MODULE, *flags)

    assert found.returncode == 3
    last = found.stderr.splitlines()[-1]
    assert "ModelError" in last
    assert 'turnout.dev/allow-joblib: "true"' in last
