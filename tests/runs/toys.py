"""Pipelines of seconds with the shape of the training pipeline, compiled by KFP and run by the real driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from kfp import compiler, dsl

from turnout.runs import records
from turnout.runs.records import RunRecord

component = dsl.component(packages_to_install=[], install_kfp_package=False, base_image="ghcr.io/turnout-dev/pipeline")


def new_record(folder: Path, **more: Any) -> RunRecord:
    """The record of a run that has not begun."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.yaml").write_text("name: digits\n")
    values = {"id": folder.name, "folder": str(folder), "model": "digits", "metric": "accuracy", "started_us": 1}
    return RunRecord(**{**values, **more})


def compiled(pipeline: Any, folder: Path) -> Path:
    """The pipeline's YAML."""
    file = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(file))
    return file


@contextmanager
def driving(record: RunRecord, pipeline: Path) -> Iterator[subprocess.Popen[str]]:
    """The driver's process, as `execute` starts it."""
    lock = records.hold(Path(record.folder))
    records.write(record)
    with Path(record.folder, "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnout.runs.driver", record.folder, str(lock), str(pipeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
            text=True,
        )
    os.close(lock)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def driven(pipeline: Any, folder: Path) -> tuple[RunRecord, list[dict[str, Any]]]:
    """Run a pipeline to its end: its record and the events on the way."""
    record = new_record(folder / "run-1")
    with driving(record, compiled(pipeline, folder)) as process:
        assert process.stdout is not None
        events = [orjson.loads(line) for line in process.stdout]
        process.wait(20)
    return records.read(folder / "run-1"), events
