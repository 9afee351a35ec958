from __future__ import annotations

from typing import Any

import pytest

from turnout.errors import Conflict, InputError, NotFound
from turnout.ledger import words
from turnout.ledger.words import Verb, Word

SEVEN, EIGHT = Word(label=7), Word(label=8)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body must be a JSON object"),
        ({}, "wanted a label or a score"),
        ({"comment": "x"}, "wanted a label or a score"),
        ({"lable": 7}, "lable: unknown field; known are label, score, comment, by"),
        ({"label": None}, "wanted a label or a score"),
        ({"label": {}}, "label: wanted a string, a number"),
        ({"label": []}, "label: wanted a string, a number"),
        ({"label": [7, None]}, "label: wanted a string, a number"),
        ({"score": 1.1}, "score: wanted a number from 0 to 1, found 1.1"),
        ({"score": -0.1}, "score: wanted a number from 0 to 1"),
        ({"score": "1"}, "score: wanted a number from 0 to 1"),
        ({"score": True}, "score: wanted a number from 0 to 1"),
        ({"label": 7, "comment": 3}, "comment: wanted a string of at most 10000 characters"),
        ({"label": 7, "by": "x" * 257}, "by: wanted a string of at most 256 characters"),
    ],
)
def test_a_body_that_is_no_feedback_is_refused_with_the_reason(body: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        words.parse(body, verb=Verb.POST)


def test_a_patch_must_change_something() -> None:
    with pytest.raises(InputError, match="wanted at least one of"):
        words.parse({}, verb=Verb.PATCH)
    assert words.parse({"comment": "x"}, verb=Verb.PATCH) == Word(comment="x")


def test_the_first_word_is_taken() -> None:
    assert words.decide(None, verb=Verb.POST, word=SEVEN) == SEVEN
    assert words.decide(None, verb=Verb.PUT, word=SEVEN) == SEVEN


def test_a_post_repeats_or_contradicts() -> None:
    assert words.decide(SEVEN, verb=Verb.POST, word=Word(label=7.0, comment="again")) is None
    with pytest.raises(Conflict, match="use PUT to correct it"):
        words.decide(SEVEN, verb=Verb.POST, word=EIGHT)
    with pytest.raises(Conflict):
        words.decide(SEVEN, verb=Verb.POST, word=Word(label="7"))


def test_a_put_replaces_the_whole_word_and_nothing_if_it_is_the_same() -> None:
    before = Word(label=7, comment="sure")
    assert words.decide(before, verb=Verb.PUT, word=EIGHT) == EIGHT
    assert words.decide(before, verb=Verb.PUT, word=Word(label=7, comment="sure")) is None
    assert words.decide(before, verb=Verb.PUT, word=SEVEN) == SEVEN
    assert words.decide(SEVEN, verb=Verb.PUT, word=Word(label="7")) == Word(label="7")


def test_a_patch_changes_only_what_it_names() -> None:
    before = Word(label=7, comment="sure")
    assert words.decide(before, verb=Verb.PATCH, word=Word(score=0.5)) == Word(label=7, score=0.5, comment="sure")
    assert words.decide(before, verb=Verb.PATCH, word=Word(comment="sure")) is None


def test_a_patch_needs_something_to_change() -> None:
    with pytest.raises(NotFound, match="no feedback to change"):
        words.decide(None, verb=Verb.PATCH, word=EIGHT)
