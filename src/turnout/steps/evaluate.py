"""Evaluate: choose the best candidate, measure it on the test part, compare it with the champion, decide.

What is measured is the exported file, because that is what will answer. The choice between candidates rests on
cross-validation alone: the test part is looked at once, by the one that was chosen.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from turnout.errors import Failed, Unavailable
from turnout.spec import ModelSpec
from turnout.spec.model import TASK_METRICS
from turnout.steps import (
    artifact,
    evaluate_baselines,
    evaluate_behaviour,
    evaluate_calibration,
    evaluate_clusters,
    evaluate_gate,
    evaluate_metrics,
    evaluate_slices,
    evaluate_statistics,
    parts,
)
from turnout.steps import replay as replaying
from turnout.steps.artifact import Model
from turnout.steps.evaluate_baselines import Baseline
from turnout.steps.evaluate_behaviour import Behaved
from turnout.steps.evaluate_calibration import Calibration
from turnout.steps.evaluate_champion import Champion
from turnout.steps.evaluate_clusters import Cluster
from turnout.steps.evaluate_gate import Decision
from turnout.steps.evaluate_metrics import METRICS, Answers
from turnout.steps.evaluate_slices import Slice
from turnout.steps.evaluate_statistics import Estimate, Paired
from turnout.steps.leaks import Leak
from turnout.steps.logged import OpenBooks
from turnout.steps.parts import Part
from turnout.steps.replay import Replay

__all__ = ["ClassScore", "Evaluation", "Tried", "Untried", "evaluate", "take", "worth"]

_SHARES = frozenset({"accuracy"})
_OF_PROBABILITIES = frozenset({"neg_log_loss", "roc_auc", "roc_auc_ovr"})
_LABEL_KINDS = {"FP32": "f", "INT64": "i", "BYTES": "O"}


@dataclass(frozen=True)
class Tried:
    """One candidate's search, as its training step wrote it."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The candidate's name in the spec."""
        return str(self.facts["candidate"])

    @property
    def score(self) -> float:
        """Mean cross-validated score of its best point."""
        return float(self.facts["score"])

    @property
    def worth(self) -> float:
        """What candidates are chosen by."""
        return worth(self.facts)

    @property
    def given(self) -> dict[str, Any]:
        """What a repetition of its training must give again."""
        return {"digest": self.facts["digest"], "score": self.score}


@dataclass(frozen=True)
class Untried:
    """A candidate of which nothing came."""

    name: str
    error: str


@dataclass(frozen=True)
class ClassScore:
    """One class on the test part: of its rows, how many were found; of the answers, how many were right."""

    label: int | str
    rows: int
    recall: float
    precision: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows and the gate decides on."""

    metric: str
    tried: tuple[Tried, ...]
    best: Tried
    rows: int
    score: Estimate
    metrics: Mapping[str, float]
    decision: Decision
    answers: Answers = field(repr=False)
    classes: tuple[int | str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    by_class: tuple[ClassScore, ...] = ()
    slices: tuple[Slice, ...] = ()
    champion: str = ""
    champion_score: float | None = None
    comparison: Paired | None = None
    incomparable: str = ""
    replayed: Replay | None = None
    leaks: tuple[Leak, ...] = ()
    failed: tuple[Untried, ...] = ()
    calibration: Calibration | None = None
    behaved: tuple[Behaved, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    agreement: float | None = None

    def logged(self) -> dict[str, float]:
        """What a tracking system shows as numbers."""
        found = {**self.metrics, f"{self.metric}_low": self.score.low, f"{self.metric}_high": self.score.high}
        if self.replayed is not None and self.replayed.disagreement is not None:
            found |= {"replay_disagreement": self.replayed.disagreement, "replay_rows": float(self.replayed.rows)}
        if self.calibration is not None:
            found["calibration_error"] = self.calibration.error
        if self.agreement is not None:
            found["champion_agreement"] = self.agreement
        found |= {"cv_score": self.best.score, "rows": float(self.rows)}
        if self.comparison is not None and self.champion_score is not None:
            found |= {"champion_score": self.champion_score, "champion_difference": self.comparison.difference}
        return found


def evaluate(
    spec: ModelSpec,
    *,
    models: Sequence[Path],
    test: Path,
    champion: Champion | None,
    leaks: tuple[Leak, ...] = (),
    books: OpenBooks | None = None,
    namespace: str = "default",
) -> Evaluation:
    """Evaluate the best of these candidates; `books` opens the ledger for a spec that wants requests replayed.

    `leaks` are what was suspected of the parts before anything was learned from them; they are passed on to people.

    Raises:
        ModelError: an artifact is not what its manifest says.
        Failed: no candidate could be trained, or the metric needs what the estimator cannot give.
        Unavailable: requests are to be replayed, and the ledger does not answer.
    """
    tried, failed = _read(models)
    best = max(tried, key=lambda item: item.worth)
    part = parts.read(test, spec=spec)
    if spec.task == "clustering":
        part = evaluate_clusters.thin(part, seed=spec.split.seed)
    model = artifact.load(best.folder)
    answers = _ask(spec, model, part)
    score = _estimate(spec, answers)
    asked, incomparable = _champion_says(spec, champion, part)
    comparison = _compare(spec, answers, asked) if asked else None
    version = champion.version if champion else ""
    behaved = evaluate_behaviour.check(spec, model, part)
    baselines = evaluate_baselines.baselines(spec, part, answers, is_share=spec.metric in _SHARES)
    replayed = _replayed(spec, model, champion, books=books, namespace=namespace)
    return Evaluation(
        metric=spec.metric,
        tried=tried,
        best=best,
        rows=part.rows,
        score=score,
        metrics=_all_metrics(spec, answers),
        decision=evaluate_gate.decide(
            gates=spec.gates,
            metric=spec.metric,
            score=score,
            champion=version,
            comparison=comparison,
            incomparable=incomparable,
            replayed=replayed,
            behaved=behaved,
            baselines=baselines,
        ),
        answers=answers,
        **_of_task(spec, part, answers, asked),
        slices=evaluate_slices.slices(spec, part, answers, overall=score, estimate=lambda some: _estimate(spec, some)),
        behaved=behaved,
        baselines=baselines,
        champion=version,
        champion_score=METRICS[spec.metric](asked) if asked else None,
        comparison=comparison,
        incomparable=incomparable,
        replayed=replayed,
        leaks=leaks,
        failed=failed,
    )


def worth(search: Mapping[str, Any]) -> float:
    """What candidates are chosen by, out of a search.json: the nested score where there is one."""
    return float(search["worth"])


def take(evaluation: Evaluation, *, to: Path) -> None:
    """Copy the chosen candidate's artifact to `to`, with what is known about it beside it."""
    shutil.copytree(evaluation.best.folder, to, dirs_exist_ok=True)
    comparison = asdict(evaluation.comparison) if evaluation.comparison else None
    content = {
        "candidate": evaluation.best.name,
        "calibration": asdict(evaluation.calibration) if evaluation.calibration else None,
        "behaviour": [asdict(one) for one in evaluation.behaved],
        "baselines": [asdict(one) for one in evaluation.baselines],
        "slices": [asdict(one) for one in evaluation.slices],
        "clusters": [asdict(one) for one in evaluation.clusters],
        "failed": {one.name: one.error for one in evaluation.failed},
        "candidates": {tried.name: tried.given for tried in evaluation.tried},
        "metric": evaluation.metric,
        "rows": evaluation.rows,
        "score": asdict(evaluation.score),
        "metrics": evaluation.metrics,
        "gate": asdict(evaluation.decision),
        "champion": evaluation.champion,
        "champion_score": evaluation.champion_score,
        "comparison": comparison,
        "incomparable": evaluation.incomparable,
        "leaks": [asdict(leak) for leak in evaluation.leaks],
        "replay": asdict(evaluation.replayed) if evaluation.replayed else None,
    }
    (to / artifact.EVALUATION).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _replayed(
    spec: ModelSpec, model: Model, champion: Champion | None, *, books: OpenBooks | None, namespace: str
) -> Replay | None:
    if spec.gates.replay is None:
        return None
    if books is None:
        raise Unavailable("gates.replay: no ledger is known here")
    return replaying.replay(
        model, champion, rule=spec.gates.replay, books=books(), namespace=namespace, endpoint=spec.name
    )


def _read(folders: Sequence[Path]) -> tuple[tuple[Tried, ...], tuple[Untried, ...]]:
    """The candidates of which something came, and the others."""
    found = [(folder, orjson.loads((folder / artifact.SEARCH).read_bytes())) for folder in folders]
    tried = tuple(Tried(folder, facts) for folder, facts in found if "error" not in facts)
    failed = tuple(Untried(facts["candidate"], facts["error"]) for _, facts in found if "error" in facts)
    if not tried:
        raise Failed("\n".join(("no candidate could be trained", *(f"  {one.name}: {one.error}" for one in failed))))
    return tried, failed


def _ask(spec: ModelSpec, model: Model, part: Part) -> Answers:
    predictions = model.predict(part.features)
    if spec.task != "clustering":
        return evaluate_metrics.of(part.label, predictions, model.manifest.labels)
    try:
        return evaluate_clusters.answers(spec, part, predictions)
    except ValueError as error:
        raise Failed(f"{spec.metric}: {error}") from error


def _champion_says(spec: ModelSpec, champion: Champion | None, part: Part) -> tuple[Answers | None, str]:
    """The champion's answers to the same rows, or why there are none."""
    if champion is None:
        return None, ""
    incomparable = _incomparable(champion, part, spec=spec)
    if incomparable or champion.model is None:
        return None, incomparable
    try:
        return _ask(spec, champion.model, part), ""
    except Failed as error:
        return None, f"its answers cannot be measured ({error})"


def _of_task(spec: ModelSpec, part: Part, answers: Answers, asked: Answers | None) -> dict[str, Any]:
    """What only answers of this kind have."""
    if spec.task == "classification":
        return {**_by_class(answers), "calibration": evaluate_calibration.calibration(answers)}
    if spec.task == "clustering":
        agreement = evaluate_clusters.agreement(answers, asked) if asked else None
        return {"clusters": evaluate_clusters.clusters(part, answers), "agreement": agreement}
    return {}


def _estimate(spec: ModelSpec, answers: Answers) -> Estimate:
    try:
        return evaluate_statistics.estimate(
            answers, metric=METRICS[spec.metric], is_share=spec.metric in _SHARES, seed=spec.split.seed
        )
    except ValueError as error:
        raise Failed(f"{spec.metric}: {error}") from error


def _incomparable(champion: Champion, part: Part, *, spec: ModelSpec) -> str:
    """Why the champion cannot be asked about these rows; empty when it can."""
    if champion.model is None:
        return champion.incomparable
    outputs = champion.model.manifest.outputs
    if champion.model.manifest.task != spec.task:
        return f"it is a {champion.model.manifest.task}"
    if spec.metric in _OF_PROBABILITIES and len(outputs) == 1:
        return f"it gives no probabilities, and {spec.metric} is made of them"
    missing = artifact.missing_features(champion.model.manifest, part.features)
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        return f"it needs {len(missing)} columns that this table lacks or has in another type ({names})"
    if spec.task != "clustering" and _LABEL_KINDS[outputs[0].datatype] != part.label.dtype.kind:
        return f"it answers {outputs[0].datatype}, and the label is now of type {part.label.dtype}"
    return ""


def _compare(spec: ModelSpec, answers: Answers, champion: Answers) -> Paired:
    rule = spec.gates.champion
    return evaluate_statistics.compare(
        answers,
        champion,
        metric=METRICS[spec.metric],
        is_share=spec.metric in _SHARES,
        margin=rule.margin,
        alpha=rule.alpha,
        seed=spec.split.seed,
    )


def _all_metrics(spec: ModelSpec, answers: Answers) -> dict[str, float]:
    """The spec's metric first, then every other of the same task that is defined here."""
    found: dict[str, float] = {}
    for name in (spec.metric, *TASK_METRICS[spec.task]):
        if name in _OF_PROBABILITIES and answers.probabilities is None:
            continue
        if name == "roc_auc" and len(answers.labels) != 2:
            continue
        value = METRICS[name](answers)
        if np.isfinite(value):
            found[name] = value
    return found


def _by_class(answers: Answers) -> dict[str, Any]:
    classes = tuple(sorted({*answers.labels, *answers.truth.tolist()}))
    matrix = evaluate_metrics.confusion(answers, classes)
    scores = tuple(
        ClassScore(
            label=label,
            rows=int(matrix[index].sum()),
            recall=_share(matrix[index, index], matrix[index].sum()),
            precision=_share(matrix[index, index], matrix[:, index].sum()),
        )
        for index, label in enumerate(classes)
    )
    rows = tuple(tuple(int(count) for count in row) for row in matrix)
    return {"classes": classes, "confusion": rows, "by_class": scores}


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float("nan")
