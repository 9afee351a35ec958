"""A connection between fakes: what is written is kept, and the test answers when it likes."""

from __future__ import annotations

from typing import Any, cast

from tests.predictor.desks import batching
from turnout.predictor.batching import Waiting
from turnout.predictor.inference import Outcome, Request
from turnout.predictor.protocol import Connection, Site

__all__ = ["PREDICTED", "Batching", "Client", "Transport"]

PREDICTED = Outcome(status=200, body=b"{}", prediction_id="a" * 32)


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.state = "open"
        self.reading = True

    def write(self, data: bytes) -> None:
        assert self.state == "open"
        self.written += data

    def is_closing(self) -> bool:
        return self.state == "closed"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.state = "half-closed"

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "closed"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    @property
    def statuses(self) -> list[int]:
        heads = [line for line in self.written.split(b"\r\n") if b"HTTP/1.1 " in line]
        return [int(head.rpartition(b"HTTP/1.1 ")[2].split()[0]) for head in heads]


class Batching:
    """Lets the test answer when it likes."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Request, Waiting]] = []

    def submit(self, request: Request, waiting: Waiting) -> None:
        self.waiting.append((request, waiting))

    def answer(self, index: int, outcome: Outcome = PREDICTED) -> None:
        _, waiting = self.waiting[index]
        waiting.answer(outcome)
        waiting.send()


class Client:
    """A connection, its transport and its batcher."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.batching = batching(site.desk)
        self.transport = Transport()
        self.connection = Connection(site)
        self.connection.connection_made(cast(Any, self.transport))

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request, _ in self.batching.waiting]

    @property
    def statuses(self) -> list[int]:
        return self.transport.statuses

    @property
    def written(self) -> bytes:
        return self.transport.written
