"""`turnout simulate` as a stranger meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turnout.cli.app import app

WINE = Path(__file__).parents[2] / "examples" / "wine" / "model.yaml"
ENDPOINT = ("--base", "0.9", "--traffic", "1000")


def call(*words: str):
    return CliRunner().invoke(app, ["simulate", *words])


def test_it_shows_what_becomes_of_a_challenger_and_what_it_costs() -> None:
    done = call(*ENDPOINT, "--effect", "-0.2", "--runs", "20", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    (row,) = told["effects"]
    assert row["rolled_back"] >= 0.9
    assert row["exposed"] > 0
    assert row["hours"] >= 1.0
    assert told["policy"]["steps"] == [5, 20, 50]


def test_the_policy_comes_from_a_file_and_flags_win(tmp_path: Path) -> None:
    manifest = tmp_path / "turnout.yaml"
    manifest.write_text("kind: Turnout\nspec: {policy: {margin: 0.1, labelWindow: 2h}}\n")
    done = call(str(manifest), *ENDPOINT, "--effect", "-0.3", "--runs", "20", "--label-window", "3h", "--json")
    policy = json.loads(done.output)["policy"]
    assert policy["margin"] == 0.1
    assert policy["labelWindow"] == 3 * 3_600_000_000


def test_a_model_spec_is_read_as_well() -> None:
    done = call(str(WINE), *ENDPOINT, "--effect", "-0.4", "--runs", "20")
    assert done.exit_code == 0, done.output
    assert "exposed" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--users", "50"), "users: at least"),
        (("--users", "0"), "--users: a number of 1 or more was wanted, found 0"),
        (("--label-delay", "soon"), "--label-delay: a duration such as 90s"),
        (("--steps", "5,many"), "--steps: percents such as 5,20,50 were wanted, found 5,many"),
        (("--steps", "50,20"), "steps must rise strictly"),
        (("--alpha", "2"), "policy.alpha"),
        (("--effect", "0.5"), "effect: base + effect between 0 and 1"),
        (("nowhere.yaml",), "nowhere.yaml: a readable file was wanted"),
    ],
)
def test_wrong_words_are_explained(words: tuple[str, ...], message: str) -> None:
    done = call(*words, *ENDPOINT)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_sticky_turnout_wants_the_number_of_users(tmp_path: Path) -> None:
    manifest = tmp_path / "turnout.yaml"
    manifest.write_text("kind: Turnout\nspec: {sticky: {header: x-user}}\n")
    done = call(str(manifest), *ENDPOINT)
    assert done.exit_code == 2
    assert "--users was wanted" in done.output


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("kind: Pod\n")
    done = call(str(other), *ENDPOINT)
    assert done.exit_code == 2
    assert "a model.yaml or a manifest of kind Turnout was wanted" in " ".join(done.output.split())
