"""What model.yaml may say, as types. Mistakes that concern more than one field are found in `rules`, not here."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict

from turnout import times
from turnout.errors import InputError
from turnout.spec import text

__all__ = [
    "CLASSIFICATION_METRICS",
    "LEDGER_SCHEME",
    "PREDICTION_KEY",
    "REGRESSION_METRICS",
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
    "matches",
]

ROW_KEY = "_row"
"""Name of the key that is made when the spec names none: the row's position, from 0."""

LEDGER_SCHEME = "ledger://"

PREDICTION_KEY = "_prediction"
"""Name of the key that rows out of the ledger have: their prediction's id, and for several rows the row's number."""

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


def _moment(written: str) -> str:
    try:
        times.parse_us(written)
    except InputError as error:
        raise ValueError(str(error)) from error
    return written


Moment = Annotated[str, Strict(), AfterValidator(_moment)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Block):
    """One table: a CSV or Parquet file, several of them by a pattern such as `days/*.csv`, or a folder of them.

    Or what the ledger knows: `ledger://digits` are the labelled predictions of that endpoint (of a namespace:
    `ledger://shop/digits`), inputs by column and the true label. Sources are joined on the keys; one that is appended
    adds rows instead, and what the ledger holds is always appended.
    """

    name: Name
    path: Text = Field(description="Relative to model.yaml, absolute, s3://bucket/key, or ledger://endpoint.")
    append: Flag | None = Field(default=None, description="Add rows to the joined table instead of columns.")
    since: Moment | None = Field(default=None, description="Of a ledger source: only predictions from then on.")
    until: Moment | None = Field(default=None, description="Of a ledger source: only predictions before then.")
    versions: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="Of a ledger source: only predictions of these versions."
    )
    separator: Annotated[str, Strict(), Field(min_length=1, max_length=1)] = ","

    @property
    def is_ledger(self) -> bool:
        """Whether its rows are labelled predictions."""
        return self.path.startswith(LEDGER_SCHEME)

    @property
    def is_appended(self) -> bool:
        """Whether it adds rows; else it adds columns to the rows of the others."""
        return self.is_ledger or bool(self.append)

    @property
    def ledger_place(self) -> tuple[str, str]:
        """Namespace and endpoint that a ledger source names."""
        parts = urlsplit(self.path)
        endpoint = parts.path.strip("/")
        return (parts.netloc, endpoint) if endpoint else ("default", parts.netloc)


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


class ReplayGate(_Block):
    """The last requests that the endpoint answered, asked again of the candidate before it gets a live one."""

    requests: Annotated[Whole, Field(ge=1, le=100_000)] = 1000
    max_disagreement: Share | None = Field(
        default=None,
        description="Share of rows on which the candidate may answer otherwise than the champion; of values: their "
        "mean difference in standard deviations. Absent: it is reported only.",
    )


class Gates(_Block):
    """What a model must show before it is registered."""

    enabled: Flag = True
    minimum: Number | None = Field(default=None, description="Of the metric, on the test part.")
    champion: ChampionGate = ChampionGate()
    replay: ReplayGate | None = Field(default=None, description="Absent: nothing is replayed.")


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
        keys = self.keys or (ROW_KEY,)
        return (*keys, PREDICTION_KEY) if any(source.is_ledger for source in self.sources) else keys

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

    def learning(self) -> dict[str, Any]:
        """What of the spec decides which model comes out of a snapshot; the snapshot stands for the sources."""
        chosen = {"label", "task", "drop", "split", "candidates", "folds", "metric"}
        return {"keys": list(self.key_columns), **self.model_dump(mode="json", include=chosen)}

    def dump(self) -> str:
        """The spec as YAML with everything in it, so that `loads` of it gives an equal spec."""
        return text.write(self.model_dump(mode="json", exclude_unset=True))


def matches(column: str, pattern: str) -> bool:
    """Whether a column is the one that is named, or one of those that a pattern such as `p*` means."""
    return column == pattern or fnmatchcase(column, pattern)


def _rooted(path: str, root: Path) -> str:
    return path if re.match(r"[a-z0-9]+://", path) else str(root.absolute() / path)
