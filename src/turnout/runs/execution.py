"""Start a run, follow it, and return its record."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import orjson

from turnout import settings
from turnout import spec as specs
from turnout.errors import SpecError, Unavailable
from turnout.runs import expecting, records
from turnout.runs.expecting import Expectation
from turnout.runs.records import RunRecord
from turnout.spec import ModelSpec

__all__ = ["Progress", "commit", "execute", "execute_again", "new_record"]

_GRACE_S = 5.0


@dataclass(frozen=True)
class Progress:
    """A step began (`seconds` is None) or ended; `left_s`: how long the run may still take, if earlier ones tell."""

    step: str
    state: str
    seconds: float | None
    error: str = ""
    left_s: float | None = None


def execute(
    spec_path: Path,
    *,
    namespace: str = "default",
    gate: bool = True,
    data_root: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> RunRecord:
    """Run the compiled training pipeline on this machine and return its record, however the run ended.

    A KeyboardInterrupt cancels the run, and the record says so. `gate=False` registers and deploys whatever the gate
    says; the version's tags keep that.

    Raises:
        SpecError: the spec is wrong; nothing is left of the run.
        Unavailable: the engine does not answer; nothing is left of the run.
    """
    spec = specs.load(spec_path, data_root=data_root, deep=False)
    environment = {**os.environ, **_engine_answers()}
    if not gate:
        spec = spec.model_copy(update={"gates": spec.gates.model_copy(update={"enabled": False})})
    parameters = {"namespace": namespace, "commit": commit(spec_path)}
    record = new_record(spec, home=settings.home(), parameters=parameters)
    # Registration keeps the run's id with the version.
    record = replace(record, parameters={**parameters, "run": record.id})
    try:
        with _driver(record, pipeline="training", environment=environment) as driver:
            # Both take as long as the run's process takes to begin reading data, which changes nothing anywhere: the
            # engine is asked at once instead of after a minute of training, and what only scikit-learn knows of a spec.
            _engine_answers()
            specs.load(spec_path, data_root=data_root)
            _follow(driver, progress, expecting.Expectation(records.list_runs(settings.home()), model=record.model))
    except (SpecError, Unavailable):
        shutil.rmtree(record.folder)
        raise
    except KeyboardInterrupt:
        # The run's process was ended on the way here, and has written that down.
        pass
    return records.read(Path(record.folder))


def execute_again(
    spec: ModelSpec,
    *,
    home: Path,
    parameters: Mapping[str, str],
    progress: Callable[[Progress], None] | None = None,
) -> RunRecord:
    """Run the compiled reproduction pipeline in a scratch home and return its record, however the run ended.

    The steps see no other home and no Kubernetes configuration: what they do cannot reach anything that serves.
    """
    record = new_record(spec, home=home, parameters=parameters)
    nowhere = {**os.environ, "TURNOUT_HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    with _driver(record, pipeline="reproduction", environment=nowhere) as driver:
        _follow(driver, progress, None)
    return records.read(Path(record.folder))


def _follow(
    driver: subprocess.Popen[str], progress: Callable[[Progress], None] | None, expected: Expectation | None
) -> None:
    """Pass events on until the run's process ends."""
    assert driver.stdout is not None
    for line in driver.stdout:
        heard = Progress(**orjson.loads(line))
        left_s = expected.left_s(heard.step, is_over=heard.seconds is not None) if expected else None
        if progress is not None:
            progress(replace(heard, left_s=left_s))
    driver.wait()


def _engine_answers() -> dict[str, str]:
    """What the steps need in their environment, of an engine that answers.

    Raises:
        Unavailable: nobody answers where the Kubernetes API should be.
    """
    from turnout.kube import client, discovery

    try:
        kube = client.connect()
        discovery.discover(kube)
        return discovery.object_store(kube)
    except Unavailable as error:
        hint = "" if "turnout up" in str(error) else "; start it with `turnout up`"
        raise Unavailable(f"{error}{hint}") from error


def new_record(spec: ModelSpec, *, home: Path, parameters: Mapping[str, str]) -> RunRecord:
    """A folder for a run, with its spec, and the record of a run that begins now."""
    started_us = time.time_ns() // 1_000
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started_us / 1e6))
    run = f"{spec.name}-{stamp}-{secrets.token_hex(2)}"
    folder = home / "runs" / run
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(spec.dump(), encoding="utf-8")
    return RunRecord(
        id=run,
        folder=str(folder),
        model=spec.name,
        metric=spec.metric,
        started_us=started_us,
        parameters=dict(parameters),
    )


def commit(spec_path: Path) -> str:
    """The commit of the folder that the spec is in, `-dirty` when files differ from it; empty outside of git."""
    command = ["git", "-C", str(spec_path.absolute().parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True, timeout=5, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


@contextmanager
def _driver(record: RunRecord, *, pipeline: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The run's process, in a group of its own: whatever ends us, ends it and the step that it is at."""
    folder = Path(record.folder)
    file = resources.files("pipelines") / f"{pipeline}.yaml"
    lock = records.hold(folder)
    records.write(record)
    with (folder / "driver.log").open("ab") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "turnout.runs.driver", str(folder), str(lock), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(environment),
            pass_fds=(lock,),
            start_new_session=True,
            text=True,
        )
    os.close(lock)
    try:
        yield driver
    finally:
        _end(driver)


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Steps tell what they do line by line."""
    return {**inherited, "PYTHONUNBUFFERED": "1"}


def _end(driver: subprocess.Popen[str]) -> None:
    if driver.poll() is not None:
        return
    # It writes down that it was cancelled, and ends its step and itself.
    driver.terminate()
    try:
        driver.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
