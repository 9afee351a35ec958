"""Retention by policy: once an hour the months go that are older than the ledger is told to keep."""

from __future__ import annotations

import logging
import threading
from typing import Any

from turnout.errors import TurnoutError
from turnout.ledger import dropping, partitions, retention
from turnout.ledger.store import Store

__all__ = ["Keeper"]

_PULSE_S = 3_600.0
_log = logging.getLogger(__name__)


class Keeper:
    """Keeps the present month and so many before it, on its own thread between `start` and `stop`."""

    def __init__(self, store: Store, *, months: int) -> None:
        self._store, self._months = store, months
        self._said: dict[str, list[str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-keeper", daemon=True)

    def start(self) -> None:
        """Begin, with a first look at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the transaction under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> dict[str, Any]:
        """Drop what is too old; what was dropped and what was kept, and why."""
        now_us = self._store.clock_us()
        before_us = partitions.first_us(partitions.month_of(now_us), later=-self._months)
        report = self._store.read(lambda connection: retention.plan(connection, before_us=before_us)).result()
        for month in report["drop"]:
            for step in dropping.steps(month, now_us=now_us):
                while not self._stopping.is_set() and self._store.write(step).result():
                    pass
            _log.info("retention: dropped %s", month)
        self._tell(report["keep"])
        return report

    def _tell(self, kept: list[dict[str, Any]]) -> None:
        """What stays and why, once for as long as it is so."""
        said = {found["month"]: found["reasons"] for found in kept}
        for month, reasons in said.items():
            if self._said.get(month) != reasons:
                _log.info("retention: kept %s: %s", month, "; ".join(reasons))
        self._said = said

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except TurnoutError as error:
                _log.warning("retention: %s; trying again", error)
            except Exception:  # noqa: BLE001  a mistake of ours must not end retention for good
                _log.exception("retention: trying again")
            self._stopping.wait(_PULSE_S)
