"""What steps leave for the record of their run, in the artifact store: one JSON document per step.

    runs/<run>/<step>.json      outputs and artifacts, in the shape of a run's record
    runs/<run>/report.html      the evaluation's page

A step in a Pod can write nothing into the folder of whoever started the run, and Kubeflow Pipelines keeps outputs and
metrics in its metadata store only, which has no address outside of the cluster. Steps that a cache may answer
(featurize, train) leave nothing: their keys must not know the run, and all that matters of them is in evaluate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from turnout import storage
from turnout.errors import NotFound

__all__ = ["fetch_report", "find", "leave"]

_REPORT = "report.html"


def leave(
    step: str,
    *,
    run: str,
    artifacts_url: str,
    outputs: Mapping[str, Any],
    artifacts: Mapping[str, Mapping[str, Any]] | None = None,
    report: Path | None = None,
) -> None:
    """Keep what came out of a step; a step that is tried again replaces it. `artifacts`: name to metadata."""
    folder = storage.join(artifacts_url, "runs", run)
    found = {name: {"uri": "", "metadata": dict(metadata)} for name, metadata in (artifacts or {}).items()}
    if report is not None:
        page = storage.join(folder, _REPORT)
        storage.at(page).write_bytes(report.read_bytes())
        found["report"] = {"uri": page, "metadata": {}}
    document = orjson.dumps({"outputs": dict(outputs), "artifacts": found})
    storage.at(storage.join(folder, f"{step}.json")).write_bytes(document)


def find(step: str, *, run: str, artifacts_url: str) -> dict[str, Any]:
    """What a step left: `outputs` and `artifacts`, both empty for a step that leaves nothing or did not come so far."""
    try:
        found: dict[str, Any] = orjson.loads(
            storage.at(storage.join(artifacts_url, "runs", run, f"{step}.json")).read_bytes()
        )
    except NotFound:
        return {"outputs": {}, "artifacts": {}}
    return found


def fetch_report(run: str, *, artifacts_url: str, to: Path) -> None:
    """The evaluation's page as a local file.

    Raises:
        NotFound: the run left none.
    """
    storage.at(storage.join(artifacts_url, "runs", run, _REPORT)).download_file(to)
