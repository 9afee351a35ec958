"""Fitted scikit-learn estimators out of skops files, and asked by columns: what ONNX has no words for is served so.

A skops file says which types it is made of before anything is made. What skops itself knows to be harmless and what is
in `TRUSTED` (parts of scikit-learn that hold numbers) may be made; any other type is refused by name, because a type
is code, and code comes from somebody.

scikit-learn, skops and pandas are imported when they are needed and not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.errors import InputError, ModelError

__all__ = ["TRUSTED", "Column", "Fitted", "load", "untrusted"]

Array = npt.NDArray[Any]

# Beside skops' own list: the private parts of scikit-learn's estimators, each a holder of numbers or one function of
# numbers, as found by writing all of scikit-learn's estimators (`python -m bench.formats` does so again).
TRUSTED = frozenset(
    {
        # A partial is harmless if its function is, and that is looked up in this list, too.
        "functools.partial",
        "numpy.dtype",
        "numpy.mean",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Exponentiation",
        "sklearn.gaussian_process.kernels.ExpSineSquared",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._dist_metrics.ChebyshevDistance64",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
        "turnout.dates.DateParts",
    }
)


@dataclass(frozen=True)
class Column:
    """One column that an estimator was fitted on: its name, and whether it holds words."""

    name: str
    words: bool = False


def untrusted(content: bytes) -> list[str]:
    """The types in a skops file that nobody vouches for."""
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=content)) - TRUSTED)


def load(path: Path) -> Fitted:
    """The estimator in a skops file, made only if every type in it is trusted.

    Raises:
        ModelError: the file is no skops file, or a type in it is not trusted.
    """
    import skops.io

    try:
        content = path.read_bytes()
        unknown = untrusted(content)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # skops raises whatever its many readers raise on a damaged file
        raise ModelError(f"{path}: not a skops file: {error}") from error
    if unknown:
        raise ModelError(f"{path}: holds types that are not trusted, so nothing of it is loaded: {', '.join(unknown)}")
    try:
        return Fitted(skops.io.loads(content, trusted=sorted(TRUSTED)))
    except Exception as error:  # as above: an estimator of another scikit-learn, for instance
        raise ModelError(f"{path}: cannot be loaded: {error}") from error


class Fitted:
    """An estimator that answers."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self._names = getattr(estimator, "feature_names_in_", None)

    @property
    def name(self) -> str:
        """What it is called: the last step's class."""
        steps = getattr(self.estimator, "steps", None)
        return type(steps[-1][1] if steps else self.estimator).__name__

    @property
    def task(self) -> str:
        """Classification, regression or clustering."""
        from sklearn.base import is_classifier, is_clusterer

        if is_classifier(self.estimator):
            return "classification"
        return "clustering" if is_clusterer(self.estimator) else "regression"

    @property
    def classes(self) -> list[Any]:
        """The labels of a classifier, in the order of its probabilities."""
        found = getattr(self.estimator, "classes_", ()) if self.task == "classification" else ()
        return list(np.asarray(found).tolist())

    @property
    def has_probabilities(self) -> bool:
        """Whether it knows more than the label."""
        return hasattr(self.estimator, "predict_proba")

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return int(getattr(self.estimator, "n_features_in_", 0))

    def columns(self) -> list[Column]:
        """What it was fitted on, as far as it remembers: columns that are encoded as words are words."""
        names = [f"x{index}" for index in range(self.width)] if self._names is None else list(map(str, self._names))
        words = set(_word_columns(self.estimator, names))
        return [Column(name, words=name in words) for name in names]

    def values(self, table: Mapping[str, Array]) -> Array:
        """Labels or values, one per row; columns in the order of fitting.

        Raises:
            InputError: the estimator does not take these values.
        """
        return self._asked("predict", table)

    def probabilities(self, table: Mapping[str, Array]) -> Array:
        """One column per class.

        Raises:
            InputError: the estimator does not take these values.
        """
        return self._asked("predict_proba", table)

    def _asked(self, question: str, table: Mapping[str, Array]) -> Array:
        try:
            return np.asarray(getattr(self.estimator, question)(self._frame(table)))
        except (ValueError, TypeError) as error:
            raise InputError(f"the model cannot take these values: {str(error).splitlines()[0]}") from error

    def _frame(self, table: Mapping[str, Array]) -> Any:
        if self._names is None:
            return np.column_stack(list(table.values()))
        import pandas as pd

        return pd.DataFrame(dict(table))


def _word_columns(estimator: Any, names: Sequence[str]) -> list[str]:
    """The columns that a ColumnTransformer hands to a step which learned words."""
    from sklearn.compose import ColumnTransformer

    found: list[str] = []
    for part in [step for _, step in getattr(estimator, "steps", [("", estimator)])]:
        for _, step, columns in part.transformers_ if isinstance(part, ColumnTransformer) else ():
            if _learned_words(step):
                found += [column if isinstance(column, str) else names[column] for column in columns]
    return found


def _learned_words(step: Any) -> bool:
    parts = [part for _, part in getattr(step, "steps", [("", step)])]
    learned = [values for part in parts for values in getattr(part, "categories_", ())]
    learned += [part.statistics_ for part in parts if hasattr(part, "statistics_")]
    return any(np.asarray(values).dtype.kind in "OU" for values in learned)
