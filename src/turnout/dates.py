"""Times as features: the hour, the weekday and the season, made inside the model from seconds since 1970 in UTC.

A request carries a time as the number that it is, and nobody who sends one needs to know what the model makes of it.
There is no year and no count of days: a model that learned a trend would be asked beyond its end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["DAY_S", "YEAR_DAYS", "DateParts"]

DAY_S = 86_400.0
YEAR_DAYS = 365.2425
_PARTS = ("hour", "weekday", "season")


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """For each column of times: hour (0 to 24), weekday (Monday is 0) and season (0 to 1 through the year).

    >>> DateParts().fit_transform(np.array([[0.0], [1_795_183_200.0]])).round(3).tolist()
    [[0.0, 3.0, 0.0], [14.0, 4.0, 0.885]]
    """

    def fit(self, X: npt.NDArray[Any], y: Any = None) -> DateParts:
        """Remember how many columns there are; nothing else is learned."""
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The parts, column by column; a missing time has missing parts."""
        seconds = np.asarray(X, dtype=np.float64)
        days = np.floor(seconds / DAY_S)
        hour = (seconds - days * DAY_S) / 3600
        # 1970 began on a Thursday.
        weekday = (days + 3) - 7 * np.floor((days + 3) / 7)
        season = days / YEAR_DAYS - np.floor(days / YEAR_DAYS)
        parts = np.stack([hour, weekday, season], axis=2).reshape(len(seconds), -1)
        # What is served computes with the parts in FP32, so nothing is learned from more.
        return np.asarray(parts.astype(np.float32), dtype=np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """`start hour`, `start weekday`, `start season`."""
        names = input_features if input_features is not None else [f"x{n}" for n in range(self.n_features_in_)]
        return np.array([f"{name} {part}" for name in names for part in _PARTS], dtype=object)
