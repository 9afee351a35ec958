"""The wine example: its script writes what its model.yaml reads."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.steps.tables import take
from turnout import spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "wine"


def test_every_row_that_the_script_writes_passes_the_checks(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "prepare.py"))["write"](tmp_path / "data")
    made = take(tmp_path, spec.load(EXAMPLE / "model.yaml", data_root=tmp_path))
    assert (made.rows, made.quarantined) == (178, 0)
    assert made.columns["strength"] == "string"
