"""Train: one candidate, from its grid to a checked artifact."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from turnout.spec import ModelSpec
from turnout.steps import artifact, exporting, parts, train_pipeline, train_search
from turnout.steps.exporting import Export
from turnout.steps.parts import Part
from turnout.steps.train_search import Search

__all__ = ["Trained", "train"]


@dataclass(frozen=True)
class Trained:
    """What training one candidate gave."""

    candidate: str
    digest: str
    search: Search
    export: Export
    seconds: float

    @property
    def score(self) -> float:
        """The mean cross-validated score of the winning point."""
        return self.search.winner.mean


def train(spec: ModelSpec, *, candidate: str, train: Path, test: Path, out: Path) -> Trained:
    """Search the candidate's grid on the training part, export the winner to `out` in a form that answers as fitted.

    The same spec, snapshot and seed give the same artifact, byte for byte.

    Raises:
        DataError: the training part cannot be learned from.
        Failed: scikit-learn refuses, or the model can be served neither by ONNX nor from skops.
    """
    began = time.perf_counter()
    part = parts.read(train, spec=spec)
    fitted, search = _fit(part, spec=spec, candidate=candidate)
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
    )
    learned = {"train": artifact.digest(train), "test": artifact.digest(test)}
    _write_search(out / artifact.SEARCH, trained, spec=spec, rows=part.rows, parts=learned)
    return trained


def _fit(part: Part, *, spec: ModelSpec, candidate: str) -> tuple[Any, Search]:
    columns = list(part.features)
    pipeline = train_pipeline.build(
        spec.candidate(candidate),
        numeric=[columns.index(name) for name in part.numeric],
        categorical=[columns.index(name) for name in part.categorical],
        seed=spec.split.seed,
    )
    return train_search.search(
        pipeline, exporting.frame(part.features), part.label, spec=spec, candidate=candidate, groups=part.groups
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
        "points": [asdict(point) for point in trained.search.points],
        "parity": asdict(trained.export.parity),
        "served": {"form": trained.export.form, "precision": trained.export.precision, "note": trained.export.note},
        "seconds": trained.seconds,
        "digest": trained.digest,
    }
    file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
