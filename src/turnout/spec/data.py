"""Where a spec's rows come from, what they must satisfy, and how they are divided."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, Strict, Tag

from turnout.kube.turnouts import parse_duration_us
from turnout.spec.fields import (
    EITHER,
    LIST,
    MAPPING,
    Block,
    Flag,
    Moment,
    Name,
    Number,
    Share,
    Span,
    Text,
    Whole,
    matches,
)

__all__ = ["LEDGER_SCHEME", "Checks", "Column", "ColumnType", "Source", "Split"]

LEDGER_SCHEME = "ledger://"

ColumnType = Literal["int", "float", "string", "bool", "datetime"]


_Columns = Annotated[Annotated[tuple[Text, ...], Tag(LIST)] | Annotated[dict[Text, Text], Tag(MAPPING)], EITHER]


class Source(Block):
    """One table: CSV or Parquet files, the rows of a query, or what the ledger knows.

    `path` names one file, several by a pattern such as `days/*.csv`, or a folder of them, here, in an object store
    (`s3://bucket/key`) or on a web server (`https://...`). With a `query` it names a database as SQLAlchemy does
    (`postgresql+psycopg://reader:${PASSWORD}@host/shop`); what is written `${NAME}` is read from the environment of the
    steps and kept nowhere. `ledger://digits` are the labelled predictions of that endpoint (of a namespace:
    `ledger://shop/digits`), inputs by column and the true label.

    Sources are joined on the spec's keys, row by row. One with `on` is looked up instead: each row gets the values of
    the row with the same `on` columns, or none. With `as_of` it gets those that were the latest at the row's own time:
    nothing that became known later can reach a row. One that is appended adds rows, and what the ledger holds is.
    """

    name: Name
    path: Text = Field(
        description="Relative to model.yaml, absolute, s3://bucket/key, https://..., ledger://endpoint, or a database."
    )
    query: Text | None = Field(default=None, description="The rows of this query, from the database that path names.")
    on: _Columns | None = Field(
        default=None,
        description="Look it up by these columns, or by a mapping from the table's column to the source's.",
    )
    as_of: Text | None = Field(
        default=None, description="Column that says since when a row of the source holds; the latest that did is taken."
    )
    delay: Span | None = Field(default=None, description="How much later than as_of a row of the source becomes known.")
    max_age: Span | None = Field(default=None, description="What is older than this is missing.")
    columns: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="Only these columns, besides keys and what it is looked up by."
    )
    prefix: Text | None = Field(default=None, description="Of a source that is looked up: put before its column names.")
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
    def is_looked_up(self) -> bool:
        """Whether its rows are found for those of the table, instead of being rows of it."""
        return self.on is not None or self.as_of is not None

    @property
    def ledger_place(self) -> tuple[str, str]:
        """Namespace and endpoint that a ledger source names."""
        parts = urlsplit(self.path)
        endpoint = parts.path.strip("/")
        return (parts.netloc, endpoint) if endpoint else ("default", parts.netloc)

    @property
    def looked_up_by(self) -> dict[str, str]:
        """The table's columns that this source is looked up by, each with the source's own name for it."""
        if isinstance(self.on, dict):
            return dict(self.on)
        return {name: name for name in self.on or ()}

    @property
    def known_at(self) -> str | None:
        """What the as_of column is called in the table of this source, where it cannot be taken for one of the row."""
        return None if self.as_of is None else f"{self.prefix or ''}{self.as_of}"

    @property
    def delay_us(self) -> int:
        """Microseconds from as_of until a row is known."""
        return parse_duration_us(self.delay) if self.delay else 0

    @property
    def max_age_us(self) -> int | None:
        """Microseconds after which a row says nothing any more."""
        return parse_duration_us(self.max_age) if self.max_age else None

    def renamed(self, column: str) -> str:
        """What one of its columns is called in the instance table."""
        own = {theirs: ours for ours, theirs in self.looked_up_by.items()}
        return own.get(column) or f"{self.prefix or ''}{column}"

    def takes(self, column: str, *, keys: tuple[str, ...]) -> bool:
        """Whether one of its columns is wanted."""
        found_by = {*self.looked_up_by.values(), self.as_of} if self.is_looked_up else set(keys)
        return self.columns is None or column in {*self.columns, *found_by}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the environment variables that its path is completed with."""
        return tuple(re.findall(r"\$\{(\w+)\}", self.path))


class Column(Block):
    """What every value of a column must satisfy. A row that breaks a rule is quarantined."""

    type: ColumnType | None = None
    min: Number | None = None
    max: Number | None = None
    nullable: Flag = True
    values: tuple[Any, ...] | None = Field(default=None, min_length=1, description="The only values allowed.")
    unique: Flag = False


class Checks(Block):
    """What the data must satisfy before anything is learned from it."""

    min_rows: Annotated[Whole, Field(ge=1)] = 1
    max_rows: Annotated[Whole, Field(ge=1)] | None = None
    max_bad_rows: Share = 0.05
    fresh: Span | None = Field(default=None, description="The latest row (by the spec's `time`) is no older than this.")
    max_drift: Annotated[Number, Field(gt=0)] | None = Field(
        default=None,
        description="No column moved further (population stability index) since the latest version's data.",
    )
    columns: dict[Text, Column] = Field(default={}, description="By column name or pattern (`p*`); an exact name wins.")

    def rule(self, column: str) -> Column:
        """The rule for one column: by its exact name, else by the first pattern that matches, else no rule."""
        if column in self.columns:
            return self.columns[column]
        return next((rule for pattern, rule in self.columns.items() if matches(column, pattern)), Column())

    @property
    def fresh_us(self) -> int | None:
        """Microseconds that the latest row may be old."""
        return parse_duration_us(self.fresh) if self.fresh else None


class Split(Block):
    """How rows are divided into a training and a test part.

    `random` and `stratified` look at a row's key, `group` at the column `by` (rows with one value of it stay together),
    and `time` tests the latest rows: what a model is for is what comes after all that it has seen.
    """

    method: Literal["random", "stratified", "group", "time"] = "random"
    by: Text | None = Field(default=None, description="Of a group split: the column; it is no feature.")
    test: Annotated[float, Strict(), Field(gt=0, lt=1)] = 0.25
    most_rows: Annotated[Whole, Field(ge=100)] | None = Field(
        default=None, description="Of each part: so many of its rows are used, drawn by their keys. Absent: all."
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
