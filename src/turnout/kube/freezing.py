"""Freeze windows: times in which a controller raises nobody's share. Rollbacks and orders of people go on."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

__all__ = ["Freeze", "frozen"]

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_DAYS: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Freeze(BaseModel):
    """Either a moment to a moment (RFC 3339), or a time of day to a time of day on some days of every week.

    A nightly window whose end is not after its begin reaches into the next day and belongs to the day it begins on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    begin: str = Field(alias="from")
    end: str = Field(alias="to")
    days: tuple[Day, ...] = _DAYS
    time_zone: str = "UTC"
    reason: str = Field("", max_length=200)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timeZone: a name such as Europe/Berlin was wanted, found {self.time_zone!r}") from error
        if self._recurs:
            return self
        if _moment(self.begin) >= _moment(self.end):
            raise ValueError(f"a freeze must end after it begins, found {self.begin} to {self.end}")
        return self

    @property
    def _recurs(self) -> bool:
        return bool(_CLOCK.fullmatch(self.begin) and _CLOCK.fullmatch(self.end))

    def holds(self, now_us: int) -> bool:
        """Whether the moment lies in this window.

        >>> weekend = Freeze(**{"from": "00:00", "to": "24:00", "days": ["Sat", "Sun"]})
        >>> weekend.holds(0), weekend.holds(2 * 86_400_000_000)  # 1970 began on a Thursday
        (False, True)
        """
        now = datetime.datetime.fromtimestamp(now_us / 1e6, zoneinfo.ZoneInfo(self.time_zone))
        if not self._recurs:
            return _moment(self.begin) <= now < _moment(self.end)
        clock, begin, end = f"{now:%H:%M}", self.begin, self.end
        today, yesterday = _DAYS[now.weekday()], _DAYS[now.weekday() - 1]
        if begin < end:
            return today in self.days and begin <= clock < end
        return (today in self.days and clock >= begin) or (yesterday in self.days and clock < end)


def frozen(windows: tuple[Freeze, ...], now_us: int) -> str:
    """Why nobody's share may be raised now; empty when it may."""
    window = next((window for window in windows if window.holds(now_us)), None)
    if window is None:
        return ""
    return f"frozen from {window.begin} to {window.end} {window.time_zone}" + (
        f" ({window.reason})" if window.reason else ""
    )


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"wanted HH:MM twice, or RFC 3339 twice such as 2026-12-24T12:00:00Z, found {text!r}"
        ) from error
    if moment.tzinfo is None:
        raise ValueError(f"wanted a time zone in {text!r}, such as 2026-12-24T12:00:00Z")
    return moment
