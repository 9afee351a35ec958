"""From a prediction back to its data: ledger, version, run, snapshot, sources, commit, and the decisions in between.

What was written when the version was registered is believed first, because nobody edits it; the InferenceService is
asked too, and where the two disagree the trace says so. A version that no pipeline registered has what is known of it
and gaps in the rest: a trace never invents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from turnout import times
from turnout.errors import DataError, NotFound
from turnout.kube import discovery, inferenceservices
from turnout.kube.client import Kube
from turnout.ledger.client import LedgerClient
from turnout.steps import provenance
from turnout.steps.provenance import Provenance

__all__ = ["Origin", "Trace", "sentence", "trace"]


@dataclass(frozen=True)
class Origin:
    """What a version was made of. Empty where nobody knows; `sources` are files with their digests and rows."""

    digest: str = ""
    run: str = ""
    job: str = ""
    mlflow_run: str = ""
    snapshot: str = ""
    snapshot_digest: str = ""
    rows: int | None = None
    columns: int | None = None
    sources: Sequence[Mapping[str, Any]] = ()
    commit: str = ""
    image: str = ""
    python: str = ""
    lock: str = ""
    code: str = ""
    candidate: str = ""
    registered_us: int | None = None


@dataclass(frozen=True)
class Trace:
    """Everything that is known about where a prediction came from; `remarks` are what does not fit together."""

    prediction: str
    time_us: int
    namespace: str
    endpoint: str
    version: str
    rev: str | None
    weights: Mapping[str, int] | None
    outcome: float | None
    origin: Origin
    decisions: Sequence[Mapping[str, Any]]
    remarks: Sequence[str] = field(default=())

    @property
    def share(self) -> float | None:
        """The share of requests that its version had then; None when it was not assigned by weight."""
        if not self.weights or not sum(self.weights.values()):
            return None
        return self.weights.get(self.version, 0) / sum(self.weights.values())

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "share": self.share}

    def rows(self) -> list[dict[str, str]]:
        """As a table for people, from the prediction downwards."""
        origin = self.origin
        return [
            _row("prediction", self.prediction, f"at {times.text(self.time_us)}, endpoint {self.endpoint}"),
            *(_row("decision", d["action"], f"{times.text(d['time_us'])} {sentence(d)}") for d in self.decisions),
            _row("version", self.version, f"artifact {origin.digest or 'unknown'}"),
            _row("pipeline run", origin.run, _known(("KFP job", origin.job), ("candidate", origin.candidate))),
            _row("MLflow run", origin.mlflow_run, ""),
            _row("snapshot", origin.snapshot, _size(origin)),
            *(_row("source", str(s["path"]), f"sha256:{s['sha256'][:16]} {s['rows']} rows") for s in origin.sources),
            _row("commit", origin.commit, ""),
            _row("image", origin.image, _known(("Python", origin.python), ("lock", origin.lock[:23]))),
            *(_row("remark", "", remark) for remark in self.remarks),
        ]


def sentence(row: Mapping[str, Any]) -> str:
    """An audit row in words."""
    data = row["data"]
    if data.get("sentence"):
        return str(data["sentence"])
    if data.get("weights"):
        shares = ", ".join(f"{version} {weight}" for version, weight in data["weights"].items())
        return f"weights {shares} (rev {data.get('rev')})"
    return ", ".join(f"{name} {value}" for name, value in data.items())


def trace(prediction: str, *, ledger: LedgerClient, kube: Kube) -> Trace:
    """Follow one prediction back.

    Raises:
        NotFound: the ledger does not know the prediction, or it was erased.
        Unavailable: the ledger, the API server or the artifact store does not answer.
    """
    found = ledger.lineage(prediction)
    version, namespace = found["version"], found["namespace"]
    notes = _annotations(kube, version, namespace)
    origin, remarks = _origin(version, notes, artifacts_url=discovery.discover(kube).artifacts_url)
    weights = found["weights"]
    return Trace(
        prediction=prediction,
        time_us=found["time_us"],
        namespace=namespace,
        endpoint=found["endpoint"],
        version=version,
        rev=found["rev"],
        weights=weights["data"]["weights"] if weights else None,
        outcome=found["outcome"],
        origin=origin,
        decisions=found["audit"],
        remarks=remarks,
    )


def _origin(version: str, notes: Mapping[str, str], *, artifacts_url: str) -> tuple[Origin, list[str]]:
    """What registration wrote down, else what the InferenceService says; and what does not fit together."""
    served = notes.get(inferenceservices.DIGEST, "")
    try:
        known = provenance.read(version, artifacts_url=artifacts_url)
    except (NotFound, DataError) as error:
        said = Origin(
            digest=served,
            run=notes.get(inferenceservices.RUN, ""),
            snapshot=notes.get(inferenceservices.SNAPSHOT, ""),
            commit=notes.get(inferenceservices.COMMIT, ""),
        )
        return said, [str(error)]
    remarks = [f"not reproducible: {known.mismatch}"] if known.mismatch else []
    if served not in ("", known.digest):
        remarks.append(f"the InferenceService serves artifact {served}, which is not the registered one")
    return _from_provenance(known), remarks


def _from_provenance(known: Provenance) -> Origin:
    return Origin(
        digest=known.digest,
        run=known.run,
        job=known.job,
        mlflow_run=known.mlflow_run,
        snapshot=known.snapshot.id,
        snapshot_digest=known.snapshot.digest,
        rows=known.snapshot.rows,
        columns=len(known.snapshot.columns),
        sources=tuple(asdict(source) for source in known.snapshot.sources),
        commit=known.commit,
        image=known.image,
        python=known.environment.python,
        lock=known.environment.lock,
        code=known.environment.code,
        candidate=known.steps["evaluate"]["candidate"],
        registered_us=known.registered_us,
    )


def _annotations(kube: Kube, version: str, namespace: str) -> Mapping[str, str]:
    """What the InferenceService says; a retired one may be gone."""
    try:
        return dict(kube.get("InferenceService", version, namespace=namespace)["metadata"].get("annotations") or {})
    except NotFound:
        return {}


def _row(what: str, which: str, detail: str) -> dict[str, str]:
    return {"what": what, "which": which or ("" if what == "remark" else "unknown"), "detail": detail}


def _known(*facts: tuple[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts if value)


def _size(origin: Origin) -> str:
    if origin.rows is None:
        return f"made from {len(origin.sources)} files" if origin.sources else ""
    return f"{origin.snapshot_digest[:23]} {origin.rows} rows, {origin.columns} columns"
