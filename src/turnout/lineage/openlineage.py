"""A trace as events of the OpenLineage standard (openlineage.io/spec/2-0-2), for catalogues that know it.

Three runs end in one prediction: sources became a snapshot, the snapshot a version, the version answered. Each is one
event, so that a catalogue draws the same edges; what the standard has no word for is a facet of our own.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import turnout
from turnout import times
from turnout.lineage.tracing import Trace

__all__ = ["events"]

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_PRODUCER = f"https://github.com/turnout-dev/turnout/tree/v{turnout.__version__}"


def events(trace: Trace) -> list[dict[str, Any]]:
    """The events, the earliest first; those of training only where it is known."""
    version = _dataset("turnout", f"{trace.namespace}/{trace.version}", version=trace.origin.digest)
    prediction = _dataset("turnout", f"{trace.namespace}/{trace.endpoint}/predictions/{trace.prediction}")
    served = _event(
        trace.time_us,
        run=_served_id(trace.prediction),
        job=f"{trace.namespace}/{trace.endpoint}",
        inputs=[version],
        outputs=[prediction],
        facets={"turnout_assignment": _own(rev=trace.rev, share=trace.share, weights=trace.weights)},
    )
    return [*_training(trace, version), served]


def _training(trace: Trace, version: Mapping[str, Any]) -> list[dict[str, Any]]:
    origin = trace.origin
    if not origin.run or origin.registered_us is None:
        return []
    snapshot = _dataset("turnout", f"snapshots/{origin.snapshot}", version=origin.snapshot_digest)
    snapshot = {**snapshot, "outputFacets": {"outputStatistics": _facet("OutputStatistics", rowCount=origin.rows)}}
    named = {"run": origin.run, "job": origin.job, "mlflowRun": origin.mlflow_run, "candidate": origin.candidate}
    code = {"commit": origin.commit, "image": origin.image, "lock": origin.lock, "code": origin.code}
    facets = {"turnout_run": _own(**named, **code)}
    job = f"{trace.namespace}/{trace.endpoint}.training"
    steps = (
        ("ingest", [_source(source) for source in origin.sources], [snapshot]),
        ("train", [_without_output(snapshot)], [version]),
    )
    return [
        _event(
            origin.registered_us,
            run=str(uuid.uuid5(uuid.NAMESPACE_URL, f"turnout:{origin.run}:{step}")),
            job=f"{job}.{step}",
            inputs=inputs,
            outputs=outputs,
            facets=facets,
        )
        for step, inputs, outputs in steps
    ]


def _event(
    time_us: int,
    *,
    run: str,
    job: str,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    facets: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": times.text(time_us),
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA,
        "run": {"runId": run, "facets": dict(facets)},
        "job": {"namespace": "turnout", "name": job},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


def _served_id(prediction: str) -> str:
    """A prediction's id is a random number of the size of a UUID; another runtime's may be any word."""
    try:
        return str(uuid.UUID(prediction))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"turnout:{prediction}"))


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Named as the standard names files and objects: by scheme and bucket, and by path."""
    parts = urlsplit(source["path"])
    place = f"{parts.scheme}://{parts.netloc}" if parts.scheme else "file"
    rows = {"dataQualityMetrics": _facet("DataQualityMetricsInput", rowCount=source["rows"], columnMetrics={})}
    version = f"sha256:{source['sha256']}"
    return {**_dataset(place, parts.path or parts.netloc, version=version), "inputFacets": rows}


def _dataset(namespace: str, name: str, *, version: str = "") -> dict[str, Any]:
    facets = {"version": _facet("DatasetVersion", datasetVersion=version)} if version else {}
    return {"namespace": namespace, "name": name, "facets": facets}


def _without_output(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in dataset.items() if name != "outputFacets"}


_KNOWN = {
    "DatasetVersion": "1-0-1/DatasetVersionDatasetFacet",
    "DataQualityMetricsInput": "1-0-3/DataQualityMetricsInputDatasetFacet",
    "OutputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
}


def _facet(kind: str, **fields: Any) -> dict[str, Any]:
    name = _KNOWN[kind].rpartition("/")[2]
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{_KNOWN[kind]}.json#/$defs/{name}", **fields}


def _own(**fields: Any) -> dict[str, Any]:
    base = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
    return {"_producer": _PRODUCER, "_schemaURL": base, **fields}
