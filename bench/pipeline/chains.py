"""A pipeline of trivial steps, each waiting for the one before, in every way that is measured.

    python -m bench.pipeline.chains WAY STEPS FOLDER

Prints the seconds of the run alone as JSON; starting Python and importing the tool are not in them, except where a run
is a process of its own (Turnout's, Metaflow's).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["WAYS"]


def _compiled(steps: int, folder: Path, *, as_it_comes: bool = False) -> Path:
    """The YAML of a chain."""
    from kfp import compiler

    from bench.pipeline.adding import chain_of

    folder.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(chain_of(steps, as_it_comes=as_it_comes), str(folder / "chain.yaml"))
    return folder / "chain.yaml"


def turnout(steps: int, folder: Path) -> float:
    """The driver of a run: kfp.local, watched, with a record and a log for each step."""
    from turnout.runs import records
    from turnout.runs.records import RunRecord

    pipeline, home = _compiled(steps, folder), folder / "runs" / "run-1"
    home.mkdir(parents=True)
    (home / "spec.yaml").write_text("name: chain\n", encoding="utf-8")
    records.write(RunRecord("run-1", str(home), "chain", "accuracy", 1))
    lock = records.hold(home)
    command = [sys.executable, "-m", "turnout.runs.driver", str(home), str(lock), str(pipeline)]
    began = time.perf_counter()
    # It ends when its standard input does.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(lock,)) as driver:
        driver.wait()
    took = time.perf_counter() - began
    done = [step for step in records.read(home).steps if step.state == records.SUCCEEDED]
    if len(done) != steps:
        raise RuntimeError(f"{len(done)} of {steps} steps succeeded; see {home}/driver.log")
    return took


def kfp_local(steps: int, folder: Path, *, use_venv: bool = False) -> float:
    """kfp.local with what it takes to be quick: no virtual environment, nothing installed."""
    from kfp import components, local

    pipeline = components.load_component_from_file(str(_compiled(steps, folder, as_it_comes=use_venv)))
    local.init(local.SubprocessRunner(use_venv=use_venv), pipeline_root=str(folder / "outputs"))
    began = time.perf_counter()
    pipeline()
    return time.perf_counter() - began


def kfp_default(steps: int, folder: Path) -> float:
    """kfp.local as it comes: a virtual environment for each step, with pip and kfp in it."""
    return kfp_local(steps, folder, use_venv=True)


def bare(steps: int, folder: Path) -> float:
    """What a driver of our own would have to do at least: the compiled command of each step, one after the other."""
    import yaml

    document = next(iter(yaml.safe_load_all(_compiled(steps, folder).read_text(encoding="utf-8"))))
    container = next(iter(document["deploymentSpec"]["executors"].values()))["container"]
    began = time.perf_counter()
    last: Any = 0
    for step in range(steps):
        place = folder / f"step-{step}"
        outputs = {"parameters": {"Output": {"outputFile": str(place / "Output")}}, "outputFile": str(place / "report")}
        said = json.dumps({"inputs": {"parameterValues": {"number": last}}, "outputs": outputs})
        words = [said if word == "{{$}}" else word for word in (*container["command"], *container["args"])]
        words = [word.replace("python3", sys.executable) for word in words]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "_KFP_RUNTIME": "true"})
        last = json.loads((place / "report").read_text(encoding="utf-8"))["parameterValues"]["Output"]
    if last != steps:
        raise RuntimeError(f"{steps} steps add up to {last}")
    return time.perf_counter() - began


def metaflow(steps: int, folder: Path) -> float:
    """A flow of Metaflow; each step is a process, what it leaves is kept in a folder."""
    lines = ["from metaflow import FlowSpec, step", "class Chain(FlowSpec):"]
    names = ["start", *(f"step{number}" for number in range(steps - 2)), "end"]
    for place, name in enumerate(names):
        body = "self.number = 1" if place == 0 else "self.number += 1"
        after = f"; self.next(self.{names[place + 1]})" if place + 1 < len(names) else ""
        lines += ["    @step", f"    def {name}(self):", f"        {body}{after}"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.py").write_text("\n".join([*lines, "if __name__ == '__main__':", "    Chain()", ""]))
    quiet = {**os.environ, "METAFLOW_HOME": str(folder), "USERNAME": "bench", "METAFLOW_DEFAULT_METADATA": "local"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "flow.py", "run"], cwd=folder, env=quiet, check=True, capture_output=True)
    return time.perf_counter() - began


def prefect(steps: int, folder: Path) -> float:
    """A flow of Prefect with a temporary server of its own; tasks run in one process.

    The server takes half a minute to start, give or take more than all the steps: it is up when the clock starts.
    """
    os.environ |= {"PREFECT_HOME": str(folder), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"}
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "300"
    from prefect import flow, task

    @task
    def add(number: int) -> int:
        return number + 1

    @flow
    def chain(steps: int) -> int:
        last = 0
        for _ in range(steps):
            last = add(last)
        return last

    chain(1)
    began = time.perf_counter()
    if chain(steps) != steps:
        raise RuntimeError("the flow did not add up")
    return time.perf_counter() - began


WAYS: dict[str, Callable[[int, Path], float]] = {
    "turnout": turnout,
    "kfp_local": kfp_local,
    "kfp_default": kfp_default,
    "bare": bare,
    "metaflow": metaflow,
    "prefect": prefect,
}

if __name__ == "__main__":
    print("\n" + json.dumps(WAYS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))))
