"""A version made again from what it was made of, and compared: step by step, by its bytes, and by what it answers.

It happens in a scratch home. The artifact store is read, nothing is written anywhere else: no server, registry, ledger
or cluster hears of it. The first step that gave something else is where to look; what is otherwise on this machine is
said besides, because another library is the most common reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from turnout import runs, storage
from turnout import spec as specs
from turnout.errors import Failed, ModelError, NotFound
from turnout.runs import Progress, RunRecord, StepRecord
from turnout.steps import artifact, evaluate, keeping, parts, provenance
from turnout.steps.provenance import Provenance

__all__ = ["Compared", "Reproduction", "compare", "reproduce"]


@dataclass(frozen=True)
class Compared:
    """What one step gave then and now."""

    step: str
    what: str
    then: str
    now: str

    @property
    def is_same(self) -> bool:
        """Whether it is the same."""
        return self.then == self.now


@dataclass(frozen=True)
class Reproduction:
    """What came of it. `different` of `rows` test rows have another answer; `notes` are what else is otherwise here."""

    version: str
    digest: str
    found: str
    steps: tuple[Compared, ...]
    rows: int
    different: int
    largest_difference: float
    notes: tuple[str, ...]
    seconds: float

    @property
    def first_difference(self) -> Compared | None:
        """The first step that gave something else."""
        return next((compared for compared in self.steps if not compared.is_same), None)

    @property
    def is_same(self) -> bool:
        """Whether it is the same model, byte for byte, with the same answers."""
        return self.first_difference is None and self.different == 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        first = self.first_difference
        return {
            **asdict(self),
            "steps": [{**asdict(compared), "same": compared.is_same} for compared in self.steps],
            "same": self.is_same,
            "first_difference": first.step if first else None,
        }


def reproduce(
    version: str, *, artifacts_url: str, home: Path, progress: Callable[[Progress], None] | None = None
) -> Reproduction:
    """Make a version again in the folder `home`, which is its own, and compare.

    Raises:
        NotFound: nobody knows what it was made of, or its snapshot or artifact is gone.
        ModelError: its artifact in the store is not what was registered.
        Failed: a step of the run failed.
    """
    origin = provenance.read(version, artifacts_url=artifacts_url)
    if not keeping.is_kept(origin.snapshot.id, artifacts_url=artifacts_url):
        raise NotFound(f"{version}: its snapshot {origin.snapshot.id} is not in the artifact store at {artifacts_url}")
    spec = specs.loads(origin.spec, origin=f"the spec of {version}", deep=False)
    snapshot = {"snapshot": origin.snapshot.id, "digest": origin.snapshot.digest}
    record = runs.execute_again(
        spec, home=home, parameters={**snapshot, "artifacts_url": artifacts_url}, progress=progress
    )
    if record.failure is not None:
        step, said, log = record.failure
        raise Failed(f"{version} could not be made again: step {step} failed: {said}\n  its log: {log}")
    return compare(origin, record, artifacts_url=artifacts_url, scratch=home)


def compare(origin: Provenance, record: RunRecord, *, artifacts_url: str, scratch: Path) -> Reproduction:
    """What a finished run of the reproduction pipeline gave, beside what is written down; `scratch` takes a download.

    Raises:
        NotFound: the version's artifact is gone.
        ModelError: it is not what was registered.
    """
    chosen = _chosen(record)
    rows, different, largest = _answers(origin, record, chosen, artifacts_url=artifacts_url, scratch=scratch)
    return Reproduction(
        version=origin.version,
        digest=origin.digest,
        found=chosen["digest"],
        steps=tuple(_steps(origin, record, chosen)),
        rows=rows,
        different=different,
        largest_difference=largest,
        notes=tuple(origin.environment.differences(provenance.environment())),
        seconds=record.seconds or 0.0,
    )


def _steps(origin: Provenance, record: RunRecord, chosen: Mapping[str, Any]) -> Iterator[Compared]:
    """In the order in which they run; a later one can only be as good as those before."""
    restored, split = _step(record, "restore"), _step(record, "featurize")
    yield Compared("ingest", "snapshot", origin.snapshot.digest, str(restored.outputs["Output"]))
    for part, digest in origin.steps["featurize"].items():
        yield Compared("featurize", f"{part} part", digest, artifact.digest(Path(split.artifacts[part]["uri"])))
    for candidate, given in origin.steps["train"].items():
        again = _trained(record).get(candidate, {})
        yield Compared(f"train ({candidate})", "score", repr(given["score"]), repr(again.get("score")))
        yield Compared(f"train ({candidate})", "artifact", given["digest"], str(again.get("digest")))
    yield Compared("evaluate", "chosen candidate", origin.steps["evaluate"]["candidate"], chosen["candidate"])
    yield Compared("register", "artifact", origin.digest, chosen["digest"])


def _chosen(record: RunRecord) -> dict[str, Any]:
    """The candidate that evaluation would take.

    Raises:
        Failed: there is none.
    """
    found = _trained(record)
    if not found:
        raise Failed("none of the candidates could be trained again")
    return max(found.values(), key=evaluate.worth)


def _trained(record: RunRecord) -> dict[str, dict[str, Any]]:
    """What each training step wrote about itself, by candidate, in the order of the spec."""
    folders = [Path(step.artifacts["model"]["uri"]) for step in record.steps if step.task == "train"]
    found = [orjson.loads((folder / artifact.SEARCH).read_bytes()) | {"folder": str(folder)} for folder in folders]
    return {facts["candidate"]: facts for facts in found if "error" not in facts}


def _step(record: RunRecord, task: str) -> StepRecord:
    return next(step for step in record.steps if step.task == task)


def _answers(
    origin: Provenance,
    record: RunRecord,
    chosen: Mapping[str, Any],
    *,
    artifacts_url: str,
    scratch: Path,
) -> tuple[int, int, float]:
    """Rows of the test part, how many get another answer, and the largest difference of a number."""
    model, _, number = origin.version.rpartition("-v")
    registered = scratch / "registered"
    try:
        storage.at(storage.join(artifacts_url, "models", model, f"v{number}")).download_folder(registered)
    except NotFound as error:
        raise NotFound(f"{origin.version}: its artifact is gone: {error}") from error
    try:
        then = artifact.load(registered, expected=origin.digest)
    except ModelError as error:
        raise ModelError(f"{origin.version}: what is stored is not what was registered: {error}") from error
    spec = specs.loads(origin.spec, deep=False)
    part = parts.read(Path(_step(record, "featurize").artifacts["test"]["uri"]), spec=spec)
    now = artifact.load(Path(chosen["folder"]))
    before, after = then.predict(part.features), now.predict(part.features)
    different = int(np.count_nonzero(before.values != after.values))
    if before.probabilities is None or after.probabilities is None:
        pair = (before.values, after.values)
    else:
        pair = (before.probabilities, after.probabilities)
    return part.rows, different, _apart(*pair)


def _apart(before: Any, after: Any) -> float:
    if before.shape != after.shape or before.dtype.kind not in "fi":
        return float("inf") if before.shape != after.shape else 0.0
    return float(np.abs(before.astype(float) - after.astype(float)).max(initial=0.0))
