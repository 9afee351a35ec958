"""Runs on a Kubeflow Pipelines server: the same compiled file, the same record, the same progress.

Only the image's name in the file is another one. Local sources go into the artifact store first, under a digest of
their content: steps in Pods can read nothing of this machine, and a key that names content is never stale. The server
tells states and times of tasks; what came out of them is read where the steps leave it (`turnout.results`), and
why one failed in its log.
"""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from turnout import results, settings, storage
from turnout import spec as specs
from turnout.errors import InputError, TurnoutError, Unavailable
from turnout.kube import client, discovery
from turnout.runs import execution, failures, records
from turnout.runs.execution import Progress
from turnout.runs.kfp_api import ENDED, Kfp
from turnout.runs.records import FAILED, REFUSED, RUNNING, SUCCEEDED, RunRecord, StepRecord
from turnout.spec import ModelSpec

__all__ = ["Cluster", "connect", "execute", "follow", "pipeline", "schedule"]

_PIPELINE = "turnout-training"
_STATES = {"SUCCEEDED": SUCCEEDED, "FAILED": FAILED, "CANCELED": FAILED}
_POLL_S = 2.0


@dataclass(frozen=True)
class Cluster:
    """What a run on a cluster needs."""

    kfp: Kfp
    artifacts_url: str
    image: str


def connect() -> Cluster:
    """Find it by KUBECONFIG.

    Raises:
        Unavailable: no cluster answers, or it has no Kubeflow Pipelines.
    """
    kube = client.connect()
    os.environ.update(discovery.object_store(kube))
    addresses = discovery.discover(kube)
    if not addresses.kfp_url:
        raise Unavailable(
            f"the cluster at {kube.server} names no Kubeflow Pipelines (ConfigMap {discovery.CONFIG_MAP}, kfpUrl)"
        )
    return Cluster(Kfp(addresses.kfp_url), addresses.artifacts_url, addresses.pipeline_image)


