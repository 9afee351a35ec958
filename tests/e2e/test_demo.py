"""The whole story, as `make demo` tells it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BIN, ROOT
from turnout.embedded import lifecycle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DIGITS = ROOT / "examples" / "digits"


def tell(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [str(BIN / "turnout"), "demo", *words], cwd=folder, capture_output=True, text=True, timeout=380, check=False
    )
    result = folder / ".turnout" / "demo" / "result.json"
    assert result.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(result.read_text()), done.stdout + done.stderr


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(file.read_text().replace("\0", " "))
    return found


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {d["version"]: d["verdict"] for d in result["decisions"]}


def check_books(result: dict[str, Any]) -> None:
    assert result["requests"]["failed"] == 0
    assert result["requests"]["answered"] == result["requests"]["sent"] > 500
    assert result["ledger"]["missing"] == 0
    assert result["ledger"]["duplicated"] == 0
    assert result["ledger"]["labelled"] > 300


def test_a_better_version_is_promoted_and_a_broken_one_is_rolled_back(tmp_path: Path) -> None:
    code, result, output = tell(tmp_path)
    assert code == 0, output
    assert verdicts(result) == {"digits-v2": "promote", "digits-v3": "rollback"}
    assert result["champion"] == "digits-v2"
    check_books(result)
    assert "turnout trace" in output
    assert (tmp_path / ".turnout" / "demo" / "report.html").read_text().count("<svg") == 1
    assert len({v["snapshot"] for v in result["versions"][:2]}) == 1
    assert result["versions"][2]["snapshot"] != result["versions"][0]["snapshot"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [str(BIN / "turnout"), "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.strip().startswith("featurize"):
                demo.send_signal(number)
                break
        rest = demo.stdout.read()
    assert demo.returncode == 130, rest
    assert lifecycle.status(tmp_path / ".turnout" / "demo").running is False
    assert [command for command in commands() if str(tmp_path) in command] == []


@pytest.mark.long
def test_with_the_files_swapped_and_no_gate_the_worse_one_is_rolled_back(tmp_path: Path) -> None:
    words = ("--first", str(DIGITS / "forest.yaml"), "--second", str(DIGITS / "naive-bayes.yaml"), "--no-gate")
    code, result, output = tell(tmp_path, *words)
    assert code == 0, output
    assert verdicts(result)["digits-v2"] == "rollback"
    assert result["champion"] == "digits-v1"
    check_books(result)


@pytest.mark.long
def test_with_the_gate_on_the_worse_one_never_reaches_a_request(tmp_path: Path) -> None:
    words = ("--first", str(DIGITS / "forest.yaml"), "--second", str(DIGITS / "naive-bayes.yaml"))
    code, result, output = tell(tmp_path, *words)
    assert code == 0, output
    assert result["versions"][1]["version"] is None
    assert result["versions"][1]["requests"] == 0
    assert result["champion"] == "digits-v1"
    check_books(result)
