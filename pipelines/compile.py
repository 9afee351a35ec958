"""Compile every pipeline to the YAML beside it: `python -m pipelines.compile`. A test compares the committed file."""

from __future__ import annotations

from pathlib import Path

from kfp import compiler

from pipelines.training import training

TRAINING = Path(__file__).with_name("training.yaml")


def compile_training(to: Path) -> None:
    """Write the compiled training pipeline."""
    compiler.Compiler().compile(training, str(to))


if __name__ == "__main__":
    compile_training(TRAINING)
