"""A gateway's access log, followed into the ledger's own database.

Where reading goes on is written in the same transaction as the rows that were read: no line is lost or taken twice.
A gateway on another machine has a follower beside it (turnout.ledger.following).
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from turnout.ledger import gateway
from turnout.ledger.gateway import GatewayBatch, GatewayRequest
from turnout.ledger.schema import GATEWAY_TAILS
from turnout.ledger.store import Store
from turnout.ledger.tailing import Place, Tailer

__all__ = ["GatewayLogTailer"]


class GatewayLogTailer(Tailer):
    """Follows one file into the store."""

    def __init__(self, store: Store, path: Path, *, log: str = "gateway", flush_us: int = 10_000_000) -> None:
        super().__init__(_Database(store, path, log=log), path, log=log, flush_us=flush_us)


class _Database:
    """Rows, watermark and place in one transaction."""

    def __init__(self, store: Store, path: Path, *, log: str) -> None:
        self._store, self._path, self._log = store, str(path), log

    def clock_us(self) -> int:
        return self._store.clock_us()

    def saved(self) -> Place:
        def read(connection: Connection) -> Place:
            columns = (getattr(GATEWAY_TAILS.c, field.name) for field in fields(Place))
            found = connection.execute(select(*columns).where(GATEWAY_TAILS.c.path == self._path)).one_or_none()
            return Place(**found._mapping) if found else Place()

        return self._store.read(read).result()

    def keep(self, requests: list[GatewayRequest], *, watermark_us: int, place: Place) -> None:
        batch = GatewayBatch(log=self._log, watermark_us=watermark_us, final=False, requests=requests, rejected=[])

        def write(connection: Connection) -> None:
            gateway.take(connection, batch, now_us=self._store.clock_us())
            connection.execute(delete(GATEWAY_TAILS).where(GATEWAY_TAILS.c.path == self._path))
            connection.execute(insert(GATEWAY_TAILS).values(path=self._path, **asdict(place)))

        self._store.write(write).result()
