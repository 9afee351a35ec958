"""A step's own error, out of its log."""

from __future__ import annotations

import doctest

import pytest

from turnout.runs import failures
from turnout.runs.failures import sentence

_HEAD = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    raise it\n'


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (_HEAD + "turnout.errors.Failed: digits-v2 is not ready\n", "digits-v2 is not ready"),
        (_HEAD + "KeyError: 'age'\n", "KeyError: 'age'"),
        (_HEAD + "sklearn.exceptions.NotFittedError: call fit\n", "NotFittedError: call fit"),
        (_HEAD + "AssertionError\n", "AssertionError"),
        (_HEAD + "turnout.errors.SpecError: two mistakes\n  a: no\n  b: no\n", "two mistakes\n  a: no\n  b: no"),
        (
            _HEAD + "KeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\n"
            + _HEAD + "turnout.errors.DataError: no rows\n",
            "no rows",
        ),
        ("", "it ended without an exception (was it killed?); its last words: none"),
        (_HEAD, "it ended without an exception (was it killed?); its last words: raise it"),
    ],
)  # fmt: skip
def test_the_last_exception_speaks(log: str, says: str) -> None:
    assert sentence(log) == says


def test_notes_and_carets_of_a_traceback_are_no_message() -> None:
    log = _HEAD + "    ^^^^^^^^\nValueError: no\n"
    assert sentence(log) == "ValueError: no"


def test_the_examples_in_the_documentation_hold() -> None:
    assert doctest.testmod(failures).failed == 0
