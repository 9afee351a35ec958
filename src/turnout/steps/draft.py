"""The commented model.yaml of `turnout init`, block by block."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from turnout.spec import text
from turnout.steps.looking import Facts, Look

__all__ = ["write"]

_MOST_VALUES = 8


def write(look: Look, *, output: Path) -> str:
    """The whole file. The source is named relative to where the file will be."""
    blocks = (
        _head(look, output),
        _table(look),
        _checks(look),
        _split(look),
        _candidates(look),
        _gates(look),
        _rollout(look),
    )
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _head(look: Look, output: Path) -> Iterator[str]:
    source = Path(os.path.relpath(look.path, output.absolute().parent)).as_posix()
    separator = f", separator: {text.inline(look.separator)}" if look.separator != "," else ""
    yield f"# Drafted by `turnout init` from {look.path.name}: {look.rows} rows. Change what you know better, then:"
    yield f"#   turnout run {output.name}"
    yield f"name: {_name(look.path.stem)}    # of the endpoint and of the registered model"
    yield ""
    yield "sources:    # CSV or Parquet; several are joined on the keys"
    yield f"  - {{name: data, path: {text.inline(source)}{separator}}}"


def _table(look: Look) -> Iterator[str]:
    if look.key is None:
        yield "keys: []    # no column identifies the rows, so a row's position does; name one to join other tables"
    else:
        yield f"keys: [{text.inline(look.key)}]    # identifies a row: a different value in each"
    yield f"label: {text.inline(look.label.name)}    # {_label_facts(look)}"
    yield f"task: {look.task}"
    if look.dropped:
        yield "drop:    # columns that no model sees"
        yield from (f"  - {text.inline(name)}    # {why}" for name, why in look.dropped)


def _checks(look: Look) -> Iterator[str]:
    label = look.label
    yield "checks:    # a row that breaks a rule is set aside and counted"
    yield f"  min_rows: {max(1, (look.rows - label.missing) // 2)}    # half of what there is today"
    yield f"  max_bad_rows: {_allowed(look):g}    # a larger share of bad rows stops the run{_missing_labels(look)}"
    yield "  columns:    # also min, max, values, unique, nullable: false; a name may be a pattern such as 'x*'"
    yield f"    {text.inline(label.name)}: {{type: {label.kind}}}"
    for column in look.features:
        # A whole number may be a fraction tomorrow, and models do not care.
        kind = "float" if column.kind == "int" else column.kind
        yield f"    {text.inline(column.name)}: {{type: {kind}}}    # {_column_facts(column)}"


def _split(look: Look) -> Iterator[str]:
    rarest = min(count for _, count in look.counts)
    method = "stratified" if look.task == "classification" and rarest > 1 else "random"
    yield f"split: {{method: {method}, test: 0.25, seed: 0}}    # the test part is never trained on"


def _candidates(look: Look) -> Iterator[str]:
    classes = look.task == "classification"
    linear, forest = ("LogisticRegression", "RandomForestClassifier") if classes else ("Ridge", "RandomForestRegressor")
    grid = "{C: [0.1, 1.0, 10.0]}" if classes else "{alpha: [0.1, 1.0, 10.0]}"
    yield "# Preprocessing by default: numbers are imputed and scaled, words imputed and one-hot encoded."
    yield "candidates:    # the best in cross-validation is tested"
    yield "  - name: linear"
    yield f"    estimator: sklearn.linear_model.{linear}"
    if classes:
        yield "    parameters: {max_iter: 1000}"
    yield f"    grid: {grid}"
    yield "  - name: forest"
    yield f"    estimator: sklearn.ensemble.{forest}"
    yield "    parameters: {n_estimators: 100, random_state: 0}"
    yield "    grid: {max_depth: [5, 15]}"
    yield f"folds: {5 if look.rows >= 100 else 3}"
    yield f"metric: {_metric(look)}    # {_why_metric(look)}"


def _gates(look: Look) -> Iterator[str]:
    base = _baseline(look)
    minimum = math.floor((base + 0.1 * (1 - base)) * 1000) / 1000
    yield "gates:    # what a model must show on the test part before it is registered"
    yield f"  minimum: {minimum:g}    # {_baseline_words(look)} has {base:.3g}; this asks for a tenth of what is left"
    yield "  champion: {margin: 0.0, alpha: 0.05}    # not worse than the version in service, on the same rows"


def _rollout(look: Look) -> Iterator[str]:
    yield "serving: {replicas: 1}"
    yield ""
    yield "rollout:    # how a new version takes over, judged by labels that come back as feedback"
    if look.task == "regression":
        yield "  # A quantity is never met exactly: send feedback as a score from 0 (bad) to 1 (good), not as a label."
    yield "  margin: 0.02    # may be this much worse"
    yield "  alpha: 0.05    # chance of a wrong promotion, and of a wrong rollback"
    yield "  steps: [5, 20, 50]    # percent of the requests"
    yield "  minLabels: 30    # before the next step"
    yield "  stepTime: 1m    # before the next step"
    yield "  labelWindow: 1h    # labels that come later do not decide"
    yield "  bake: 1h    # the old version stays ready for this long"


def _name(stem: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-")
    return text.inline(name or "model")


def _label_facts(look: Look) -> str:
    if look.task == "regression":
        return f"{look.label.least:g} to {look.label.most:g}"
    shown = ", ".join(f"{_one_line(value)} ({count})" for value, count in look.counts[:_MOST_VALUES])
    return f"{len(look.counts)} classes: {shown}{', ...' if len(look.counts) > _MOST_VALUES else ''}"


def _column_facts(column: Facts) -> str:
    missing = f", {column.missing} missing" if column.missing else ""
    if column.kind in {"int", "float"}:
        return f"{column.least:g} to {column.most:g}{missing}"
    return f"{column.distinct} different values{missing}"


def _one_line(value: object) -> str:
    return " ".join(str(value).split())[:40]


def _allowed(look: Look) -> float:
    """A share of bad rows that today's table passes, with room for as much again."""
    bad = (look.label.missing + look.unreadable) / (look.rows + look.unreadable)
    return min(1.0, max(0.05, math.ceil(bad * 2 * 100) / 100))


def _missing_labels(look: Look) -> str:
    return f"; {look.label.missing} rows have no label" if look.label.missing else ""


def _balanced(look: Look) -> bool:
    return look.counts[0][1] <= 0.8 * sum(count for _, count in look.counts)


def _metric(look: Look) -> str:
    if look.task == "regression":
        return "r2"
    return "accuracy" if _balanced(look) else "balanced_accuracy"


def _why_metric(look: Look) -> str:
    if look.task == "regression":
        return "share of the variance that is explained"
    return "share of right answers" if _balanced(look) else "mean over the classes, because one of them is most rows"


def _baseline(look: Look) -> float:
    """What a model reaches that has learned nothing."""
    if look.task == "regression":
        return 0.0
    if not _balanced(look):
        return 1 / len(look.counts)
    return look.counts[0][1] / sum(count for _, count in look.counts)


def _baseline_words(look: Look) -> str:
    if look.task == "regression":
        return "always answering the mean"
    return f"always answering {text.inline(_one_line(look.counts[0][0]))}"
