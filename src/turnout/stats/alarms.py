"""Alarms: they stop a verdict, they never give one. Each is itself an e-process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

__all__ = ["SampleRatioAlarm"]

_ODDS = tuple(math.exp(x) for x in (-0.8, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.8))


class SampleRatioAlarm:
    """Evidence that assignments do not come with the probability that was asked for (sample-ratio mismatch).

    A mixture over odds ratios θ of the likelihood ratio `θ^W / (sθ + 1 - s)`: Lindon and Malek, "Anytime-valid
    inference for multinomial count data" (NeurIPS 2022, arXiv 2011.03567).
    """

    def __init__(self) -> None:
        self._wealth = [1.0] * len(_ODDS)

    @property
    def evidence(self) -> float:
        """The e-value."""
        return sum(self._wealth) / len(self._wealth)

    def update(self, *, assigned: bool, share: float) -> None:
        """One assignment, labelled or not."""
        for k, odds in enumerate(_ODDS):
            factor = (odds if assigned else 1.0) / (share * odds + 1.0 - share)
            self._wealth[k] = min(self._wealth[k] * factor, 1e250)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values."""
        return {"wealth": list(self._wealth)}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where `state` left off."""
        self._wealth = [float(w) for w in state["wealth"]]
        return self
