"""Register: the chosen model becomes a version, with everything that one must know about it later.

A version is a number that MLflow gives, an immutable folder in the artifact store, and tags that lead back to run,
snapshot, sources and commit. Whoever repeats a run's registration, also after a kill in the middle, gets the same
version again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from turnout import storage
from turnout.errors import Conflict, NotFound
from turnout.spec import ModelSpec
from turnout.steps import artifact, snapshots
from turnout.steps.register_mlflow import Registry
from turnout.steps.snapshots import Snapshot

__all__ = ["Lineage", "Registered", "register"]

_ALIAS = "challenger"
# A tag holds the sources for `turnout trace`; a snapshot of thousands of files has them all in its snapshot.json.
_MOST_SOURCES = 200


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from: our run id, the folder of its snapshot, the commit of the code."""

    run: str
    snapshot: Path
    commit: str = ""


@dataclass(frozen=True)
class Registered:
    """A version: `digits-v4`, the digest of its manifest, and the URL of its artifact."""

    version: str
    digest: str
    uri: str


def register(
    spec: ModelSpec, *, best: Path, report: Path, lineage: Lineage, mlflow_uri: str, artifacts_url: str
) -> Registered:
    """Make a version of the model in `best`.

    Raises:
        ModelError: the artifact was altered since it was evaluated.
        Conflict: the version's folder holds another model.
        Unavailable: MLflow or the artifact store does not answer.
    """
    manifest = artifact.read(best)
    digest = artifact.digest(best / artifact.MANIFEST)
    snapshot = snapshots.read(lineage.snapshot)
    facts = _facts(best)
    registry = Registry(mlflow_uri, model=spec.name, artifacts_url=storage.join(artifacts_url, "mlflow", spec.name))
    mlflow_run = registry.run(lineage.run, tags=_tags(lineage, snapshot, digest, facts))
    registry.log(
        mlflow_run,
        parameters=_parameters(spec, facts),
        metrics=_metrics(facts),
        files=(report, best / artifact.SEARCH, best / artifact.EVALUATION, lineage.snapshot / "snapshot.json"),
    )
    models = storage.join(artifacts_url, "models", spec.name)
    number = registry.version(lineage.run, mlflow_run=mlflow_run, folder=models, description=facts["gate"]["reason"])
    uri = storage.join(models, f"v{number}")
    _upload(best, files=(*manifest.files, artifact.MANIFEST), digest=digest, to=uri)
    registry.finish(
        number,
        mlflow_run=mlflow_run,
        tags={**_tags(lineage, snapshot, digest, facts), "turnout.uri": uri},
        alias=_ALIAS,
    )
    return Registered(version=f"{spec.name}-v{number}", digest=digest, uri=uri)


def _facts(best: Path) -> dict[str, Any]:
    """What search and evaluation wrote beside the artifact."""
    found: dict[str, Any] = orjson.loads((best / artifact.EVALUATION).read_bytes())
    return {**found, "search": orjson.loads((best / artifact.SEARCH).read_bytes())}


def _tags(lineage: Lineage, snapshot: Snapshot, digest: str, facts: Mapping[str, Any]) -> dict[str, str]:
    sources = [
        {"name": file.name, "path": file.path, "sha256": file.sha256, "rows": file.rows}
        for file in snapshot.sources[:_MOST_SOURCES]
    ]
    return {
        "turnout.run": lineage.run,
        "turnout.snapshot": snapshot.id,
        "turnout.sources": orjson.dumps(sources).decode(),
        "turnout.commit": lineage.commit,
        "turnout.digest": digest,
        "turnout.candidate": facts["candidate"],
        "turnout.gate": "passed" if facts["gate"]["enforced"] else "off",
        "turnout.gate.reason": facts["gate"]["reason"],
    }


def _parameters(spec: ModelSpec, facts: Mapping[str, Any]) -> dict[str, Any]:
    search = facts["search"]
    return {
        "candidate": search["candidate"],
        "estimator": search["estimator"],
        "folds": search["folds"],
        "metric": search["metric"],
        "seed": search["seed"],
        "test_share": spec.split.test,
        **{f"model.{name}": value for name, value in search["parameters"].items()},
    }


def _metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    search, score = facts["search"], facts["score"]
    found = {f"test_{name}": value for name, value in facts["metrics"].items()}
    found |= {"cv_score": search["score"], "cv_sd": search["sd"], "seconds": search["seconds"]}
    found |= {"test_low": score["low"], "test_high": score["high"]}
    comparison = facts["comparison"]
    if comparison:
        found |= {"champion_score": facts["champion_score"], "champion_difference": comparison["difference"]}
    return {name: float(value) for name, value in found.items() if value is not None}


def _upload(best: Path, *, files: tuple[str, ...], digest: str, to: str) -> None:
    """Put the artifact's files at `to`, once; what is there whole and the same stays as it is."""
    found = _digest_at(to)
    if found not in ("", digest):
        raise Conflict(
            f"{to} holds another model ({found}, wanted {digest}): was MLflow's database replaced? "
            "Versions are immutable; move that folder away, or register under another name"
        )
    if found and all(storage.at(storage.join(to, name)).exists() for name in files):
        return
    with TemporaryDirectory(prefix="turnout-register-") as scratch:
        for name in files:
            shutil.copy(best / name, scratch)
        storage.at(to).upload_folder(Path(scratch))


def _digest_at(uri: str) -> str:
    try:
        content = storage.at(storage.join(uri, artifact.MANIFEST)).read_bytes()
    except NotFound:
        return ""
    return artifact.digest_of(content)
