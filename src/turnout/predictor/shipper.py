"""The thread that keeps the ledger up to date while the event loop predicts."""

from __future__ import annotations

import logging
import threading
import time

from turnout.errors import Unavailable
from turnout.predictor.outbox import Outbox
from turnout.predictor.prediction_log import PredictionLog

__all__ = ["PULSE_S", "Shipper"]

PULSE_S = 0.2  # how often segments are sealed and shipped: a record is at the ledger two pulses later
# Evidence waits for the slowest log of its endpoint, so one in use beats often; a hundred idle ones beside each other
# would keep the ledger busy with that.
_HEARTBEAT_S, _IDLE_HEARTBEAT_S, _IN_USE_S = 0.4, 1.0, 10.0
_LONGEST_WAIT_S = 5.0

_log = logging.getLogger("turnout.predictor.shipper")


class Shipper(threading.Thread):
    """Ships sealed segments and heartbeats; backs off while the ledger is away. Predictions never wait for it."""

    def __init__(self, log: PredictionLog, outbox: Outbox) -> None:
        super().__init__(name="shipper", daemon=True)
        self.available = True
        self._prediction_log = log
        self._outbox = outbox
        self._stopping = threading.Event()
        self._wait_s = 0.0  # the first beat is at once: the ledger should know this log before its first record
        self._last_beat_s = self._last_shipped_s = 0.0

    def run(self) -> None:
        """Until `finish`: wait, ship, say how far it got."""
        while True:
            stopping = self._stopping.wait(self._wait_s)
            self._attempt(final=stopping)
            if stopping:
                return

    def finish(self, *, timeout_s: float) -> bool:
        """Ship what the sealed log still holds and end it; False when that did not work in time.

        What could not be shipped stays in the folder for the next process, or for `turnout.predictor.ship`.
        """
        self._stopping.set()
        self.join(timeout_s)
        return not self.is_alive() and self.available

    def _attempt(self, *, final: bool) -> None:
        try:
            self._pass(final=final)
        except Unavailable as error:
            self._back_off(str(error))
        except Exception:  # noqa: BLE001 - a mistake in shipping must not end shipping for the life of the process
            _log.exception("shipping failed")
            self._back_off("shipping failed")
        else:
            if not self.available:
                _log.info("the ledger takes records again")
            self.available = True
            self._wait_s = PULSE_S

    def _pass(self, *, final: bool) -> None:
        # Read before the folder is listed: whatever is recorded from now on is later than this.
        watermark_us = self._prediction_log.sealed_until_us
        shipped = self._outbox.ship(until_us=watermark_us)
        now_s = time.monotonic()
        if shipped:
            self._last_shipped_s = now_s
        pause_s = _HEARTBEAT_S if now_s - self._last_shipped_s < _IN_USE_S else _IDLE_HEARTBEAT_S
        if shipped or final or now_s - self._last_beat_s >= pause_s - PULSE_S / 2:
            self._outbox.heartbeat(watermark_us=watermark_us, final=final)
            self._last_beat_s = now_s

    def _back_off(self, reason: str) -> None:
        if self.available:
            _log.warning("%s; records wait in %s", reason, self._prediction_log.folder)
        self.available = False
        self._wait_s = min(max(self._wait_s, PULSE_S) * 2, _LONGEST_WAIT_S)
