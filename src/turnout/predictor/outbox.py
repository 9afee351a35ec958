"""Hands the segments of a prediction log to the ledger and deletes what is acknowledged.

The folder itself is the queue, so segments left behind by an earlier process are nothing special. The ledger is
idempotent by id: after a doubt everything is sent again. One bad record never blocks the others: what the ledger
rejects is set aside in `rejected.ndjson` and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from turnout.errors import InputError, Unavailable
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.prediction_log import Segment, read_records, segments

__all__ = ["REJECTED_FILE", "Outbox"]

REJECTED_FILE = "rejected.ndjson"
BATCH_RECORDS = 500
BATCH_BYTES = 1024 * 1024

_log = logging.getLogger("turnout.predictor.shipper")


@dataclass(frozen=True)
class _Header:
    """What a post says beside its events; field names are the ledger's."""

    log: str
    namespace: str
    endpoint: str
    version: str
    watermark_us: int
    final: bool


class Outbox:
    """Ships one folder to one ledger."""

    def __init__(self, folder: Path, identity: Identity, ledger: LedgerConnection) -> None:
        self.acknowledged = 0
        self.rejected = 0
        self._folder = folder
        self._identity = identity
        self._ledger = ledger

    def ship(self, *, until_us: int | None = None) -> bool:
        """Deliver every sealed segment, oldest first; True when there was any.

        Raises:
            Unavailable: the ledger does not take them now; what it has not acknowledged is still in the folder.
        """
        found = segments(self._folder, until_us=until_us)
        for segment in found:
            self._ship_segment(segment)
        return bool(found)

    def heartbeat(self, *, watermark_us: int, final: bool = False) -> None:
        """Say that every record up to the watermark has been delivered; `final` says that this log has ended.

        Raises:
            Unavailable: the ledger does not answer, or refuses the heartbeat.
        """
        try:
            self._ledger.post_events(self._body([], watermark_us=watermark_us, final=final))
        except InputError as error:
            raise Unavailable(str(error)) from error

    def _ship_segment(self, segment: Segment) -> None:
        # Everything before this segment's first record is acknowledged, and that is all that can be promised until
        # the whole of it is.
        watermark_us = segment.first_us - 1
        for batch in _batches(read_records(segment.path)):
            self._deliver(batch, watermark_us=watermark_us)
        segment.path.unlink()

    def _deliver(self, records: list[bytes], *, watermark_us: int) -> None:
        try:
            rejections = self._ledger.post_events(self._body(records, watermark_us=watermark_us))
        except InputError as error:
            # The batch as a whole was refused: halve it until the record that caused it stands alone.
            if len(records) == 1:
                self._set_aside(records[0], str(error))
                return
            middle = len(records) // 2
            self._deliver(records[:middle], watermark_us=watermark_us)
            self._deliver(records[middle:], watermark_us=watermark_us)
            return
        for rejection in rejections:
            if 0 <= rejection.index < len(records):
                self._set_aside(records[rejection.index], rejection.reason)
        self.acknowledged += len(records) - len(rejections)

    def _set_aside(self, record: bytes, reason: str) -> None:
        self.rejected += 1
        _log.warning("the ledger rejected a record (kept in %s): %s", self._folder / REJECTED_FILE, reason)
        # As a string, because what was rejected need not be JSON.
        line = orjson.dumps({"reason": reason, "record": record.decode(errors="replace")})
        path = self._folder / REJECTED_FILE
        path.touch(mode=0o600)  # it holds inputs, as the segments do
        with path.open("ab") as file:
            file.write(line + b"\n")

    def _body(self, records: list[bytes], *, watermark_us: int, final: bool = False) -> bytes:
        """The records go in as they are: parsing them here would take the event loop's time."""
        header = _Header(
            log=self._identity.pod,
            namespace=self._identity.namespace,
            endpoint=self._identity.endpoint,
            version=self._identity.version,
            watermark_us=watermark_us,
            final=final,
        )
        return b'%b,"events":[%b]}' % (orjson.dumps(asdict(header))[:-1], b",".join(records))


def _batches(records: list[bytes]) -> Iterable[list[bytes]]:
    """Batches that a ledger takes in one transaction of some milliseconds."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and (len(batch) == BATCH_RECORDS or size + len(record) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch
