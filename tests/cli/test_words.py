"""The command line as a stranger meets it: help, wrong words, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turnout.cli.app import app

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture
def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without an engine and a person without a kubeconfig."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def call(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "down",
        "status",
        "demo",
        "init",
        "run",
        "runs",
        "compare",
        "data",
        "predict",
        "feedback",
        "trace",
        "live",
        "reproduce",
        "audit",
        "ledger",
        "spec",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    done = call(command, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.output


@pytest.mark.parametrize("words", [["fly"], ["run"], ["up", "--gateway-port", "high"], ["demo", "--fast"]])
def test_wrong_words_end_with_2(words: list[str]) -> None:
    assert call(*words).exit_code == 2


@pytest.mark.parametrize("words", [["predict", "digits", "[[1]]"], ["trace", "abc"], ["live"], ["audit", "verify"]])
def test_without_an_engine_the_way_to_start_one_is_named(lonely: Path, words: list[str]) -> None:
    done = call(*words)
    assert done.exit_code == 1
    assert "turnout up" in done.stderr


def test_status_without_an_engine_ends_with_1_and_down_with_0(lonely: Path) -> None:
    assert call("status").exit_code == 1
    assert call("down").exit_code == 0


@pytest.mark.parametrize(
    ("rows", "problem"), [("{", "JSON was wanted"), ('{"a": 1}', "a list of rows was wanted, found dict")]
)
def test_rows_that_are_no_rows_end_with_2(lonely: Path, rows: str, problem: str) -> None:
    done = call("predict", "digits", rows)
    assert done.exit_code == 2
    assert problem in done.stderr


def test_feedback_wants_exactly_one_of_label_and_score(lonely: Path) -> None:
    done = call("feedback", "abc")
    assert done.exit_code == 2
    assert "exactly one of --label and --score" in done.stderr


def test_the_schema_of_model_yaml_is_printed_as_json() -> None:
    assert "properties" in json.loads(call("spec", "schema").output)


@pytest.mark.parametrize(
    ("command", "right", "wrong", "field"),
    [
        (["run"], "folds: 3", "foldz: 3", "foldz"),
        (["spec", "check"], "sklearn.ensemble.RandomForest", "os.path.Forest", "candidates[0].estimator"),
        (["spec", "check"], "max_depth", "max_dept", "candidates[0].grid"),
    ],
)
def test_a_wrong_spec_ends_with_2_and_names_line_and_field(
    lonely: Path, command: list[str], right: str, wrong: str, field: str
) -> None:
    spec = lonely / "model.yaml"
    spec.write_text((DIGITS / "forest.yaml").read_text().replace(right, wrong))
    done = call(*command, str(spec))
    assert done.exit_code == 2
    assert "model.yaml:" in done.stderr
    assert field in done.stderr


def test_a_missing_spec_ends_with_2(lonely: Path) -> None:
    done = call("run", "nowhere.yaml")
    assert done.exit_code == 2
    assert "nowhere.yaml" in done.stderr


def test_runs_without_any_run_is_an_empty_table(lonely: Path) -> None:
    done = call("runs", "--json")
    assert (done.exit_code, json.loads(done.output)) == (0, [])


def test_an_unknown_run_is_named(lonely: Path) -> None:
    done = call("runs", "run-x")
    assert done.exit_code == 1
    assert "run-x" in done.stderr
