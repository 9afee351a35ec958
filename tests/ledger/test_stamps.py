from __future__ import annotations

import pytest

from turnout.ledger import stamps
from turnout.ledger.schema import Standing
from turnout.ledger.stamps import Stamp

TEXT = "digits-v4;p=0.2;rev=k3x9"


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        (TEXT, Stamp("digits-v4", 0.2, "k3x9")),
        ("digits-v4;p=1;rev=a_B-9", Stamp("digits-v4", 1.0, "a_B-9")),
        ("digits-v4;p=0.333333;rev=x", Stamp("digits-v4", 0.333333, "x")),
        (None, None),
        ("", None),
        ("digits-v4", None),
        ("digits-v4;p=1.2;rev=k3x9", None),
        ("digits-v4;p=-0.2;rev=k3x9", None),
        ("digits-v4;p=nan;rev=k3x9", None),
        (f"{TEXT};more=1", None),
        ("Digits V4;p=0.2;rev=k3x9", None),
        ("digits-v4;p=0.2;rev=", None),
    ],
)
def test_only_what_the_controller_writes_is_a_stamp(text: str | None, stamp: Stamp | None) -> None:
    assert stamps.parse(text) == stamp


@pytest.mark.parametrize(
    ("text", "version", "is_late", "standing"),
    [
        (TEXT, "digits-v4", False, Standing.UNIT),
        (TEXT, "digits-v4", True, Standing.LATE),
        (TEXT, "digits-v3", False, Standing.FOREIGN_STAMP),
        (None, "digits-v4", False, Standing.UNSTAMPED),
        ("nonsense", "digits-v4", False, Standing.BAD_STAMP),
    ],
)
def test_a_record_stands_as_its_stamp_says(text: str | None, version: str, is_late: bool, standing: Standing) -> None:
    assert stamps.standing(text, stamp=stamps.parse(text), version=version, is_late=is_late) is standing


@pytest.mark.parametrize(
    ("version", "p", "agrees"),
    [
        ("digits-v1", 0.8, True),
        ("digits-v4", 0.2, True),
        ("digits-v4", 0.196, True),
        ("digits-v4", 0.19, False),
        ("digits-v4", 0.8, False),
        ("digits-v5", 0.0, False),
        ("digits-v0", 0.0, False),
    ],
)
def test_a_probability_must_be_the_one_that_the_weights_give(version: str, p: float, agrees: bool) -> None:
    weights = {"digits-v1": 80, "digits-v4": 20, "digits-v0": 0}
    assert stamps.agrees(version=version, p=p, weights=weights) is agrees
