"""Versions side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.errors import InputError, NotFound
from turnout.lineage import comparing
from turnout.steps import provenance
from turnout.steps.provenance import Provenance
from turnout.steps.snapshots import Snapshot


@pytest.fixture
def shelf(tmp_path: Path) -> str:
    """Two versions in an artifact store: the later one learned from more rows and scores better."""
    for number, rows, score in ((8, 240, 0.9), (9, 999, 0.99)):
        provenance.write(_origin(number, rows=rows, score=score), artifacts_url=tmp_path.as_uri())
    return tmp_path.as_uri()


def _origin(number: int, *, rows: int, score: float) -> Provenance:
    snapshot = Snapshot(f"snap-{number}", "sha256:5", rows, {"id": "int"}, ("id",), "kind", (), 0)
    evaluated = {
        "candidate": "tree",
        "parameters": {"estimator": "sklearn.tree.DecisionTreeClassifier", "model.max_depth": 4},
        "metrics": {"test_accuracy": score, "cv_score": 0.9},
    }
    return Provenance(
        version=f"digits-v{number}",
        digest=f"sha256:{number}",
        registered_us=1_795_183_200_000_000,
        inputs="",
        run=f"run-{number}",
        job="",
        mlflow_run="",
        commit="",
        image="",
        spec="",
        snapshot=snapshot,
        environment=provenance.environment(),
        steps={"evaluate": evaluated},
    )


def test_what_differs_is_shown_and_every_metric(shelf: str) -> None:
    sides = comparing.compare(["digits-v8", "digits-v9"], artifacts_url=shelf)
    rows = {row["what"]: row for row in comparing.table(sides)}
    assert rows["rows"]["digits-v8"] == 240
    assert rows["rows"]["digits-v9"] == 999
    assert rows["test_accuracy"]["digits-v9"] == 0.99
    assert "estimator" not in rows
    assert {"estimator", "snapshot"} <= {row["what"] for row in comparing.table(sides, everything=True)}
    assert "cv_score" in rows


def test_one_version_is_shown_whole(shelf: str) -> None:
    sides = comparing.compare(["digits-v8"], artifacts_url=shelf)
    assert {"snapshot", "estimator", "cv_score"} <= {row["what"] for row in comparing.table(sides)}


def test_a_version_that_nobody_knows_is_named(shelf: str) -> None:
    with pytest.raises(NotFound, match="digits-v77: no pipeline registered it"):
        comparing.compare(["digits-v77"], artifacts_url=shelf)
    with pytest.raises(InputError, match="digits-v9 is named twice"):
        comparing.compare(["digits-v9", "digits-v9"], artifacts_url=shelf)


def test_the_command_prints_a_table_or_json(shelf: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNOUT_ARTIFACTS_URL", shelf)
    done = CliRunner().invoke(app, ["compare", "digits-v8", "digits-v9"])
    assert done.exit_code == 0, done.output
    assert "999" in done.output
    found = json.loads(CliRunner().invoke(app, ["compare", "digits-v9", "--json"]).output)
    assert found[0]["metrics"]["test_accuracy"] == 0.99
