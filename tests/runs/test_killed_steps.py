"""kill -9 in every step of the real training pipeline: the next run goes on from the last one that was finished.

(The same with a pipeline of seconds: test_driving_a_pipeline.)
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines import compile as compiling
from tests.runs.test_executing_on_the_engine import _spec
from tests.steps.learning import numbers
from turnout.embedded import lifecycle
from turnout.runs import Progress, execute
from turnout.runs.records import FAILED, REUSED, RUNNING, SUCCEEDED

STEPS = ("ingest", "featurize", "train", "evaluate", "register", "deploy")
# What is behind them is taken again; ingest and what judges or has effects is always done anew.
TAKEN = {"train": {"featurize"}, **{step: {"featurize", "train"} for step in STEPS[3:]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("killed") / "home"
    lifecycle.up(folder, gateway_port=0)
    yield folder
    lifecycle.down(folder)


def test_these_are_all_steps_of_the_training_pipeline() -> None:
    document = next(iter(yaml.safe_load_all((compiling.FOLDER / "training.yaml").read_text())))
    assert {name.removeprefix("exec-") for name in document["deploymentSpec"]["executors"]} == set(STEPS)


def _kill(step: str) -> None:
    """The process of a step of a run that this process started, as soon as it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = file.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "--function_to_execute" in words and words[words.index("--function_to_execute") + 1] == step:
                pid = int(file.parent.name)
                if os.getppid() != pid and _is_below(pid, os.getpid()):
                    os.kill(pid, signal.SIGKILL)
                    return
        time.sleep(0.01)
    raise AssertionError(f"no process of step {step} was seen")


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_in_a_step_is_resumed_by_running_it_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("TURNOUT_HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(home / "kubeconfig"))
    # Other rows for each: what one run did is taken by all that ask the same of the same content.
    spec = _spec(tmp_path, name=f"k-{step}", table=numbers(240 + STEPS.index(step)))
    killed: list[str] = []

    def kill(event: Progress) -> None:
        if not killed and event.state == RUNNING and event.step.partition(" ")[0] == step:
            killed.append(event.step)
            _kill(step)

    broken = execute(spec, progress=kill)
    assert killed
    assert broken.state == FAILED
    assert broken.failure is not None
    assert broken.failure[0].partition(" ")[0] == step
    again = execute(spec)
    assert (again.state, again.failure) == (SUCCEEDED, None)
    reused = {done.task for done in again.steps if done.state == REUSED}
    assert reused == TAKEN.get(step, set()) or (step == "train" and reused == {"featurize", "train"})
    # A number that was given before the kill is not given again; who died later than that left one behind.
    versions = {"register": (1, 2), "deploy": (2,)}.get(step, (1,))
    assert again.version in {f"k-{step}-v{number}" for number in versions}
