"""The stamp that the gateway puts on a request it assigned at random: `digits-v4;p=0.20;rev=k3x9`.

Where users are sticky, `;by=x-user` behind it names the header that the predictor takes the record's subject from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from turnout.ledger.schema import Standing

__all__ = ["Stamp", "agrees", "parse", "standing"]

_STAMP = re.compile(
    r"([a-z0-9][a-z0-9.-]{0,252});p=(0(?:\.\d{1,17})?|1(?:\.0{1,17})?);rev=([A-Za-z0-9_-]{1,64})(?:;by=[!-:<-~]{1,64})?"
)
_ROUNDING = 0.005 + 1e-9  # stamps carry two decimals


@dataclass(frozen=True)
class Stamp:
    """Which version a request was assigned to, with which probability, under which revision of the weights."""

    version: str
    p: float
    rev: str


def parse(text: str | None) -> Stamp | None:
    """The stamp that a text spells, or None if it spells none.

    >>> parse("digits-v4;p=0.20;rev=k3x9")
    Stamp(version='digits-v4', p=0.2, rev='k3x9')
    """
    found = _STAMP.fullmatch(text) if text else None
    return Stamp(version=found[1], p=float(found[2]), rev=found[3]) if found else None


def standing(text: str | None, *, stamp: Stamp | None, version: str, is_late: bool) -> Standing:
    """Whether an answer by `version` to a request stamped `text` may be a unit of evidence."""
    if not text:
        return Standing.UNSTAMPED
    if stamp is None:
        return Standing.BAD_STAMP
    if stamp.version != version:
        return Standing.FOREIGN_STAMP
    return Standing.LATE if is_late else Standing.UNIT


def agrees(*, version: str, p: float, weights: Mapping[str, int]) -> bool:
    """Whether a stamped probability is the one that these weights give the version.

    >>> agrees(version="digits-v4", p=0.2, weights={"digits-v1": 80, "digits-v4": 20})
    True
    """
    weight, total = weights.get(version, 0), sum(weights.values())
    return weight > 0 and abs(p - weight / total) <= _ROUNDING
