"""Ids of predictions: unique, not to be guessed, and in the order of time.

They are UUIDs of version 7 (RFC 9562) without dashes: 48 bits of milliseconds, then 74 random ones. Random ids would
scatter over every page of a database's index; these meet in its last ones, also at ten million rows.
"""

from __future__ import annotations

import os
import time

__all__ = ["new_id"]

_VERSION, _VARIANT = 7 << 76, 2 << 62
_RANDOM = ((1 << 80) - 1) & ~(15 << 76) & ~(3 << 62)


def new_id() -> str:
    """32 hexadecimal digits."""
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM
    return f"{time.time_ns() // 1_000_000 << 80 | _VERSION | _VARIANT | random:032x}"
