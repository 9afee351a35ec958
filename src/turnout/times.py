"""Points in time as people write them and as the ledger counts them: microseconds since 1970.

A time without an offset could mean three things to three readers. Nothing here asks what zone a machine is in: such a
time is read in the zone that the caller names, and an hour that a clock skipped or showed twice is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from turnout.errors import InputError

__all__ = ["length", "parse_us", "text", "zone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_us(written: str, *, default: tzinfo | None = None) -> int:
    """Microseconds of an ISO 8601 time such as `2026-11-20T14:00+01:00`; `default` is the zone of one without offset.

    >>> parse_us("2026-11-20T14:00Z"), parse_us("2026-11-20T14:00", default=UTC)
    (1795183200000000, 1795183200000000)

    Raises:
        InputError: the text is no such time, lacks an offset where no default is given, or names no one moment.
    """
    try:
        found = datetime.fromisoformat(written)
    except ValueError as error:
        raise InputError(
            f"{written!r}: a time such as 2026-11-20T14:00 or 2026-11-20T14:00+01:00 was wanted"
        ) from error
    if found.tzinfo is None:
        if default is None:
            raise InputError(f"{written!r}: a time with its offset was wanted, such as {written}Z or {written}+01:00")
        found = _in_zone(found, default)
    if found < _EPOCH:
        raise InputError(f"{written!r}: a time after 1970 was wanted")
    return (found - _EPOCH) // timedelta(microseconds=1)


def text(time_us: int, *, at: tzinfo = UTC) -> str:
    """ISO 8601 to the second, with its offset; UTC as `Z`.

    >>> text(1795183200000000)
    '2026-11-20T14:00:00Z'
    """
    said = (_EPOCH + timedelta(microseconds=time_us)).astimezone(at).isoformat(timespec="seconds")
    return said.removesuffix("+00:00") + "Z" if at is UTC else said


def length(span_us: int) -> str:
    """A length of time in its two largest units.

    >>> length(93_784_000_000), length(59_000_000)
    ('1 d 2 h', '59 s')
    """
    seconds = span_us // 1_000_000
    parts = (("d", seconds // 86_400), ("h", seconds // 3_600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60))
    said = [f"{count} {unit}" for unit, count in parts if count][:2]
    return " ".join(said) or "0 s"


def zone(name: str) -> tzinfo:
    """The time zone of a name such as `Europe/Berlin`; `UTC` without looking anything up.

    Raises:
        InputError: nobody knows it.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{name!r}: a time zone such as UTC or Europe/Berlin was wanted") from error


def _in_zone(wall: datetime, place: tzinfo) -> datetime:
    """The one moment at which clocks of this zone showed this time."""
    first, second = wall.replace(tzinfo=place, fold=0), wall.replace(tzinfo=place, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    exists = first.astimezone(UTC).astimezone(place).replace(tzinfo=None) == wall
    what = "was shown twice" if exists else "was skipped"
    offsets = " or ".join(_offset(moment) for moment in (first, second))
    raise InputError(f"{wall.isoformat()} {what} when clocks changed in {place}; say which with an offset: {offsets}")


def _offset(moment: datetime) -> str:
    return moment.isoformat()[-6:]
