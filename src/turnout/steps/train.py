"""Train: one candidate, from its grid to a checked artifact, or to the reason why there is none.

Beside the artifact lie search.json (what was tried and what came out) and unfitted.skops (the pipeline before it
learned), so that a search can be gone on with in another process; `load` reads all of it.
"""

from __future__ import annotations

import resource
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from turnout import fitted as fitted_models
from turnout.errors import TurnoutError
from turnout.fitted import Fitted
from turnout.spec import ModelSpec
from turnout.steps import artifact, evaluate_clusters, exporting, exporting_skops, parts, train_pipeline, train_search
from turnout.steps.exporting import Export
from turnout.steps.parts import Part
from turnout.steps.train_search import Search

__all__ = ["Saved", "Trained", "Untrained", "attempt", "load", "train"]


@dataclass(frozen=True)
class Trained:
    """What training one candidate gave."""

    candidate: str
    digest: str
    search: Search
    export: Export
    seconds: float
    memory_mb: float

    @property
    def score(self) -> float:
        """The mean cross-validated score of the winning point."""
        return self.search.winner.mean


@dataclass(frozen=True)
class Untrained:
    """A candidate of which nothing came, and why."""

    candidate: str
    error: str


@dataclass(frozen=True)
class Saved:
    """A search as it was kept: the fitted and the unfitted pipeline, and what search.json says."""

    fitted: Fitted
    unfitted: Any
    search: Mapping[str, Any]


def load(folder: Path) -> Saved:
    """What `train` left in a folder.

    Raises:
        ModelError: a file is altered, or holds types that nobody vouches for.
    """
    artifact.read(folder)
    return Saved(
        fitted=fitted_models.load(folder / artifact.SKOPS),
        unfitted=fitted_models.load(folder / artifact.UNFITTED).estimator,
        search=orjson.loads((folder / artifact.SEARCH).read_bytes()),
    )


def attempt(spec: ModelSpec, *, candidate: str, train: Path, test: Path, out: Path) -> Trained | Untrained:
    """`train`; a candidate that fails is written down with its reason, and the others go on."""
    try:
        return _trained(spec, candidate=candidate, train=train, test=test, out=out)
    except Exception as error:  # noqa: BLE001 - an estimator is somebody's choice, and may raise whatever it likes
        said = str(error) if isinstance(error, TurnoutError) else f"{type(error).__name__}: {error}"
        traceback.print_exc()
        out.mkdir(parents=True, exist_ok=True)
        content = {"candidate": candidate, "estimator": spec.candidate(candidate).estimator, "error": said}
        (out / artifact.SEARCH).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        return Untrained(candidate, said)


def train(spec: ModelSpec, *, candidate: str, train: Path, test: Path, out: Path) -> Trained:
    """Search the candidate's grid on the training part, export the winner to `out` in a form that answers as fitted.

    The same spec, snapshot and seed give the same artifact, byte for byte.

    Raises:
        DataError: the training part cannot be learned from.
        Failed: scikit-learn refuses, or the model can be served neither by ONNX nor from skops.
    """
    return _trained(spec, candidate=candidate, train=train, test=test, out=out)


def _trained(spec: ModelSpec, *, candidate: str, train: Path, test: Path, out: Path) -> Trained:
    began = time.perf_counter()
    part = parts.read(train, spec=spec)
    pipeline, fitted, search = _fit(part, spec=spec, candidate=candidate)
    if search.failed:
        print(f"{search.failed} of {len(search.points)} points of the grid could not be fitted")
    checks = (part.features, parts.read(test, spec=spec).features)
    export = exporting.export(fitted, checks=checks, task=spec.task, folder=out)
    if export.note:
        print(export.note)
    trained = Trained(
        candidate=candidate,
        digest=artifact.digest(out / artifact.MANIFEST),
        search=search,
        export=export,
        seconds=time.perf_counter() - began,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
    (out / artifact.UNFITTED).write_bytes(exporting_skops.dumps(pipeline))
    learned = {"train": artifact.digest(train), "test": artifact.digest(test)}
    _write_search(out / artifact.SEARCH, trained, spec=spec, rows=part.rows, parts=learned)
    return trained


def _fit(part: Part, *, spec: ModelSpec, candidate: str) -> tuple[Any, Any, Search]:
    """The unfitted pipeline, the fitted one, and the search."""
    wanted = spec.candidate(candidate)
    found = train_pipeline.kinds(part.features, spec.features, wanted)
    pipeline = train_pipeline.build(wanted, found, columns=list(part.features), seed=spec.split.seed)
    return pipeline, *train_search.search(
        pipeline,
        exporting.frame(part.features),
        part.label,
        spec=spec,
        candidate=candidate,
        scoring=evaluate_clusters.scorer(spec, part.features) if spec.task == "clustering" else spec.metric,
        groups=part.groups,
    )


def _write_search(file: Path, trained: Trained, *, spec: ModelSpec, rows: int, parts: Mapping[str, str]) -> None:
    candidate, winner = spec.candidate(trained.candidate), trained.search.winner
    content = {
        "candidate": candidate.name,
        "estimator": candidate.estimator,
        "metric": spec.metric,
        "folds": spec.folds,
        "seed": spec.split.seed,
        "rows": rows,
        "parts": parts,
        "score": winner.mean,
        "sd": winner.sd,
        "parameters": {**candidate.parameters, **winner.parameters},
        "best": trained.search.best,
        "nested": list(trained.search.nested),
        "curve": [list(point) for point in trained.search.curve],
        "worth": trained.search.worth,
        "search": spec.search.model_dump(mode="json"),
        "grid": candidate.model_dump(mode="json")["grid"],
        "memory_mb": trained.memory_mb,
        "points": [asdict(point) for point in trained.search.points],
        "parity": asdict(trained.export.parity),
        "served": {"form": trained.export.form, "precision": trained.export.precision, "note": trained.export.note},
        "seconds": trained.seconds,
        "digest": trained.digest,
    }
    file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
