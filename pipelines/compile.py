"""Compile every pipeline to the YAML beside it: `python -m pipelines.compile`. A test compares the committed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kfp import compiler

from pipelines.reproduction import reproduction
from pipelines.training import training

FOLDER = Path(__file__).parent
PIPELINES: dict[str, Any] = {"reproduction": reproduction, "training": training}


def compile_all(to: Path) -> None:
    """Write every compiled pipeline into a folder."""
    for name, pipeline in PIPELINES.items():
        compiler.Compiler().compile(pipeline, str(to / f"{name}.yaml"))


if __name__ == "__main__":
    compile_all(FOLDER)
