"""The evaluation as one HTML page without scripts or files beside it, so that it opens anywhere, also in KFP's UI."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from turnout import times
from turnout.spec import ModelSpec
from turnout.steps import evaluate_clusters
from turnout.steps import evaluate_drawings as drawings
from turnout.steps.evaluate import Evaluation
from turnout.steps.replay import Replay

__all__ = ["render"]

_TEMPLATE = "evaluate_report.html.j2"
_MOST_CLASSES = 40


def render(evaluation: Evaluation, *, spec: ModelSpec) -> str:
    """The page."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["breakable"] = _breakable
    environment.filters["number"] = _number
    environment.filters["moment"] = times.text
    template = environment.from_string(resources.files("turnout.steps").joinpath(_TEMPLATE).read_text("utf-8"))
    return template.render(
        evaluation=evaluation,
        spec=spec,
        candidates=_candidates(evaluation),
        pictures=_pictures(evaluation, spec),
    )


def _pictures(evaluation: Evaluation, spec: ModelSpec) -> dict[str, Any]:
    minimum, margin = spec.gates.minimum, spec.gates.champion.margin
    score, comparison = evaluation.score, evaluation.comparison
    bounds = _bounds([score.low, score.high, *([minimum] if minimum is not None else [])])
    pictures: dict[str, Any] = {
        "score": _markup(drawings.interval(score.value, score.low, score.high, mark=minimum, bounds=bounds))
    }
    if comparison is not None:
        widest = max(abs(comparison.low), abs(comparison.high), margin) * 1.15 or 0.01
        pictures["comparison"] = _markup(
            drawings.interval(
                comparison.difference, comparison.low, comparison.high, mark=-margin, bounds=(-widest, widest)
            )
        )
    if evaluation.slices:
        ends = _bounds([end for item in evaluation.slices for end in (item.score.low, item.score.high)])
        pictures["slices"] = [
            _markup(drawings.interval(s.score.value, s.score.low, s.score.high, mark=score.value, bounds=ends))
            for s in evaluation.slices
        ]
    if evaluation.calibration is not None:
        bins = [(one.confidence, one.right, one.low, one.high) for one in evaluation.calibration.bins]
        pictures["calibration"] = _markup(drawings.calibration(bins))
    if len(points := evaluation.best.facts["curve"]) > 1:
        pictures["curve"] = _markup(drawings.curve(points))
    return pictures | _answers(evaluation) | _replay(evaluation.replayed, spec)


def _replay(replayed: Replay | None, spec: ModelSpec) -> dict[str, Any]:
    """How often the candidate would have answered otherwise, and which answers those are."""
    if replayed is None or replayed.disagreement is None or replayed.low is None or replayed.high is None:
        return {}
    most = spec.gates.replay.max_disagreement if spec.gates.replay else None
    ends = (0.0, min(1.0, 1.25 * max(replayed.high, most or 0.0)))
    line = drawings.interval(replayed.disagreement, replayed.low, replayed.high, mark=most, bounds=ends)
    top = max((change.rows for change in replayed.changes), default=1)
    return {
        "replay": _markup(line),
        "changes": [_markup(drawings.bar(change.rows / top)) for change in replayed.changes],
    }


def _answers(evaluation: Evaluation) -> dict[str, Any]:
    """Right and wrong answers: by class, or as values; of clusters, where they are."""
    if evaluation.clusters:
        most = max(item.rows for item in evaluation.clusters)
        places, numbers = evaluate_clusters.plane(evaluation.answers), evaluation.answers.values
        return {
            "clusters": _markup(drawings.clusters(places, numbers)),
            "by_cluster": [
                (item, drawings.colour(item.number), _markup(drawings.bar(item.rows / most)))
                for item in evaluation.clusters
            ],
        }
    if not evaluation.classes:
        truth, values = evaluation.answers.truth, evaluation.answers.values
        return {
            "scatter": _markup(drawings.scatter(truth, values)),
            "residuals": _markup(drawings.residuals(truth, values)),
        }
    if len(evaluation.classes) > _MOST_CLASSES:
        return {}
    return {
        "confusion": _markup(drawings.confusion(evaluation.confusion, evaluation.classes)),
        "by_class": [
            (item, _markup(drawings.bar(item.recall)), _markup(drawings.bar(item.precision)))
            for item in evaluation.by_class
        ],
    }


def _candidates(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Every point of every candidate, best first, with its folds."""
    points = [
        {
            "candidate": tried.name,
            "chosen": tried is evaluation.best and index == tried.facts["best"],
            "parameters": ", ".join(f"{name}={value}" for name, value in point["parameters"].items())
            or "as in the spec",
            **{key: point[key] for key in ("mean", "sd", "folds", "fit_s")},
        }
        for tried in evaluation.tried
        for index, point in enumerate(tried.facts["points"])
    ]
    scores = [score for point in points for score in point["folds"] if score is not None]
    ends = (min(scores), max(scores))
    for point in points:
        point["picture"] = _markup(drawings.folds([s for s in point["folds"] if s is not None], bounds=ends))
    return sorted(points, key=lambda point: -(point["mean"] if point["mean"] is not None else float("inf")))


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a line on which all of these are well inside."""
    low, high = min(values), max(values)
    room = 0.25 * (high - low) or 0.05
    return low - room, high + room


def _markup(svg: str) -> Markup:
    # Drawings escape every word that comes from data.
    return Markup(svg)  # noqa: S704


def _breakable(name: str) -> Markup:
    """A name of many words may be broken behind each: KFP's and MLflow's windows are narrow."""
    return Markup("_<wbr>").join(name.split("_"))


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"
