"""model.yaml: what to learn from, how, and what it takes to be served.

    model        the types
    text         YAML with the line of every value
    rules        mistakes between fields
    estimators   scikit-learn classes by import path, from a list of allowed modules
    loading      all of it together: a ModelSpec, or one SpecError with every mistake and its line

Importing this package imports no scikit-learn.
"""

from __future__ import annotations

from turnout.spec.loading import json_schema, load, loads
from turnout.spec.model import (
    PREDICTION_KEY,
    ROW_KEY,
    Candidate,
    ChampionGate,
    Checks,
    Column,
    ColumnType,
    Gates,
    ModelSpec,
    ReplayGate,
    Serving,
    Source,
    Split,
    Step,
    Task,
)

__all__ = [
    "PREDICTION_KEY",
    "ROW_KEY",
    "Candidate",
    "ChampionGate",
    "Checks",
    "Column",
    "ColumnType",
    "Gates",
    "ModelSpec",
    "ReplayGate",
    "Serving",
    "Source",
    "Split",
    "Step",
    "Task",
    "json_schema",
    "load",
    "loads",
]
