"""The recording side of a predictor: which log it keeps, who ships it, and what both say about themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from turnout.errors import InputError
from turnout.predictor.acked import AckedLog
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.metrics import sample
from turnout.predictor.outbox import Outbox
from turnout.predictor.prediction_log import Bounds, NoLog, PredictionLog, Recorder, backlog_bytes
from turnout.predictor.shipper import Shipper

__all__ = ["ACKED", "DURABILITIES", "LOCAL", "Policy", "Recording", "record"]

LOCAL, ACKED = "local", "acked"
DURABILITIES = (LOCAL, ACKED)
_RECORDS = "turnout_prediction_log_records_total"

_log = logging.getLogger("turnout.predictor")


@dataclass(frozen=True)
class Policy:
    """When a reply may go (`durability`), and what may wait for a ledger that is away; see docs/prediction-log.md."""

    durability: str = LOCAL
    ack_timeout_s: float = 5.0
    bounds: Bounds = field(default_factory=Bounds)


class Recording(Protocol):
    """What a server does with its log. All methods belong to the event loop's thread."""

    @property
    def recorder(self) -> Recorder:
        """Where ticks are written to."""

    def start(self) -> None:
        """Begin to ship."""

    def pulse(self) -> None:
        """Called five times a second."""

    def finish(self, *, timeout_s: float) -> None:
        """Ship what is left, end the log and let go of its folder."""

    def metrics(self, labels: str) -> Iterable[str]:
        """Prometheus text, line by line."""


def record(
    folder: Path | None,
    identity: Identity,
    *,
    ledger_url: str,
    ledger_token_file: str,
    policy: Policy,
    loop: asyncio.AbstractEventLoop,
) -> Recording:
    """The recording that a predictor is told to do; without a folder none.

    Raises:
        InputError: `acked` without a folder or a ledger.
        Conflict: another process uses the folder.
        Failed: the folder cannot be written at all.
    """
    if policy.durability == ACKED and not (folder and ledger_url):
        raise InputError(
            "durability acked: wanted --ledger_url and --log_dir, because every reply waits for the ledger"
        )
    if folder is None:
        _log.warning("no --log_dir: predictions are not recorded")
        return _Nothing()
    if policy.durability == ACKED:
        ledger = LedgerConnection(ledger_url, ledger_token_file, timeout_s=policy.ack_timeout_s)
        outbox = Outbox(folder, identity, ledger)
        return _Acked(AckedLog(folder, identity, outbox, loop=loop, timeout_s=policy.ack_timeout_s), outbox)
    log = PredictionLog(folder, identity, bounds=policy.bounds)
    if not ledger_url:
        _log.warning("no --ledger_url: records stay in %s", folder)
        return _Local(log)
    outbox = Outbox(folder, identity, LedgerConnection(ledger_url, ledger_token_file), log.gaps)
    return _Local(log, outbox, Shipper(log, outbox))


class _Nothing:
    """Records nothing."""

    recorder: Recorder = NoLog()

    def start(self) -> None: ...

    def pulse(self) -> None: ...

    def finish(self, *, timeout_s: float) -> None: ...

    def metrics(self, labels: str) -> Iterable[str]:
        return ()


@dataclass
class _Local:
    """A log on this node, and a thread that ships it if there is a ledger."""

    recorder: PredictionLog
    outbox: Outbox | None = None
    shipper: Shipper | None = None

    def start(self) -> None:
        if self.shipper is not None:
            self.shipper.start()

    def pulse(self) -> None:
        self.recorder.pulse(ledger_takes=self.shipper is not None and self.shipper.available)

    def finish(self, *, timeout_s: float) -> None:
        self.recorder.seal()
        if self.shipper is not None and not self.shipper.finish(timeout_s=timeout_s):
            folder = self.recorder.folder
            _log.warning("records are left in %s: the next process, or turnout.predictor.ship, delivers them", folder)
        self.recorder.close()

    def metrics(self, labels: str) -> Iterable[str]:
        log, outbox = self.recorder, self.outbox
        states = {"appended": log.appended, "dropped": log.dropped}
        if outbox is not None and self.shipper is not None:
            states |= {"acknowledged": outbox.acknowledged, "rejected": outbox.rejected}
            yield from _up(self.shipper.available, labels)
        yield from _records(states, labels)
        yield from _backlog(backlog_bytes(log.folder), labels)
        name, sentence = "turnout_prediction_log_gaps", "Intervals of lost records that the ledger does not know yet."
        yield from sample(name, "gauge", sentence, labels, len(log.gaps.pending()))


@dataclass
class _Acked:
    """No log on this node: replies wait for the ledger."""

    recorder: AckedLog
    outbox: Outbox

    def start(self) -> None:
        self.recorder.start()

    def pulse(self) -> None:
        self.recorder.pulse()

    def finish(self, *, timeout_s: float) -> None:
        if not self.recorder.finish(timeout_s=timeout_s):
            _log.warning("the ledger was not told that this log has ended: turnout.predictor.ship does so")

    def metrics(self, labels: str) -> Iterable[str]:
        states = {
            "acknowledged": self.outbox.acknowledged,
            "rejected": self.outbox.rejected,
            "refused": self.recorder.refused,
        }
        yield from _up(self.recorder.available, labels)
        yield from _records(states, labels)
        yield from _backlog(backlog_bytes(self.recorder.folder), labels)


def _records(states: Mapping[str, int], labels: str) -> Iterable[str]:
    yield f"# HELP {_RECORDS} Records by what became of them."
    yield f"# TYPE {_RECORDS} counter"
    for state, count in states.items():
        yield f'{_RECORDS}{{{labels},state="{state}"}} {count}'


def _backlog(size: int, labels: str) -> Iterable[str]:
    return sample("turnout_prediction_log_backlog_bytes", "gauge", "Not yet acknowledged.", labels, size)


def _up(available: bool, labels: str) -> Iterable[str]:
    name, sentence = "turnout_prediction_log_ledger_up", "Whether the ledger took the last delivery."
    return sample(name, "gauge", sentence, labels, int(available))
