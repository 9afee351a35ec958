"""Ids of predictions: unique, not to be guessed, and in the order of time.

They are UUIDs of version 7 (RFC 9562) without dashes: 48 bits of milliseconds, then 74 random ones. Random ids would
scatter over every page of a database's index; these meet in its last ones, also at ten million rows.
"""

from __future__ import annotations

import os
import time

__all__ = ["new_ids"]

_DIGITS = 20  # random ones that an id takes: 19 of them, from 10 bytes
_VARIANT = {digit: "89ab"[value % 4] for value, digit in enumerate("0123456789abcdef")}


def new_ids(count: int) -> list[str]:
    """As many ids, of 32 hexadecimal digits each; asking the system once for all of them is what makes them cheap."""
    head = f"{time.time_ns() // 1_000_000:012x}7"
    random = os.urandom(count * _DIGITS // 2).hex()
    return [
        f"{head}{random[at : at + 3]}{_VARIANT[random[at + 3]]}{random[at + 4 : at + 19]}"
        for at in range(0, count * _DIGITS, _DIGITS)
    ]
