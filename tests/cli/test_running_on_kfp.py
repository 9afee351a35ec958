"""`turnout run --engine kfp`: what is printed when a step fails on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.runs import on_kfp
from turnout.runs.records import FAILED, RunRecord, StepRecord

LOG = "time=... level=info\nTraceback (most recent call last):\n  File x, line [3]\nValueError: 5 rows, wanted 9\n"


def test_the_failing_steps_own_traceback_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "count.log").write_text(LOG)
    step = StepRecord("count", "count.log", state=FAILED, error="ValueError: 5 rows, wanted 9")
    record = RunRecord("rows-1", str(tmp_path), "rows", "accuracy", 1, state=FAILED, steps=(step,))
    monkeypatch.setattr(on_kfp, "connect", lambda: None)
    monkeypatch.setattr(on_kfp, "execute", lambda *_, **__: record)
    done = CliRunner().invoke(app, ["run", "--engine", "kfp", "model.yaml"])
    assert "Traceback (most recent call last):\n  File x, line [3]\nValueError: 5 rows, wanted 9\n" in done.stderr
    assert "level=info" not in done.stderr
    assert done.exit_code == 1
    assert "step count failed: ValueError: 5 rows, wanted 9" in done.stderr
