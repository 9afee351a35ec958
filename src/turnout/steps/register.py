"""Register: the chosen model becomes a version, with everything that one must know about it later.

A version is a number that MLflow gives, an immutable folder in the artifact store, and tags that lead back to run,
snapshot, sources and commit. Whoever repeats a run's registration, also after a kill in the middle, gets the same
version again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from turnout import storage
from turnout.errors import Conflict, NotFound
from turnout.spec import ModelSpec
from turnout.steps import artifact, keeping, provenance, snapshots
from turnout.steps.provenance import Provenance
from turnout.steps.register_mlflow import Registry
from turnout.steps.snapshots import Snapshot

__all__ = ["Lineage", "Registered", "register"]

_ALIAS = "challenger"
# A tag holds the sources for `turnout trace`; a snapshot of thousands of files has them all in its snapshot.json.
_MOST_SOURCES = 200


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from: run id, the folder of its snapshot, KFP's job id, the commit of the code, the image."""

    run: str
    snapshot: Path
    job: str = ""
    commit: str = ""
    image: str = ""


@dataclass(frozen=True)
class Registered:
    """A version: `digits-v4`, the digest of its manifest, and the URL of its artifact.

    `mismatch` names a version that came of the same inputs with another digest; empty when there is none.
    """

    version: str
    digest: str
    uri: str
    mismatch: str = ""


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
    snapshot, ran = snapshots.read(lineage.snapshot), provenance.environment()
    facts, inputs = _facts(best), provenance.inputs_digest(spec, snapshot, ran)
    tags = _tags(lineage, snapshot, digest, facts) | {"turnout.inputs": inputs, "turnout.lock": ran.lock}
    keeping.keep(lineage.snapshot, snapshot, artifacts_url=artifacts_url)
    registry = Registry(mlflow_uri, model=spec.name, artifacts_url=storage.join(artifacts_url, "mlflow", spec.name))
    mlflow_run = registry.run(lineage.run, tags=tags)
    with TemporaryDirectory(prefix="turnout-register-") as scratch:
        # MLflow shows what ends in .html as a page; KFP gives files no ending.
        page = Path(scratch, "report.html")
        shutil.copy(report, page)
        registry.log(
            mlflow_run,
            parameters=_parameters(spec, facts),
            metrics=_metrics(facts),
            files=(
                page,
                *(best / name for name in (artifact.SEARCH, artifact.EVALUATION, artifact.UNFITTED)),
                lineage.snapshot / "snapshot.json",
            ),
        )
    models = storage.join(artifacts_url, "models", spec.name)
    number = registry.version(lineage.run, mlflow_run=mlflow_run, folder=models, description=facts["gate"]["reason"])
    made = Registered(
        version=f"{spec.name}-v{number}",
        digest=digest,
        uri=storage.join(models, f"v{number}"),
        mismatch=_mismatch(registry.others("turnout.inputs", inputs, but=number), spec.name, digest),
    )
    _upload(best, files=(*manifest.files, artifact.MANIFEST), digest=digest, to=made.uri)
    origin = _origin(spec, made, lineage, snapshot, facts, inputs=inputs, mlflow_run=mlflow_run)
    provenance.write(origin, artifacts_url=artifacts_url)
    more = {"turnout.uri": made.uri, "turnout.mismatch": made.mismatch}
    registry.finish(number, mlflow_run=mlflow_run, tags=tags | more, alias=_ALIAS)
    return made


def _origin(
    spec: ModelSpec,
    made: Registered,
    lineage: Lineage,
    snapshot: Snapshot,
    facts: Mapping[str, Any],
    *,
    inputs: str,
    mlflow_run: str,
) -> Provenance:
    return Provenance(
        version=made.version,
        digest=made.digest,
        registered_us=time.time_ns() // 1000,
        inputs=inputs,
        run=lineage.run,
        job=lineage.job,
        mlflow_run=mlflow_run,
        commit=lineage.commit,
        image=lineage.image,
        spec=spec.dump(),
        snapshot=snapshot,
        environment=provenance.environment(),
        steps=_steps(spec, snapshot, facts),
        mismatch=made.mismatch,
    )


def _steps(spec: ModelSpec, snapshot: Snapshot, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What each step gave; a repetition is compared with it, step by step."""
    return {
        "ingest": {"snapshot": snapshot.digest},
        "featurize": facts["search"]["parts"],
        "train": facts["candidates"],
        "evaluate": {
            "candidate": facts["candidate"],
            "parameters": _parameters(spec, facts),
            "metrics": _metrics(facts),
        },
    }


def _mismatch(others: Mapping[int, Mapping[str, str]], model: str, digest: str) -> str:
    """The first version that came of the same inputs and is another model: then training was not deterministic."""
    differing = [number for number, tags in sorted(others.items()) if tags.get("turnout.digest", digest) != digest]
    if not differing:
        return ""
    return (
        f"{model}-v{differing[0]} has the same inputs and another artifact ({others[differing[0]]['turnout.digest']})"
    )


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
        "turnout.job": lineage.job,
        "turnout.commit": lineage.commit,
        "turnout.image": lineage.image,
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
