"""One loaded version, and everything that answers for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from turnout.predictor import recording
from turnout.predictor.artifact import Manifest
from turnout.predictor.batching import AccessLog, Batcher
from turnout.predictor.identity import Identity
from turnout.predictor.inference import Inference
from turnout.predictor.metrics import Metrics, Sheets
from turnout.predictor.model import Load, Servable
from turnout.predictor.recording import Policy, Recording
from turnout.predictor.v1 import V1, V1Query
from turnout.predictor.v2 import V2

__all__ = ["Ledger", "Served", "Serving", "serve_version"]


@dataclass(frozen=True)
class Ledger:
    """Where records go, and on which terms."""

    url: str
    token_file: str
    policy: Policy


@dataclass(frozen=True)
class Serving:
    """What all versions of a process have in common; `worker` counts from 0."""

    ledger: Ledger
    log_dir: Path | None
    max_rows: int
    gathers: bool
    access_log: AccessLog | None
    loop: asyncio.AbstractEventLoop
    load: Load
    worker: int = 0


@dataclass(frozen=True, eq=False)
class Served:
    """A version: its names (the endpoint's first), how it is asked, and what it keeps."""

    identity: Identity
    manifest: Manifest
    v1: V1
    v1_query: V1Query
    v2: V2
    batcher: Batcher
    metrics: Metrics
    recording: Recording

    @property
    def version(self) -> str:
        return self.identity.version

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.identity.endpoint, self.identity.version)))

    def metrics_lines(self) -> list[str]:
        """What it has done, as Prometheus text."""
        return list(self.metrics.lines(self.recording.metrics(self.metrics.labels)))

    def mirror(self) -> None:
        """Let the other workers know what this one's log says."""
        self.metrics.mirror(self.recording.metrics(self.metrics.labels))


def serve_version(model: Servable, identity: Identity, serving: Serving, *, sheets: Sheets, is_main: bool) -> Served:
    """Everything around a loaded model; recording has not been started yet.

    Every log has one writer: another worker and another version keep theirs in a folder and under a name of their own.

    Raises:
        Conflict: another process uses the log's folder.
        Failed: the log's folder cannot be written.
    """
    manifest, version = model.manifest, identity.version
    own = "" if is_main else version
    if serving.worker:
        own = f"{own}.{serving.worker}" if own else f"worker-{serving.worker}"
    pod = replace(identity, pod=f"{identity.pod}.{own}") if own else identity
    metrics = Metrics(model=identity.endpoint, version=version, sheets=sheets, worker=serving.worker)
    kept = recording.record(
        serving.log_dir and serving.log_dir / own,
        pod,
        ledger_url=serving.ledger.url,
        ledger_token_file=serving.ledger.token_file,
        policy=serving.ledger.policy,
        loop=serving.loop,
    )
    v1 = V1(manifest, max_rows=serving.max_rows)
    return Served(
        identity=identity,
        manifest=manifest,
        v1=v1,
        v1_query=V1Query(v1, manifest),
        v2=V2(manifest, version=version, max_rows=serving.max_rows),
        batcher=Batcher(
            Inference(model, pod),
            kept.recorder,
            metrics,
            loop=serving.loop,
            gathers=serving.gathers,
            access_log=serving.access_log,
        ),
        metrics=metrics,
        recording=kept,
    )
