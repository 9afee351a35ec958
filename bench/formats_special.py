"""What `bench.formats` must know about single estimators of scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.linear_model import LogisticRegression

__all__ = ["BINARY", "LEFT_OUT", "PARAMETERS", "WORDS"]

WORDS = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})
"""Tried on a column of words."""

BINARY = frozenset({"FixedThresholdClassifier", "TunedThresholdClassifierCV"})
"""Refuse a third class."""

_SEVERAL = "takes several labels; a model spec has one"
_NOT_A_TABLE = "not for columns of a table"
_LABELS = "for labels, not for features"
_NO_TRANSFORM = "does not transform new rows"

LEFT_OUT = {
    "CCA": _SEVERAL,
    "ClassifierChain": _SEVERAL,
    "DictVectorizer": _NOT_A_TABLE,
    "FeatureHasher": _NOT_A_TABLE,
    "HashingVectorizer": _NOT_A_TABLE,
    "KernelCenterer": _NOT_A_TABLE,
    "LabelBinarizer": _LABELS,
    "LabelEncoder": _LABELS,
    "MultiLabelBinarizer": _LABELS,
    "MultiOutputClassifier": _SEVERAL,
    "MultiOutputRegressor": _SEVERAL,
    "MultiTaskElasticNet": _SEVERAL,
    "MultiTaskElasticNetCV": _SEVERAL,
    "MultiTaskLasso": _SEVERAL,
    "MultiTaskLassoCV": _SEVERAL,
    "PLSCanonical": _SEVERAL,
    "PLSSVD": _SEVERAL,
    "PatchExtractor": _NOT_A_TABLE,
    "RegressorChain": _SEVERAL,
    "SparseCoder": "needs an array, which a model spec cannot write",
    "TSNE": _NO_TRANSFORM,
}
"""Not tried, and why."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "GenericUnivariateSelect": {"mode": "k_best", "param": 1},
    "GaussianRandomProjection": {"n_components": 2},
    "HistGradientBoostingClassifier": {"max_iter": 10},
    "HistGradientBoostingRegressor": {"max_iter": 10},
    "KBinsDiscretizer": {"encode": "onehot-dense", "quantile_method": "averaged_inverted_cdf"},
    "LatentDirichletAllocation": {"n_components": 2},
    "MissingIndicator": {"features": "all"},
    "MLPClassifier": {"hidden_layer_sizes": (10,)},
    "MLPRegressor": {"hidden_layer_sizes": (10,)},
    "OneHotEncoder": {"handle_unknown": "ignore", "sparse_output": False},
    "QuantileTransformer": {"n_quantiles": 20},
    "RadiusNeighborsClassifier": {"radius": 3.0},
    "SelectKBest": {"k": 1},
    "SelfTrainingClassifier": {"estimator": LogisticRegression(max_iter=1000)},
    "SparseRandomProjection": {"n_components": 2},
    "TargetEncoder": {"target_type": "continuous"},
}
"""Without these they refuse the small table, or take minutes."""
