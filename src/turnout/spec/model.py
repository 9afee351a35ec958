"""What model.yaml may say, as types. Mistakes that concern more than one field are found in `rules`, not here."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, Strict

from turnout.spec import text

__all__ = [
    "CLASSIFICATION_METRICS",
    "REGRESSION_METRICS",
    "ROW_KEY",
    "Candidate",
    "ChampionGate",
    "Checks",
    "Column",
    "ColumnType",
    "Gates",
    "ModelSpec",
    "Serving",
    "Source",
    "Split",
    "Step",
    "Task",
    "matches",
]

ROW_KEY = "_row"
"""Name of the key that is made when the spec names none: the row's position, from 0."""

Task = Literal["classification", "regression"]
ColumnType = Literal["int", "float", "string", "bool", "datetime"]
ClassificationMetric = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "neg_log_loss", "roc_auc", "roc_auc_ovr"
]
RegressionMetric = Literal[
    "r2",
    "neg_mean_absolute_error",
    "neg_mean_absolute_percentage_error",
    "neg_mean_squared_error",
    "neg_median_absolute_error",
    "neg_root_mean_squared_error",
]
Metric = Literal[ClassificationMetric, RegressionMetric]
CLASSIFICATION_METRICS: tuple[str, ...] = get_args(ClassificationMetric)
REGRESSION_METRICS: tuple[str, ...] = get_args(RegressionMetric)

# Strict: `name: 5` is a mistake to be told about, not a name to be guessed.
Text = Annotated[str, Strict(), Field(min_length=1)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Name = Annotated[str, Strict(), Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Block):
    """One table: a CSV or Parquet file, several of them by a pattern such as `days/*.csv`, or a folder of them."""

    name: Name
    path: Text = Field(description="Relative to model.yaml, absolute, or s3://bucket/key.")
    separator: Annotated[str, Strict(), Field(min_length=1, max_length=1)] = ","


class Column(_Block):
    """What every value of a column must satisfy. A row that breaks a rule is quarantined."""

    type: ColumnType | None = None
    min: Number | None = None
    max: Number | None = None
    nullable: Flag = True
    values: tuple[Any, ...] | None = Field(default=None, min_length=1, description="The only values allowed.")
    unique: Flag = False


class Checks(_Block):
    """What the data must satisfy before anything is learned from it."""

    min_rows: Annotated[Whole, Field(ge=1)] = 1
    max_bad_rows: Share = 0.05
    columns: dict[Text, Column] = Field(default={}, description="By column name or pattern (`p*`); an exact name wins.")

    def rule(self, column: str) -> Column:
        """The rule for one column: by its exact name, else by the first pattern that matches, else no rule."""
        if column in self.columns:
            return self.columns[column]
        return next((rule for pattern, rule in self.columns.items() if matches(column, pattern)), Column())


class Split(_Block):
    """How rows are divided into a training and a test part."""

    method: Literal["random", "stratified"] = "random"
    test: Annotated[float, Strict(), Field(gt=0, lt=1)] = 0.25
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0


class Step(_Block):
    """One preprocessing step, a scikit-learn transformer."""

    use: Text
    parameters: dict[Text, Any] = {}


class Candidate(_Block):
    """One estimator family with its grid."""

    name: Name
    estimator: Text
    parameters: dict[Text, Any] = {}
    preprocess: tuple[Step, ...] | None = Field(
        default=None, description="Absent: a default by column type; []: nothing."
    )
    grid: dict[Text, Annotated[tuple[Any, ...], Field(min_length=1)]] = {}


class ChampionGate(_Block):
    """The paired comparison with the champion on the same test rows."""

    margin: Annotated[Number, Field(ge=0)] = 0.0
    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.05


class Gates(_Block):
    """What a model must show before it is registered."""

    enabled: Flag = True
    minimum: Number | None = Field(default=None, description="Of the metric, on the test part.")
    champion: ChampionGate = ChampionGate()


class Serving(_Block):
    """How a version is served."""

    replicas: Annotated[Whole, Field(ge=1, le=100)] = 1


def _metric_of(validated: dict[str, Any]) -> Metric:
    return "r2" if validated.get("task") == "regression" else "accuracy"


class ModelSpec(_Block):
    """All of model.yaml. `rollout` is kept as written: it becomes `spec.policy` of the Turnout."""

    name: Name = Field(description="Of the endpoint and of the registered model.")
    sources: tuple[Source, ...] = Field(min_length=1)
    keys: tuple[Text, ...] = Field(default=(), description="Columns that identify a row; [] means the row's position.")
    label: Text
    task: Task
    drop: tuple[Text, ...] = Field(default=(), description="Columns (or patterns) that no model may see.")
    checks: Checks = Checks()
    split: Split = Split()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    folds: Annotated[Whole, Field(ge=2, le=50)] = 5
    metric: Metric = Field(default_factory=_metric_of)
    gates: Gates = Gates()
    serving: Serving = Serving()
    rollout: dict[Text, Any] = {}

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that identify a row of the instance table; never empty."""
        return self.keys or (ROW_KEY,)

    def candidate(self, name: str) -> Candidate:
        """The candidate of this name.

        Raises:
            KeyError: there is none; names come from this very spec, so that is a mistake in our code.
        """
        found = next((candidate for candidate in self.candidates if candidate.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def dropped(self, column: str) -> bool:
        """Whether no model may see this column."""
        return any(matches(column, pattern) for pattern in self.drop)

    def rooted(self, root: Path) -> ModelSpec:
        """The same spec with every relative source path made absolute below `root`."""
        sources = tuple(source.model_copy(update={"path": _rooted(source.path, root)}) for source in self.sources)
        return self.model_copy(update={"sources": sources})

    def dump(self) -> str:
        """The spec as YAML with everything in it, so that `loads` of it gives an equal spec."""
        return text.write(self.model_dump(mode="json", exclude_unset=True))


def matches(column: str, pattern: str) -> bool:
    """Whether a column is the one that is named, or one of those that a pattern such as `p*` means."""
    return column == pattern or fnmatchcase(column, pattern)


def _rooted(path: str, root: Path) -> str:
    return path if re.match(r"[a-z0-9]+://", path) else str(root.absolute() / path)
