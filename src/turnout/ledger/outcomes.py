"""The outcome of feedback: one number in [0, 1] out of a label or a score, or none. Pure; no input or output.

How a label meets a predicted value:

- Numbers compare as numbers: 7 equals 7.0. Strings compare as strings: "cat" equals "cat", "7" does not equal "7.0".
- A number and a string are equal when the string is the decimal form of that number: people post "7" from a CSV.
- true and false are 1 and 0, as in the tensors that carry them.
- Where the first output is a floating point value the model is a regression: being exactly equal means nothing there,
  so a label alone has no outcome. It is kept for training and reports; a `score` gives the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from turnout.errors import InputError

__all__ = ["Label", "Scalar", "outcome", "rows_of", "same_label", "same_value"]

Scalar: TypeAlias = str | int | float | bool
Label: TypeAlias = Scalar | list[Scalar]

# JSON's own number grammar: float() would also take "nan", "1_000" and " 7 ".
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_INTEGER = re.compile(r"-?\d+")


def outcome(*, label: Label | None, score: float | None, outputs: Sequence[Mapping[str, Any]]) -> float | None:
    """The score if there is one, else the share of rows whose label equals the first output; none for a regression.

    >>> outcome(label=[7, "8"], score=None, outputs=[{"datatype": "INT64", "shape": [2], "data": [7, 9]}])
    0.5

    Raises:
        InputError: there are not as many labels as predicted rows.
    """
    if score is not None:
        return float(score)
    if label is None or not outputs or str(outputs[0]["datatype"]).startswith("FP"):
        return None
    predicted = rows_of(outputs[0])
    labels = label if isinstance(label, list) else [label]
    if len(labels) != len(predicted):
        raise InputError(f"label: the prediction has {len(predicted)} rows, the label {len(labels)}")
    hits = sum(same_value(one, other) for one, other in zip(labels, predicted, strict=True))
    return hits / len(labels) if labels else None


def rows_of(output: Mapping[str, Any]) -> list[Scalar]:
    """One predicted value per row; [n, 1] has the same data as [n]."""
    data = output["data"]
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]


def same_value(label: Scalar, predicted: Scalar) -> bool:
    """Whether a label names the predicted value; the module's docstring has the rules.

    >>> same_value(7, 7.0), same_value("7", 7), same_value("7.0", "7"), same_value(True, 1)
    (True, True, False, True)
    """
    if isinstance(label, str) == isinstance(predicted, str):
        return label == predicted
    text, number = (label, predicted) if isinstance(label, str) else (predicted, label)
    return _parse(str(text)) == number


def same_label(one: Label | None, other: Label | None) -> bool:
    """Whether two labels say the same: what makes a second POST a repetition and not a contradiction."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_spelling, one, other))
    if one is None or other is None or isinstance(one, list) or isinstance(other, list):
        return one is other
    return _same_spelling(one, other)


def _same_spelling(one: Scalar, other: Scalar) -> bool:
    """Two labels, unlike a label and a prediction, have no type to meet in the middle of: "7" corrects 7."""
    return isinstance(one, str) == isinstance(other, str) and one == other


def _parse(text: str) -> int | float | None:
    """The number that a string spells in JSON, exact for integers of any size."""
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if _INTEGER.fullmatch(text) else float(text)
