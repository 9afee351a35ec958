"""Hands the segments of a prediction log to the ledger and deletes what is acknowledged.

The folder itself is the queue, so segments left behind by an earlier process are nothing special. The ledger is
idempotent by id: after a doubt everything is sent again. One bad record never blocks the others: what the ledger
rejects is set aside in `rejected.ndjson` and counted.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from turnout.errors import InputError, Unavailable
from turnout.predictor.gaps import Gap, Gaps
from turnout.predictor.identity import Identity
from turnout.predictor.ledger_connection import LedgerConnection
from turnout.predictor.prediction_log import Segment, read_records, segments

__all__ = ["BATCH_BYTES", "BATCH_RECORDS", "REJECTED_FILE", "Outbox"]

REJECTED_FILE = "rejected.ndjson"
REJECTED_BYTES = 16 * 1024 * 1024  # enough to see what is wrong; more are only counted
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
    """Ships one folder to one ledger. Belongs to one thread; the counters may be read by any."""

    def __init__(self, folder: Path, identity: Identity, ledger: LedgerConnection, gaps: Gaps | None = None) -> None:
        self.acknowledged = 0
        self.rejected = 0
        self._folder = folder
        self._identity = identity
        self._ledger = ledger
        self._gaps = gaps or Gaps(folder)

    def ship(self, *, until_us: int | None = None) -> bool:
        """Deliver every gap and every sealed segment, oldest first; True when there was any.

        Raises:
            Unavailable: the ledger does not take them now; what it has not acknowledged is still in the folder.
        """
        shipped = False
        while self.ship_oldest(until_us=until_us):
            shipped = True
        return shipped

    def ship_oldest(self, *, until_us: int | None = None) -> bool:
        """Tell every gap and deliver the oldest segment; False when there is neither.

        Raises:
            Unavailable: see `ship`.
        """
        # In this order: a segment that is given up between the two looks is found as a gap.
        found = segments(self._folder, until_us=until_us)[:1]
        told = self._gaps.pending(until_us=until_us)
        if told:
            first_us = min([told[0].from_us, *(segment.first_us for segment in found)])
            self.deliver([], watermark_us=first_us - 1, gaps=told)
            self._gaps.forget(told)
        for segment in found:
            self._ship_segment(segment)
        return bool(found or told)

    def heartbeat(self, *, watermark_us: int, final: bool = False) -> None:
        """Say that every record up to the watermark has been delivered; `final` says that this log has ended.

        Raises:
            Unavailable: the ledger does not answer, or refuses the heartbeat.
        """
        self._post_empty(self._body([], watermark_us=watermark_us, final=final))

    def _ship_segment(self, segment: Segment) -> None:
        # Everything before this segment's first record is acknowledged, and that is all that can be promised until
        # the whole of it is.
        watermark_us = segment.first_us - 1
        with contextlib.suppress(FileNotFoundError):  # given up meanwhile: the next look finds its gap
            for batch in _batches(read_records(segment.path)):
                self.deliver(batch, watermark_us=watermark_us)
            segment.path.unlink()

    def deliver(
        self,
        records: Sequence[bytes],
        *,
        watermark_us: int,
        gaps: Sequence[Gap] = (),
        withdrawn: Sequence[str] = (),
    ) -> dict[int, str]:
        """Post records; returns why the ledger rejected which of them. Those are set aside.

        Args:
            watermark_us: every record up to it has been delivered.
            gaps: intervals in which records are lost.
            withdrawn: ids that an earlier post may have delivered and that were not answered after all.

        Raises:
            Unavailable: the ledger does not take them now.
        """
        body = self._body(records, watermark_us=watermark_us, gaps=gaps, withdrawn=withdrawn)
        if not records:
            self._post_empty(body)
            return {}
        try:
            found = {entry.index: entry.reason for entry in self._ledger.post_events(body)}
        except InputError as error:
            # The batch as a whole was refused: halve it until the record that caused it stands alone.
            if len(records) > 1:
                middle = len(records) // 2
                first = self.deliver(records[:middle], watermark_us=watermark_us, gaps=gaps, withdrawn=withdrawn)
                second = self.deliver(records[middle:], watermark_us=watermark_us)
                return first | {middle + index: reason for index, reason in second.items()}
            found = {0: str(error)}
        rejections = {index: reason for index, reason in found.items() if 0 <= index < len(records)}
        for index, reason in rejections.items():
            self._set_aside(records[index], reason)
        self.acknowledged += len(records) - len(rejections)
        return rejections

    def _post_empty(self, body: bytes) -> None:
        try:
            self._ledger.post_events(body)
        except InputError as error:  # there is no record that one could set aside
            raise Unavailable(str(error)) from error

    def _set_aside(self, record: bytes, reason: str) -> None:
        self.rejected += 1
        path = self._folder / REJECTED_FILE
        # As a string, because what was rejected need not be JSON.
        line = orjson.dumps({"reason": reason, "record": record.decode(errors="replace")})
        try:
            path.touch(mode=0o600)  # it holds inputs, as the segments do
            if path.stat().st_size < REJECTED_BYTES:
                with path.open("ab") as file:
                    file.write(line + b"\n")
        except OSError as error:
            reason = f"{reason}; and it cannot be kept: {error.strerror}"
        _log.warning("the ledger rejected a record (kept in %s): %s", path, reason)

    def _body(
        self,
        records: Sequence[bytes],
        *,
        watermark_us: int,
        final: bool = False,
        gaps: Sequence[Gap] = (),
        withdrawn: Sequence[str] = (),
    ) -> bytes:
        """The records go in as they are: parsing them here would take the event loop's time."""
        header = _Header(
            log=self._identity.pod,
            namespace=self._identity.namespace,
            endpoint=self._identity.endpoint,
            version=self._identity.version,
            watermark_us=watermark_us,
            final=final,
        )
        more = {"dropped": gaps, "withdrawn": withdrawn}
        document = {**asdict(header), **{key: value for key, value in more.items() if value}}
        return b'%b,"events":[%b]}' % (orjson.dumps(document)[:-1], b",".join(records))


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
