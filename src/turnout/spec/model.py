"""What model.yaml may say, as types. Mistakes that concern more than one field are found in `rules`, not here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from turnout.spec import text
from turnout.spec.data import LEDGER_SCHEME, Checks, Source, Split
from turnout.spec.fields import Block, Flag, Name, Number, Share, Text, Whole, matches
from turnout.spec.learning import Behaviour, Candidate, Features, Search

__all__ = [
    "PREDICTION_KEY",
    "ROW_KEY",
    "TASK_METRICS",
    "ChampionGate",
    "Gates",
    "ModelSpec",
    "ReplayGate",
    "Serving",
    "Task",
]

ROW_KEY = "_row"
"""Name of the key that is made when the spec names none: the row's position, from 0."""

PREDICTION_KEY = "_prediction"
"""Name of the key that rows out of the ledger have: their prediction's id, and for several rows the row's number."""

Task = Literal["classification", "regression", "clustering"]
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
ClusteringMetric = Literal["silhouette", "calinski_harabasz", "neg_davies_bouldin"]
Metric = Literal[ClassificationMetric, RegressionMetric, ClusteringMetric]
TASK_METRICS: dict[str, tuple[str, ...]] = {
    "classification": get_args(ClassificationMetric),
    "regression": get_args(RegressionMetric),
    "clustering": get_args(ClusteringMetric),
}
_USUAL_METRICS: dict[Any, Metric] = {"regression": "r2", "clustering": "silhouette"}


class ChampionGate(Block):
    """The paired comparison with the champion on the same test rows."""

    margin: Annotated[Number, Field(ge=0)] = 0.0
    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.05


class ReplayGate(Block):
    """The last requests that the endpoint answered, asked again of the candidate before it gets a live one."""

    requests: Annotated[Whole, Field(ge=1, le=100_000)] = 1000
    max_disagreement: Share | None = Field(
        default=None,
        description="Share of rows on which the candidate may answer otherwise than the champion; of values: their "
        "mean difference in standard deviations. Absent: it is reported only.",
    )


class Gates(Block):
    """What a model must show before it is registered."""

    enabled: Flag = True
    minimum: Number | None = Field(default=None, description="Of the metric, on the test part.")
    champion: ChampionGate = ChampionGate()
    beats: tuple[Text, ...] = Field(
        default=(),
        description="Answers without a model that it must be shown to be better than: a column whose value is the "
        "answer (last week's, say), or `constant`, the test part's own mean or most frequent class.",
    )
    replay: ReplayGate | None = Field(default=None, description="Absent: nothing is replayed.")


class Serving(Block):
    """How a version is served."""

    replicas: Annotated[Whole, Field(ge=1, le=100)] = 1


def _metric_of(validated: dict[str, Any]) -> Metric:
    return _USUAL_METRICS.get(validated.get("task"), "accuracy")


class ModelSpec(Block):
    """All of model.yaml. `rollout` is kept as written: it becomes `spec.policy` of the Turnout."""

    name: Name = Field(description="Of the endpoint and of the registered model.")
    sources: tuple[Source, ...] = Field(min_length=1)
    keys: tuple[Text, ...] = Field(default=(), description="Columns that identify a row; [] means the row's position.")
    time: Text | None = Field(
        default=None, description="Column that says when a row was: what was known then is all that it may be given."
    )
    label: Text | None = Field(default=None, description="What is to be found out; a clustering has none.")
    task: Task
    drop: tuple[Text, ...] = Field(default=(), description="Columns (or patterns) that no model may see.")
    checks: Checks = Checks()
    split: Split = Split()
    features: Features = Features()
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    search: Search = Search()
    folds: Annotated[Whole, Field(ge=2, le=50)] = 5
    metric: Metric = Field(default_factory=_metric_of)
    slices: tuple[Text, ...] = Field(default=(), description="Columns by whose values the report shows the metric.")
    behaviour: tuple[Behaviour, ...] = Field(default=(), description="What the model must do; checked by the gate.")
    gates: Gates = Gates()
    serving: Serving = Serving()
    rollout: dict[Text, Any] = Field(default={})

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that identify a row of the instance table; never empty."""
        keys = self.keys or (ROW_KEY,)
        return (*keys, PREDICTION_KEY) if any(source.is_ledger for source in self.sources) else keys

    @property
    def hidden(self) -> frozenset[str]:
        """Columns that are no features whatever `drop` says: they say which row it is, or what is to be found out."""
        return frozenset((*self.key_columns, *(name for name in (self.label, self.split.by) if name)))

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
        chosen = {"time", "label", "task", "drop", "split", "features", "candidates", "search", "folds", "metric"}
        return {"keys": list(self.key_columns), **self.model_dump(mode="json", include=chosen)}

    def plan(self) -> ModelSpec:
        """What of the spec the steps between a snapshot and its candidates look at; the rest is as by default.

        Where the rows came from, what they had to satisfy, what a model must show and how it is served decide nothing
        there: when they change, and nothing else, what those steps gave before is still right.
        """
        source = {"path": "data", "query": None, "since": None, "until": None, "versions": None}
        sources = tuple(
            one.model_copy(update=source | ({"path": f"{LEDGER_SCHEME}data"} if one.is_ledger else {}))
            for one in self.sources
        )
        rest = {
            "checks": Checks(),
            "gates": Gates(),
            "serving": Serving(),
            "rollout": {},
            "slices": (),
            "behaviour": (),
        }
        return self.model_copy(update={"name": "plan", "sources": sources, **rest})

    def dump(self) -> str:
        """The spec as YAML with everything in it, so that `loads` of it gives an equal spec."""
        return text.write(self.model_dump(mode="json", exclude_unset=True))


def _rooted(path: str, root: Path) -> str:
    # SQLAlchemy writes a database file with three slashes and then its path: a fourth one says that it is absolute.
    if (file := path.removeprefix("sqlite:///")) != path and file:
        return f"sqlite:///{root.absolute() / file}"
    return path if re.match(r"[a-z0-9+]+://", path) else str(root.absolute() / path)
