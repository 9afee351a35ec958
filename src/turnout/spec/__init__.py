"""model.yaml: what to learn from, how, and what it takes to be served.

    fields       the kinds of value
    data         the types of sources, checks and split
    learning     the types of features, candidates and their search
    model        the types of everything else
    text         YAML with the line of every value
    rules        mistakes between fields
    estimators   scikit-learn classes by import path, from a list of allowed modules
    loading      all of it together: a ModelSpec, or one SpecError with every mistake and its line

Importing this package imports no scikit-learn.
"""

from __future__ import annotations

from turnout.spec.data import Checks, Column, ColumnType, Source, Split
from turnout.spec.learning import Behaviour, Candidate, FeatureKind, Features, Range, Search, Step
from turnout.spec.loading import json_schema, load, loads
from turnout.spec.model import (
    PREDICTION_KEY,
    ROW_KEY,
    ChampionGate,
    Gates,
    ModelSpec,
    ReplayGate,
    Serving,
    Task,
)

__all__ = [
    "PREDICTION_KEY",
    "ROW_KEY",
    "Behaviour",
    "Candidate",
    "ChampionGate",
    "Checks",
    "Column",
    "ColumnType",
    "FeatureKind",
    "Features",
    "Gates",
    "ModelSpec",
    "Range",
    "ReplayGate",
    "Search",
    "Serving",
    "Source",
    "Split",
    "Step",
    "Task",
    "json_schema",
    "load",
    "loads",
]
