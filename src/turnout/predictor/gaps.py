"""What was answered and is lost, as intervals of time: the ledger is told, so that evidence leaves them out.

A gap is an empty file whose name says all, because a disk that is full still takes a name; a segment that is given up
becomes its gap with one rename, so that no kill can come between losing and noting it. Only where even a name cannot be
written (a broken disk) a gap is kept in memory.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Gap", "Gaps"]

_NAME = re.compile(r"(\d{20})-(\d{20})-(\d+)\.gap")

_log = logging.getLogger("turnout.predictor.log")


@dataclass(frozen=True, order=True)
class Gap:
    """`events` records between two times, both included; field names are the ledger's."""

    from_us: int
    to_us: int
    events: int

    @property
    def name(self) -> str:
        """The file that stands for it."""
        return f"{self.from_us:020d}-{self.to_us:020d}-{self.events}.gap"


class Gaps:
    """The gaps of one log that the ledger does not know yet. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.events = 0  # lost in the life of this object
        self._folder = folder
        self._lock = threading.Lock()
        self._in_memory: set[Gap] = set()

    def add(self, gap: Gap, *, extending: Gap | None = None) -> Gap:
        """Note a gap, or the one that an earlier one grows to; returns what is noted now."""
        with self._lock:
            self.events += gap.events
            grown = gap if extending is None else Gap(extending.from_us, gap.to_us, extending.events + gap.events)
            in_memory = extending in self._in_memory
            try:
                if extending is None or in_memory:
                    (self._folder / grown.name).touch(mode=0o600)
                else:
                    (self._folder / extending.name).rename(self._folder / grown.name)
            except OSError as error:
                if extending is None:
                    _log.error("%s: cannot even note what is lost: %s", self._folder, error.strerror)
                # What is noted already stays noted as it is; the rest is a gap of its own.
                grown = grown if in_memory else gap
                self._in_memory.add(grown)
            if extending is not None and in_memory:
                self._in_memory.discard(extending)
        return grown

    def replace(self, segment: Path, gap: Gap) -> bool:
        """Give up a segment; False when it has been shipped meanwhile, or cannot be given up."""
        path = self._folder / gap.name
        try:
            segment.rename(path)
            os.truncate(path, 0)
        except FileNotFoundError:
            return False
        except OSError as error:
            _log.error("%s: cannot be given up: %s", segment, error.strerror)
            return False
        with self._lock:
            self.events += gap.events
        return True

    def pending(self, *, until_us: int | None = None) -> list[Gap]:
        """Those that end at or before a watermark and so grow no more, oldest first."""
        with self._lock:
            found = set(self._in_memory)
        for entry in os.scandir(self._folder):
            name = _NAME.fullmatch(entry.name)
            if name:
                found.add(Gap(*(int(number) for number in name.groups())))
        return sorted(gap for gap in found if until_us is None or gap.to_us <= until_us)

    def forget(self, told: Iterable[Gap]) -> None:
        """The ledger knows these."""
        for gap in told:
            with self._lock:
                self._in_memory.discard(gap)
            (self._folder / gap.name).unlink(missing_ok=True)
