"""Totals per version, kept with every change of the rows they count; a test recounts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, update

from turnout.ledger.rows import Row
from turnout.ledger.schema import PREDICTIONS, VERSIONS, Standing

__all__ = ["Change", "add", "of_feedback", "of_new"]

_COLUMNS = [column.name for column in PREDICTIONS.columns]
_STANDING, _OUTCOME, _COUNT = (_COLUMNS.index(name) for name in ("standing", "outcome", "feedback_count"))


@dataclass(frozen=True)
class Change:
    """By how much a version's totals change. `labelled` and `outcomes` are of answered predictions alone."""

    predictions: int = 0
    shadow: int = 0
    late: int = 0
    labelled: int = 0
    scored: int = 0
    outcomes: float = 0.0

    def __add__(self, other: Change) -> Change:
        return Change(
            self.predictions + other.predictions,
            self.shadow + other.shadow,
            self.late + other.late,
            self.labelled + other.labelled,
            self.scored + other.scored,
            self.outcomes + other.outcomes,
        )

    def __neg__(self) -> Change:
        return Change(**{name: -value for name, value in vars(self).items()})


def of_new(stored: Iterable[Row]) -> Change:
    """What new rows of `predictions` add."""
    all_of = answered = late = labelled = scored = 0
    outcomes = 0.0
    for row in stored:
        all_of += 1
        if row[_STANDING] == Standing.SHADOW:
            continue
        answered += 1
        late += row[_STANDING] == Standing.LATE
        if row[_COUNT]:
            labelled += 1
            if row[_OUTCOME] is not None:
                scored += 1
                outcomes += row[_OUTCOME]
    return Change(answered, all_of - answered, late, labelled, scored, outcomes)


def of_feedback(*, is_first: bool, before: float | None, after: float | None) -> Change:
    """What a word about an answered prediction changes."""
    return Change(
        labelled=int(is_first),
        scored=(after is not None) - (before is not None),
        outcomes=(after or 0.0) - (before or 0.0),
    )


def add(connection: Connection, changes: Mapping[int, Change]) -> None:
    """Write changes, by version."""
    for no, change in changes.items():
        values = {name: VERSIONS.c[name] + value for name, value in vars(change).items() if value}
        if values:
            connection.execute(update(VERSIONS).where(VERSIONS.c.no == no).values(**values))
