"""What somebody says about a prediction, and how a new word meets the current one. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from turnout.errors import Conflict, InputError, NotFound
from turnout.ledger import outcomes
from turnout.ledger.outcomes import Label

__all__ = ["Verb", "Word", "decide", "parse"]

_LONGEST = {"comment": 10_000, "by": 256}


class Verb(Enum):
    """How a post meets what was said before: first word, any word, or a part of the word."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


@dataclass(frozen=True)
class Word:
    """A true label (a list for several rows) or a score in [0, 1], and who says so with what remark."""

    label: Label | None = None
    score: float | None = None
    comment: str | None = None
    by: str | None = None

    def contradicts(self, other: Word) -> bool:
        """Whether label or score differ; another remark by another person is no contradiction."""
        return self.score != other.score or not outcomes.same_label(self.label, other.label)


_FIELDS = tuple(field.name for field in fields(Word))


def parse(body: object, *, verb: Verb, also: tuple[str, ...] = ()) -> Word:
    """The word in a request's body; `also` names fields that are somebody else's to read.

    Raises:
        InputError: with the field that is wrong.
    """
    if not isinstance(body, dict):
        raise InputError("the body must be a JSON object")
    if unknown := sorted(set(body) - set(_FIELDS) - set(also)):
        raise InputError(f"{unknown[0]}: unknown field; known are {', '.join((*also, *_FIELDS))}")
    word = Word(
        label=_label(body.get("label")),
        score=_score(body.get("score")),
        comment=_remark(body, "comment"),
        by=_remark(body, "by"),
    )
    if verb is Verb.PATCH and word == Word():
        raise InputError("wanted at least one of label, score, comment and by")
    if verb is not Verb.PATCH and word.label is None and word.score is None:
        raise InputError("wanted a label or a score")
    return word


def decide(current: Word | None, *, verb: Verb, word: Word) -> Word | None:
    """What to append to the history; None when the current word already says it.

    Raises:
        Conflict: POST contradicts the current word.
        NotFound: PATCH has nothing to change.
    """
    if current is None:
        if verb is Verb.PATCH:
            raise NotFound("there is no feedback to change; use POST or PUT")
        return word
    if verb is Verb.POST:
        if word.contradicts(current):
            raise Conflict("there is other feedback already; use PUT to correct it")
        return None
    if verb is Verb.PATCH:
        given = {name: value for name in _FIELDS if (value := getattr(word, name)) is not None}
        word = replace(current, **given)
    return None if word == current and not word.contradicts(current) else word


def _label(value: Any) -> Label | None:
    if value is None or _is_scalar(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, list) and value and all(map(_is_scalar, value)):
        return value
    raise InputError("label: wanted a string, a number, true or false, or a list with one of them for each row")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _score(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 or math.isnan(value):
        raise InputError(f"score: wanted a number from 0 to 1, found {value!r}")
    return float(value)


def _remark(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST[name] or "\0" in value:
        raise InputError(f"{name}: wanted a string of at most {_LONGEST[name]} characters, without NUL")
    return value