def execute(
    spec_path: Path,
    *,
    cluster: Cluster,
    namespace: str = "default",
    gate: bool = True,
    data_root: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> RunRecord:
    """Run the compiled training pipeline on the cluster and return its record, however the run ended.

    Raises:
        SpecError: the spec is wrong; nothing was sent.
        Unavailable: the server does not answer.
    """
    spec = _prepared(spec_path, cluster=cluster, gate=gate, data_root=data_root)
    version = cluster.kfp.upload(_PIPELINE, pipeline(cluster.image))
    parameters = {"namespace": namespace, "commit": execution.commit(spec_path)}
    record = execution.new_record(spec, home=settings.home(), parameters=parameters)
    parameters = {**parameters, "run": record.id}
    record = replace(record, parameters=parameters)
    lock = records.hold(Path(record.folder))
    try:
        records.write(record)
        run = cluster.kfp.start(version, name=record.id, parameters={**parameters, "spec": spec.dump()})
        record = replace(record, parameters={**parameters, "kfp": run})
        record = follow(record, cluster=cluster, progress=progress)
    finally:
        os.close(lock)
    return record


def schedule(spec_path: Path, *, cluster: Cluster, cron: str, namespace: str, data_root: Path | None) -> str:
    """Run the pipeline again and again, with the sources that the spec names; the schedule's id.

    Raises:
        InputError: the cron has not six fields, or a source is a file of this machine, which would never change.
    """
    spec = specs.load(spec_path, data_root=data_root)
    files = [source.path for source in spec.sources if not storage.is_url(source.path)]
    if files:
        raise InputError(f"{spec_path}: a schedule reads its sources anew each time; {', '.join(files)} are files here")
    version = cluster.kfp.upload(_PIPELINE, pipeline(cluster.image))
    parameters = {"namespace": namespace, "commit": execution.commit(spec_path), "run": "", "spec": spec.dump()}
    return cluster.kfp.schedule(version, name=f"{spec.name}-{namespace}", cron=cron, parameters=parameters)


def pipeline(image: str) -> str:
    """The compiled training pipeline with the cluster's image."""
    text = (resources.files("pipelines") / "training.yaml").read_text(encoding="utf-8")
    executors = yaml.safe_load(text.partition("\n---\n")[0])["deploymentSpec"]["executors"]
    (ours,) = {executor["container"]["image"] for executor in executors.values()}
    return text.replace(f"image: {ours}", f"image: {image}") if image else text


def follow(
    record: RunRecord,
    *,
    cluster: Cluster,
    progress: Callable[[Progress], None] | None = None,
    poll_s: float = _POLL_S,
) -> RunRecord:
    """Keep the record up to date until the run has ended; a server that is away for a while is waited for."""
    run = str(record.parameters["kfp"])
    while True:
        try:
            found = cluster.kfp.run(run)
        except Unavailable:
            time.sleep(poll_s)
            continue
        record = _noted(record, found, progress)
        records.write(record)
        if found.get("state") in ENDED:
            break
        time.sleep(poll_s)
    record = _ended(record, found, cluster)
    records.write(record)
    return record


def _prepared(spec_path: Path, *, cluster: Cluster, gate: bool, data_root: Path | None) -> ModelSpec:
    spec = specs.load(spec_path, data_root=data_root)
    if not gate:
        spec = spec.model_copy(update={"gates": spec.gates.model_copy(update={"enabled": False})})
    sources = tuple(
        source
        if storage.is_url(source.path)
        else source.model_copy(update={"path": _uploaded(source.path, to=cluster.artifacts_url)})
        for source in spec.sources
    )
    return spec.model_copy(update={"sources": sources})


def _uploaded(path: str, *, to: str) -> str:
    """The address of a local file, folder or pattern in the artifact store, by its content.

    Raises:
        InputError: nothing is there.
    """
    root = Path(path)
    found = sorted(root.rglob("*")) if root.is_dir() else sorted(Path(name) for name in glob.glob(path, recursive=True))
    files = [file for file in found if file.is_file()]
    if not files:
        raise InputError(f"{path}: no such file, and no files that match it")
    base = root if root.is_dir() else Path(os.path.commonpath([file.parent for file in files]))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(base)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    folder = storage.join(to, "sources", digest.hexdigest()[:32])
    for file in files:
        place = storage.at(storage.join(folder, file.relative_to(base).as_posix()))
        if not place.exists():
            place.write_bytes(file.read_bytes())
    return storage.join(folder, files[0].name) if len(files) == 1 and not root.is_dir() else folder


def _noted(record: RunRecord, found: Mapping[str, Any], progress: Callable[[Progress], None] | None) -> RunRecord:
    """The record with what the server says of the tasks now."""
    before = {(step.task, step.item): step.state for step in record.steps}
    steps = tuple(_steps(found))
    for step in steps:
        if progress is not None and before.get((step.task, step.item)) != step.state:
            progress(Progress(step.name, step.state, step.seconds))
    return replace(record, steps=steps)


def _steps(found: Mapping[str, Any]) -> Iterator[StepRecord]:
    """One per executed task, by their begin; iterations of a loop are numbered in that order."""
    tasks = _tasks(found)
    for task in tasks:
        alike = [other["task_id"] for other in tasks if other["display_name"] == task["display_name"]]
        ended = _us(task.get("end_time"))
        yield StepRecord(
            task=task["display_name"],
            item=str(alike.index(task["task_id"]) + 1) if len(alike) > 1 else "",
            log=f"logs/{task['display_name']}-{alike.index(task['task_id']) + 1}.log",
            state=_STATES.get(task.get("state", ""), RUNNING),
            started_us=_us(task.get("start_time")) or 0,
            finished_us=ended if task.get("state") in ENDED else None,
        )


def _tasks(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the server says of the executed tasks."""
    tasks = [task for task in (found.get("run_details") or {}).get("task_details") or [] if _is_step(task)]
    return sorted(tasks, key=lambda task: (_us(task.get("start_time")) or 0, task["task_id"]))


def _is_step(task: Mapping[str, Any]) -> bool:
    return task.get("display_name") in _names() and task.get("state") not in (None, "PENDING", "SKIPPED")


@cache
def _names() -> frozenset[str]:
    """The pipeline's own tasks; the server also lists drivers, executors, loops and the root."""
    return frozenset(_executed(yaml.safe_load(pipeline("").partition("\n---\n")[0])))


def _executed(spec: Mapping[str, Any]) -> Iterator[str]:
    components = spec["components"]
    dags = [spec["root"], *(component for component in components.values() if "dag" in component)]
    for dag in dags:
        for task in dag["dag"]["tasks"].values():
            if "executorLabel" in components.get(task["componentRef"]["name"], {}):
                yield task["taskInfo"]["name"]


def _us(text: str | None) -> int | None:
    """Microseconds since 1970; the server writes the year 1 for a time that has not come."""
    if not text or text.startswith("0001-"):
        return None
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def _ended(record: RunRecord, found: Mapping[str, Any], cluster: Cluster) -> RunRecord:
    record = replace(record, finished_us=_us(found.get("finished_at")) or time.time_ns() // 1_000)
    record = _with_logs(record, found, cluster.kfp)
    try:
        record = _with_results(record, cluster.artifacts_url)
    except TurnoutError as problem:
        sentence = f"the server says {found.get('state')}, but what the steps left could not be read: {problem}"
        return replace(record, state=FAILED, error=sentence)
    if found.get("state") != "SUCCEEDED":
        named = any(step.state == FAILED for step in record.steps)
        error = "" if named else f"the server says {found.get('state')} and names no step"
        return replace(record, state=FAILED, error=error)
    if record.report is None:
        error = (
            f"evaluate left no result in {cluster.artifacts_url}/runs/{record.id}: is the image {cluster.image} older?"
        )
        return replace(record, state=FAILED, error=error)
    return replace(record, state=REFUSED if record.refused else SUCCEEDED)


def _with_results(record: RunRecord, artifacts_url: str) -> RunRecord:
    """Outputs and artifacts as the steps left them, in the places where a run on this machine has them."""
    steps = []
    for step in record.steps:
        left = results.find(step.task, run=record.id, artifacts_url=artifacts_url)
        if "report" in left["artifacts"]:
            page = Path(record.folder, "artifacts", "report.html")
            page.parent.mkdir(exist_ok=True)
            results.fetch_report(record.id, artifacts_url=artifacts_url, to=page)
            left["artifacts"]["report"]["uri"] = str(page)
        steps.append(replace(step, outputs=left["outputs"], artifacts=left["artifacts"]))
    return replace(record, steps=tuple(steps))


def _with_logs(record: RunRecord, found: Mapping[str, Any], kfp: Kfp) -> RunRecord:
    """Every step's log in the record's folder; why one failed stands there only, in no field of the answer."""
    steps = []
    for task, step in zip(_tasks(found), record.steps, strict=True):
        text = _log(kfp, str(found["run_id"]), task)
        file = Path(record.folder, step.log)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        steps.append(replace(step, error=failures.sentence(text)) if step.state == FAILED else step)
    return replace(record, steps=tuple(steps))


def _log(kfp: Kfp, run: str, task: Mapping[str, Any]) -> str:
    for child in task.get("child_tasks") or []:
        try:
            return kfp.log(run, str(child["pod_name"]))
        except TurnoutError as error:
            return f"its log could not be read: {error}\n"
    return "the server names no Pod of it\n"
