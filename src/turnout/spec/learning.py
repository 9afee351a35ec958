"""What is learned: the columns that models see, the families that are tried, and how their parameters are searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Strict, Tag

from turnout.spec.fields import EITHER, LIST, MAPPING, Block, Flag, Name, Number, Share, Text, Whole, matches

__all__ = ["Behaviour", "Candidate", "FeatureKind", "Features", "Range", "Search", "Step"]

FeatureKind = Literal["numeric", "categorical", "text", "datetime"]
KINDS: tuple[FeatureKind, ...] = ("numeric", "categorical", "text", "datetime")


class Features(Block):
    """How columns are prepared, by name or pattern; what is named nowhere is prepared as its values suggest."""

    numeric: tuple[Text, ...] = Field(default=(), description="Imputed, and scaled where the estimator needs it.")
    categorical: tuple[Text, ...] = Field(default=(), description="One-hot, numbers too.")
    text: tuple[Text, ...] = Field(default=(), description="Words weighted by tf-idf.")
    datetime: tuple[Text, ...] = Field(default=(), description="Hour, weekday and season.")

    def kind(self, column: str) -> FeatureKind | None:
        """What the spec says a column is; the first of the kinds above that names it."""
        return next((kind for kind in KINDS if any(matches(column, name) for name in getattr(self, kind))), None)


class Step(Block):
    """One preprocessing step, a scikit-learn transformer."""

    use: Text
    parameters: dict[Text, Any] = Field(default={})


class Range(Block):
    """Numbers of which a random search draws; with `log` each decade is as likely as the next."""

    low: Number
    high: Number
    log: Flag = False
    whole: Flag = False


_List = Annotated[tuple[Any, ...], Field(min_length=1)]
_Values = Annotated[Annotated[_List, Tag(LIST)] | Annotated[Range, Tag(MAPPING)], EITHER]


class Candidate(Block):
    """One estimator family: the features that it sees, its preparation, its parameters and those that are searched."""

    name: Name
    estimator: Text
    features: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="Columns or patterns that it sees; absent: all."
    )
    parameters: dict[Text, Any] = Field(default={})
    preprocess: tuple[Step, ...] | None = Field(
        default=None, description="Of numbers. Absent: a default by estimator; []: nothing."
    )
    grid: dict[Text, _Values] = Field(
        default={},
        description="Values by parameter; `step1.threshold` is a parameter of the first preprocessing step, "
        "`text.ngram_range` one of the preparation of text (TfidfVectorizer).",
    )

    def sees(self, column: str) -> bool:
        """Whether a column is one of its features."""
        return self.features is None or any(matches(column, name) for name in self.features)


class Behaviour(Block):
    """What must hold for a changed row: one column set `to` a value, or with a number added to it.

    `same`: the answer stays (a value: within a hundredth of the spread). `no lower` and `no higher`: the value, or the
    probability of the class `of`, does not move the other way.
    """

    name: Text
    column: Text
    to: Annotated[float, Strict()] | Text | None = None
    add: Number | None = None
    expect: Literal["same", "no lower", "no higher"]
    of: Whole | Text | None = None
    share: Share = Field(default=1.0, description="Of the rows, so many at least must behave so.")


class Search(Block):
    """How the points of a grid are tried, each in cross-validation.

    `grid` tries all of them, `random` so many (drawn with the split's seed), `halving` all of them on few rows and the
    best third of each round on three times as many. With `outer` folds the whole search is repeated in each of them and
    measured on rows that it never saw, so that candidates with large grids win nothing by trying more often.
    """

    method: Literal["grid", "random", "halving"] = "grid"
    points: Annotated[Whole, Field(ge=1, le=10_000)] = 20
    outer: Annotated[Whole, Field(ge=2, le=20)] | None = None
