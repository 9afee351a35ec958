"""Whether the exported model answers what the fitted one answers.

ONNX computes in FP32 where scikit-learn computes in FP64, so a row that lies on a threshold or in a tie may fall to
the other side. A few such rows are the price of a small runtime and are reported; more are a broken export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.errors import Failed
from turnout.steps.artifact import Model
from turnout.steps.parts import Array

__all__ = ["LARGEST_SHARE", "TOLERANCE", "Parity", "check", "compare"]

TOLERANCE = 1e-4
"""Two numbers are equal when they differ by no more than this, for values relative to their spread."""
LARGEST_SHARE = 0.01
"""At most this share of the rows may have another label or value."""
_LARGEST_SHARE_OF_PROBABILITIES = 0.05


@dataclass(frozen=True)
class Parity:
    """How the two agree: rows compared, rows with another answer, rows and largest difference beyond the tolerance."""

    rows: int
    different: int
    beyond_tolerance: int
    largest_difference: float


def check(
    model: Model, fitted: Any, *, features: Mapping[str, Array], frame: Callable[[Mapping[str, Array]], Any]
) -> Parity:
    """Compare both on these rows.

    Raises:
        Failed: more rows differ than rounding explains.
    """
    answered = model.predict(features)
    table = frame(features)
    probabilities = fitted.predict_proba(table) if answered.probabilities is not None else None
    parity = compare(
        answered.values, np.asarray(fitted.predict(table)), probabilities=(answered.probabilities, probabilities)
    )
    name = type(fitted.steps[-1][1]).__name__
    if parity.different > LARGEST_SHARE * parity.rows:
        raise Failed(
            f"{name} exported to ONNX answers otherwise than scikit-learn on {parity.different} of {parity.rows} test "
            f"rows (at most {LARGEST_SHARE:.0%} may); scale the features, or choose an estimator that stands FP32"
        )
    if parity.beyond_tolerance > _LARGEST_SHARE_OF_PROBABILITIES * parity.rows:
        raise Failed(
            f"{name} exported to ONNX gives probabilities that differ by more than {TOLERANCE} on "
            f"{parity.beyond_tolerance} of {parity.rows} test rows (largest {parity.largest_difference:.2g}); "
            "scale the features, or choose an estimator that stands FP32"
        )
    return parity


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
