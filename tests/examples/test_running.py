"""The command that runs an example, and the download of its data, where they cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import packages
from examples.__main__ import EXAMPLES, main
from tests.examples import readmes
from tests.examples.readmes import ROOT

PINNED = "some-data==1.0 --hash=sha256:" + "0" * 64 + "\n"


@pytest.mark.parametrize("arguments", [[], ["planes"]])
def test_an_example_that_is_none_is_answered_with_those_that_are(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert f"one of {', '.join(EXAMPLES)}" in capsys.readouterr().err


def test_every_example_has_a_readme_that_runs_it_with_one_command() -> None:
    folders = sorted(folder.parent.name for folder in (ROOT / "examples").glob("*/README.md"))
    assert folders == sorted(EXAMPLES)
    for name in EXAMPLES:
        typed = [command for command, _ in readmes.commands(ROOT / "examples" / name / "README.md")]
        assert typed[0] == f"make example NAME={name}"


def test_an_archive_that_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "package.txt").write_text(f"--no-binary some-data\n{PINNED}")
    (tmp_path / "data").mkdir()
    archive = tmp_path / "data" / "Some_Data-1.0.tar.gz"
    archive.touch()
    assert packages.archive(tmp_path) == archive


def test_a_package_index_that_does_not_have_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package.txt").write_text(PINNED)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    with pytest.raises(SystemExit, match=r"some-data: pip could not download it .* \(does it answer\?\): ERROR"):
        packages.archive(tmp_path)


def test_without_pip_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package.txt").write_text(PINNED)
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(SystemExit, match="no pip was found to download it; install python3-pip"):
        packages.archive(tmp_path)


def test_a_readme_that_promises_something_else_fails(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("```console\n$ python -c print(6*7)\n42\n$ python -c print(1)\n...\n```\n")
    readmes.check(readme, {}, timeout_s=60.0)
    readme.write_text("```console\n$ python -c print(6*7)\n43\n```\n")
    with pytest.raises(AssertionError, match="its README promises\n43"):
        readmes.check(readme, {}, timeout_s=60.0)


def test_a_step_that_fails_ends_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(program: str, *words: str, quiet: bool = False) -> None:
        raise subprocess.CalledProcessError(2, [program, *words])

    monkeypatch.setattr("examples.__main__._typed", refuse)
    assert main(["clusters"]) == 1
