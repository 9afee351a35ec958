"""Requests that the endpoint answered, asked again of the candidate: what callers would notice, before they can.

A test set says how often a model is right; this says how often it answers otherwise than the champion does, on what
people really send. That may be an improvement, so it is a limit to be chosen and not a test to be passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from turnout.spec import ReplayGate
from turnout.steps import artifact, evaluate_statistics, logged
from turnout.steps.artifact import Model
from turnout.steps.evaluate_champion import Champion
from turnout.steps.logged import Books, Logged, Wanted
from turnout.steps.parts import Array

__all__ = ["Change", "Replay", "replay"]

_MOST_CHANGES = 12


@dataclass(frozen=True)
class Change:
    """What the champion says and the candidate says instead, and how often."""

    champion: Any
    candidate: Any
    rows: int


@dataclass(frozen=True)
class Replay:
    """What asking again showed; times in microseconds since 1970, the latest request first.

    `disagreement` is the share of rows with another answer (its 95 % interval beside it) or, for values, their mean
    difference in standard deviations of the champion's. It is None when nothing could be compared, and `reason` says
    why. `unasked` requests lack columns that the candidate or the champion needs.
    """

    requests: int
    rows: int = 0
    unasked: int = 0
    champion: str = ""
    first_us: int | None = None
    last_us: int | None = None
    versions: Mapping[str, int] | None = None
    disagreement: float | None = None
    low: float | None = None
    high: float | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""


def replay(
    model: Model, champion: Champion | None, *, rule: ReplayGate, books: Books, namespace: str, endpoint: str
) -> Replay:
    """Ask the candidate what the endpoint was asked last.

    Raises:
        DataError: nobody knows which columns a version was asked.
        Unavailable: the ledger does not answer.
    """
    wanted = Wanted(namespace=namespace, endpoint=endpoint)
    found = list(islice(logged.requests(books, wanted), rule.requests))
    if champion is None:
        return Replay(requests=len(found), reason="the endpoint has no champion to agree with")
    if not found:
        return Replay(requests=0, champion=champion.version, reason="the endpoint has not been asked anything yet")
    return _compared(model, champion, found)


def _compared(model: Model, champion: Champion, found: Sequence[Logged]) -> Replay:
    asked = [one for one in found if _can(model, one) and _answers(champion, one)]
    replayed = Replay(
        requests=len(found),
        unasked=len(found) - len(asked),
        champion=champion.version,
        first_us=found[-1].time_us,
        last_us=found[0].time_us,
        versions=dict(Counter(one.version for one in found).most_common()),
    )
    if not asked:
        reason = f"none of them has the columns that the candidate and champion {champion.version} need"
        return replace(replayed, reason=reason)
    mine, theirs = model.predict(_columns(model, asked)).values, _champion_says(champion, asked)
    if model.manifest.task == "regression":
        return replace(replayed, rows=len(mine), disagreement=_distance(mine.astype(float), theirs.astype(float)))
    return _changes(replayed, mine, theirs)


def _changes(replayed: Replay, mine: Array, theirs: Array) -> Replay:
    # As words: what the ledger kept has been JSON in between.
    differs = np.asarray([str(one) != str(other) for one, other in zip(mine, theirs, strict=True)], dtype=bool)
    low, high = evaluate_statistics.wilson(int(differs.sum()), len(differs))
    changes = Counter(zip(theirs[differs].tolist(), mine[differs].tolist(), strict=True)).most_common(_MOST_CHANGES)
    return replace(
        replayed,
        rows=len(differs),
        disagreement=float(differs.mean()),
        low=low,
        high=high,
        changes=tuple(Change(said, says, rows) for (said, says), rows in changes),
    )


def _can(model: Model | None, one: Logged) -> bool:
    return model is not None and not artifact.missing_features(model.manifest, one.columns)


def _columns(model: Model, asked: Sequence[Logged]) -> dict[str, Array]:
    return {name: np.concatenate([one.columns[name] for one in asked]) for name in model.manifest.features}


def _answers(champion: Champion, one: Logged) -> bool:
    return _can(champion.model, one) if champion.model is not None else one.version == champion.version


def _champion_says(champion: Champion, asked: Sequence[Logged]) -> Array:
    """Its model's answers to all; where there is no model to ask, what it answered when it was asked."""
    if champion.model is not None:
        return champion.model.predict(_columns(champion.model, asked)).values
    return np.asarray([answer for one in asked for answer in one.answers], dtype=object)


def _distance(mine: Array, theirs: Array) -> float:
    """Mean difference of two models' values, in standard deviations of the champion's."""
    spread = float(theirs.std())
    apart = float(np.abs(mine - theirs).mean())
    return apart / spread if spread else apart
