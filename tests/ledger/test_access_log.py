from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.ledger.building import NOON
from turnout.errors import InputError
from turnout.ledger import access_log
from turnout.ledger.gateway import GatewayRequest

LINE = {
    "start_time": "1763719200.000123",
    "request_id": "q1",
    "stamp": "digits-v1;p=0.5;rev=r1",
    "id": "a" * 32,
    "code": 200,
    "duration_ms": 12,
    "host": "digits.localhost:8080",
    "flags": "-",
    "cluster": "digits-v1",
}


def parse(**fields: Any) -> GatewayRequest:
    return access_log.parse(orjson.dumps(LINE | fields), place="here")


def test_a_line_of_envoy_is_read() -> None:
    assert parse() == GatewayRequest(
        request_id="q1",
        time_us=NOON + 123,
        duration_us=12_000,
        code=200,
        stamp="digits-v1;p=0.5;rev=r1",
        prediction_id="a" * 32,
        host="digits.localhost:8080",
        flags=None,
    )


@pytest.mark.parametrize("absent", [None, "-", ""])
def test_absent_values_come_in_several_spellings(absent: str | None) -> None:
    found = parse(request_id=absent, stamp=absent, id=absent, duration_ms=absent, code=absent)
    assert (found.request_id, found.stamp, found.prediction_id) == ("here", None, None)
    assert (found.duration_us, found.code) == (0, 0)


@pytest.mark.parametrize(
    ("start", "micros"),
    [
        ("1763719200.000123", 123),
        ("1763719200", 0),
        ("1763719200.5", 500_000),
        (1763719200.25, 250_000),
        (1763719200, 0),
        ("2025-11-21T10:00:00.000123Z", 123),
        ("2025-11-21T11:00:00.5+01:00", 500_000),
        ("2025-11-21T10:00:00", 0),
    ],
)
def test_time_is_read_as_seconds_or_iso(start: Any, micros: int) -> None:
    assert parse(start_time=start).time_us == NOON + micros


def test_microseconds_are_taken_as_they_are() -> None:
    assert parse(time_us=NOON + 7).time_us == NOON + 7


def test_numbers_may_be_strings() -> None:
    found = parse(code="503", duration_ms="1.5")
    assert (found.code, found.duration_us) == (503, 1500)


def test_a_duration_in_microseconds_is_preferred_to_one_in_milliseconds() -> None:
    assert parse(duration_ms=1, duration_us=1234).duration_us == 1234
    assert parse(duration_ms=1, duration_us=None).duration_us == 1000


def test_behind_half_a_line_the_next_one_is_found() -> None:
    torn = orjson.dumps(LINE)[:40] + orjson.dumps(LINE | {"request_id": "q2"})
    assert access_log.parse(torn, place="here").request_id == "q2"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1]",
        b"not json",
        orjson.dumps(LINE)[:-5],
        orjson.dumps(LINE | {"start_time": "yesterday"}),
        orjson.dumps(LINE | {"start_time": None}),
        orjson.dumps(LINE | {"code": "teapot"}),
        orjson.dumps(LINE | {"duration_ms": -1}),
        orjson.dumps(LINE | {"duration_ms": [1]}),
    ],
)
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(InputError):
        access_log.parse(line, place="here")


@pytest.mark.parametrize(
    ("fields", "is_kept"),
    [
        ({}, True),
        ({"stamp": None}, True),
        ({"stamp": None, "id": None}, False),
        ({"stamp": None, "id": None, "code": 503}, True),
    ],
)
def test_only_what_says_something_about_versions_is_kept(fields: dict[str, Any], is_kept: bool) -> None:
    assert access_log.is_kept(parse(**fields)) is is_kept
