"""What a model must do whatever its score: the same answer where nothing of meaning changed, the right direction where
something did (Ribeiro et al. 2020, "Beyond Accuracy")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from turnout.errors import DataError
from turnout.spec import Behaviour, ModelSpec
from turnout.steps import evaluate_statistics
from turnout.steps.artifact import Model, Predictions
from turnout.steps.parts import Array, Part, select

__all__ = ["Behaved", "check"]

_ROWS = 2000
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Behaved:
    """One check: the share of rows that behaved as wanted, its 95 % interval, and an example that did not."""

    name: str
    rows: int
    share: float
    low: float
    high: float
    wanted: float
    example: str = ""

    @property
    def passed(self) -> bool:
        """Whether enough rows did."""
        return self.share >= self.wanted


def check(spec: ModelSpec, model: Model, part: Part) -> tuple[Behaved, ...]:
    """Ask the model about the first 2,000 test rows, and about the same rows changed.

    Raises:
        DataError: a check names a column that is no feature, or a class that the model does not know.
    """
    rows = select(part.features, slice(0, _ROWS))
    before = model.predict(rows) if spec.behaviour else None
    return tuple(_checked(one, model, rows, before) for one in spec.behaviour if before is not None)


def _checked(one: Behaviour, model: Model, rows: Mapping[str, Array], before: Predictions) -> Behaved:
    after = model.predict({**rows, one.column: _changed(one, rows)})
    if one.expect == "same":
        held = _same(before, after)
    else:
        first, second = _height(one, model, before), _height(one, model, after)
        held = second >= first - _TOLERANCE if one.expect == "no lower" else second <= first + _TOLERANCE
    count = len(held)
    low, high = evaluate_statistics.wilson(int(held.sum()), count)
    return Behaved(one.name, count, float(held.mean()), low, high, one.share, _example(one, rows, before, after, held))


def _changed(one: Behaviour, rows: Mapping[str, Array]) -> Array:
    if one.column not in rows:
        raise DataError(f"behaviour {one.name}: {one.column} is no feature; there are {', '.join(rows)}")
    values = rows[one.column]
    if values.dtype == object:
        if one.to is None:
            raise DataError(f"behaviour {one.name}: {one.column} holds words; say what they become in `to`")
        return np.full(len(values), str(one.to), dtype=object)
    if isinstance(one.to, str):
        raise DataError(f"behaviour {one.name}: {one.column} holds numbers, and they cannot become {one.to!r}")
    made = values + (one.add or 0.0) if one.to is None else np.full(len(values), one.to)
    return made.astype(values.dtype)


def _same(before: Predictions, after: Predictions) -> Array:
    if before.values.dtype.kind != "f":
        return np.asarray(before.values == after.values)
    spread = float(np.std(before.values)) or 1.0
    return np.asarray(np.abs(before.values - after.values) <= 0.01 * spread)


def _height(one: Behaviour, model: Model, said: Predictions) -> Array:
    """What goes up or down: the value, or the probability of the class that the check names."""
    if said.probabilities is None:
        return np.asarray(said.values, dtype=np.float64)
    labels = list(model.manifest.labels)
    if one.of not in labels:
        raise DataError(f"behaviour {one.name}: `of` names the class whose probability goes up or down: {labels}")
    return np.asarray(said.probabilities[:, labels.index(one.of)], dtype=np.float64)


def _example(one: Behaviour, rows: Mapping[str, Array], before: Predictions, after: Predictions, held: Array) -> str:
    if held.all():
        return ""
    row = int(np.flatnonzero(~held)[0])
    return f"{one.column} was {rows[one.column][row]}: {before.values[row]} became {after.values[row]}"
