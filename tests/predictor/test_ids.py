from __future__ import annotations

import time
from uuid import UUID

from turnout.predictor.ids import new_ids


def test_ids_are_uuids_of_version_7_that_tell_their_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    found = UUID(new_ids(3)[1])
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert before_ms <= found.int >> 80 <= time.time_ns() // 1_000_000


def test_no_two_ids_are_the_same() -> None:
    assert len({*new_ids(5_000), *new_ids(5_000)}) == 10_000


def test_ids_come_in_the_order_of_time() -> None:
    first = new_ids(1)[0]
    last_ms = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == last_ms:
        pass
    assert first < new_ids(1)[0]
