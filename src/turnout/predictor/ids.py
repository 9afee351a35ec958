"""Ids of predictions: unique, not to be guessed, and in the order of time.

They are UUIDs of version 7 (RFC 9562) without dashes: 48 bits of milliseconds, then 74 random ones. Random ids would
scatter over every page of a database's index; these meet in its last ones, also at ten million rows.
"""

from __future__ import annotations

import os
import time

__all__ = ["new_ids"]

_SIZE = 10  # bytes of an id behind its time, of which six bits are not random
_VERSION = bytes(0x70 | value & 0x0F for value in range(256))
_VARIANT = bytes(0x80 | value & 0x3F for value in range(256))


def new_ids(count: int) -> list[str]:
    """As many ids, of 32 hexadecimal digits each; asking the system once for all of them is what makes them cheap."""
    random = bytearray(os.urandom(count * _SIZE))
    random[::_SIZE] = random[::_SIZE].translate(_VERSION)
    random[2::_SIZE] = random[2::_SIZE].translate(_VARIANT)
    head, digits = f"{time.time_ns() // 1_000_000:012x}", random.hex()
    return [head + digits[at : at + 2 * _SIZE] for at in range(0, count * 2 * _SIZE, 2 * _SIZE)]
