"""Whether the exported model answers what the fitted one answers.

ONNX may compute in FP32 where scikit-learn computes in FP64, so a row that lies on a threshold or in a tie may fall to
the other side. In a large table a row in a thousand may, and is reported; more are another model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from turnout.steps.artifact import Predictions
from turnout.steps.parts import Array

__all__ = ["TOLERANCE", "Answers", "Parity", "compare", "compare_on", "describe", "is_equal", "is_near", "total"]

TOLERANCE = 1e-5
"""Two numbers are equal when they differ by no more than this, for values relative to their spread."""
_SHARE = 0.001


class Answers(Protocol):
    """A model that can be asked."""

    def predict(self, features: Mapping[str, Array]) -> Predictions:
        """Answers for all rows of these columns."""


@dataclass(frozen=True)
class Parity:
    """How the two agree: rows compared, rows with another answer, rows and largest difference beyond the tolerance."""

    rows: int
    different: int
    beyond_tolerance: int
    largest_difference: float


def is_equal(parity: Parity) -> bool:
    """Every row is answered alike."""
    return not parity.different and not parity.beyond_tolerance


def is_near(parity: Parity) -> bool:
    """All but a few rows of many are."""
    return max(parity.different, parity.beyond_tolerance) <= _SHARE * parity.rows


def describe(parity: Parity) -> str:
    """What is not alike, in words."""
    return (
        f"{parity.different} of {parity.rows} rows are answered otherwise than by scikit-learn, "
        f"{parity.beyond_tolerance} differ by more than {TOLERANCE:g} (largest {parity.largest_difference:.2g})"
    )


def total(parities: Iterable[Parity]) -> Parity:
    """Several tables as one."""
    found = list(parities)
    return Parity(
        rows=sum(parity.rows for parity in found),
        different=sum(parity.different for parity in found),
        beyond_tolerance=sum(parity.beyond_tolerance for parity in found),
        largest_difference=max((parity.largest_difference for parity in found), default=0.0),
    )


def compare_on(features: Mapping[str, Array], model: Answers, fitted: Any, table: Any) -> Parity:
    """Compare both on these rows; `table` is what `fitted` takes for them."""
    answered = model.predict(features)
    probabilities = fitted.predict_proba(table) if answered.probabilities is not None else None
    return compare(
        answered.values, np.asarray(fitted.predict(table)), probabilities=(answered.probabilities, probabilities)
    )


def compare(onnx: Array, fitted: Array, *, probabilities: tuple[Array | None, Array | None] = (None, None)) -> Parity:
    """How far two sets of answers agree: labels exactly, numbers within the tolerance."""
    ours, theirs = probabilities
    if onnx.dtype.kind == "f":
        difference = np.abs(onnx.astype(np.float64) - fitted)
        spread = float(np.std(fitted)) or 1.0
        beyond = ~(difference <= TOLERANCE * np.maximum(spread, np.abs(fitted)))
        return _parity(different=beyond, beyond=beyond, difference=difference)
    different = onnx != fitted
    if ours is None or theirs is None:
        return _parity(different=different, beyond=different, difference=different.astype(np.float64))
    difference = np.abs(ours - theirs).max(axis=1)
    return _parity(different=different, beyond=~(difference <= TOLERANCE), difference=difference)


def _parity(*, different: Array, beyond: Array, difference: Array) -> Parity:
    return Parity(
        rows=len(different),
        different=int(np.count_nonzero(different)),
        beyond_tolerance=int(np.count_nonzero(beyond)),
        largest_difference=float(np.max(difference, initial=0.0)),
    )
