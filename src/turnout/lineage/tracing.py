"""From a prediction back to its data: ledger, version, run, snapshot, sources, commit, and the decision in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from turnout.errors import NotFound
from turnout.kube import inferenceservices
from turnout.kube.client import Kube
from turnout.ledger.client import LedgerClient

__all__ = ["Trace", "trace"]


@dataclass(frozen=True)
class Trace:
    """Everything that is known about where a prediction came from. `sources` are files with their digests."""

    prediction: str
    time_us: int
    endpoint: str
    version: str
    digest: str
    run: str
    snapshot: str
    sources: Sequence[Mapping[str, Any]]
    commit: str
    mlflow_run: str
    decisions: Sequence[Mapping[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def rows(self) -> list[dict[str, str]]:
        """As a table for people, from the prediction downwards."""
        rows = [
            {"what": "prediction", "which": self.prediction, "detail": f"endpoint {self.endpoint}"},
            *({"what": "decision", "which": d["action"], "detail": _sentence(d)} for d in self.decisions),
            {"what": "version", "which": self.version, "detail": f"artifact {self.digest}"},
            {"what": "run", "which": self.run, "detail": f"MLflow run {self.mlflow_run or 'unknown'}"},
            {"what": "snapshot", "which": self.snapshot, "detail": f"made from {len(self.sources)} files"},
            *(
                {"what": "source", "which": str(s["path"]), "detail": f"sha256:{s['sha256'][:16]} {s['rows']} rows"}
                for s in self.sources
            ),
            {"what": "commit", "which": self.commit or "unknown", "detail": ""},
        ]
        return rows


def _sentence(row: Mapping[str, Any]) -> str:
    data = row["data"]
    return str(data.get("sentence") or f"rev {data.get('rev')}: {data.get('weights')}")


def trace(prediction: str, *, ledger: LedgerClient, kube: Kube, mlflow_uri: str) -> Trace:
    """Follow one prediction back.

    Raises:
        NotFound: the ledger does not know the prediction, or it was erased.
    """
    found = ledger.lineage(prediction)
    version, namespace = found["version"], found["namespace"]
    notes = _annotations(kube, version, namespace)
    tags = _tags(mlflow_uri, version)
    return Trace(
        prediction=prediction,
        time_us=found["time_us"],
        endpoint=found["endpoint"],
        version=version,
        digest=notes.get(inferenceservices.DIGEST) or tags.get("turnout.digest", ""),
        run=notes.get(inferenceservices.RUN) or tags.get("turnout.run", ""),
        snapshot=notes.get(inferenceservices.SNAPSHOT) or tags.get("turnout.snapshot", ""),
        sources=orjson.loads(tags.get("turnout.sources", "[]")),
        commit=notes.get(inferenceservices.COMMIT) or tags.get("turnout.commit", ""),
        mlflow_run=tags.get("mlflow.run_id", ""),
        decisions=found["audit"],
    )


def _annotations(kube: Kube, version: str, namespace: str) -> Mapping[str, str]:
    """What the InferenceService says; a retired one may be gone, and then the registry alone has to know."""
    try:
        return dict(kube.get("InferenceService", version, namespace=namespace)["metadata"].get("annotations") or {})
    except NotFound:
        return {}


def _tags(mlflow_uri: str, version: str) -> Mapping[str, str]:
    """Tags of the registered model version; empty for a version that no pipeline registered."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name, _, number = version.rpartition("-v")
    try:
        registered = MlflowClient(tracking_uri=mlflow_uri, registry_uri=mlflow_uri).get_model_version(name, number)
    except MlflowException:
        return {}
    return {**registered.tags, "mlflow.run_id": registered.run_id or ""}
