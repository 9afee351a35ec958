"""One run per tick; records before replies; a mistake of ours answers 500 and nobody else is hurt."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from turnout.predictor import batching
from turnout.predictor.batching import Batcher
from turnout.predictor.calls import Dialect
from turnout.predictor.inference import LARGE_BYTES, Inference, Outcome, Processed, Request
from turnout.predictor.metrics import Metrics


class Inferring:
    """Answers every request with its own body, and remembers who came together."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def process(self, requests: Sequence[Request]) -> Processed:
        self.gate.wait(10)
        self.threads.add(threading.get_ident())
        self.batches.append([request.body for request in requests])
        if any(request.body == b"bug" for request in requests):
            raise ZeroDivisionError
        ids = [os.urandom(16).hex() for _ in requests]
        outcomes = [Outcome(200, request.body, one, rows=1) for request, one in zip(requests, ids, strict=True)]
        return Processed(outcomes)


class Journal:
    """What happened, in order: a log and its waiting clients write into it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Any]] = []

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        self.entries.append(("logged", len(records)))

    def waiting(self) -> Waiter:
        return Waiter(self)

    def sent(self) -> list[Outcome]:
        return [what for kind, what in self.entries if kind == "sent"]


class Waiter:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._outcome: Outcome | None = None

    def answer(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def send(self) -> None:
        self._journal.entries.append(("sent", self._outcome))


class Bench:
    """A batcher between fakes, on the running loop."""

    def __init__(self) -> None:
        self.inferring = Inferring()
        self.journal = Journal()
        self.metrics = Metrics(model="digits", version="digits-v4")
        loop = asyncio.get_running_loop()
        self.batcher = Batcher(cast(Inference, self.inferring), self.journal, self.metrics, loop=loop)

    def submit(self, *bodies: bytes) -> None:
        for body in bodies:
            request = Request(
                dialect=cast(Dialect, None), model="digits", body=body, size_bytes=len(body), arrived_s=1.0
            )
            self.batcher.submit(request, self.journal.waiting())

    async def settle(self, replies: int) -> list[Outcome]:
        for _ in range(1000):
            if len(self.journal.sent()) >= replies:
                break
            await asyncio.sleep(0.005)
        return self.journal.sent()


def test_requests_of_one_tick_are_one_batch() -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(b"1", b"2", b"3")
        await bench.settle(3)
        bench.submit(b"4")
        await bench.settle(4)

        assert bench.inferring.batches == [[b"1", b"2", b"3"], [b"4"]]
        assert "turnout_batches_total" in "\n".join(bench.metrics.lines())

    asyncio.run(story())


def test_who_comes_one_tick_later_is_waited_for_where_several_came_together_lately() -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(b"1", b"2", b"3")
        await bench.settle(3)
        bench.submit(b"4")
        asyncio.get_running_loop().call_soon(bench.submit, b"5")  # behind the flush that 4 is waiting for
        await bench.settle(5)
        assert bench.inferring.batches == [[b"1", b"2", b"3"], [b"4", b"5"]]

    asyncio.run(story())


def test_nobody_is_waited_for_where_requests_come_alone() -> None:
    async def story() -> None:
        bench = Bench()
        for body in (b"1", b"2", b"3"):
            bench.submit(body)
            asyncio.get_running_loop().call_soon(bench.submit, b"late")
            await asyncio.sleep(0)
            assert bench.inferring.batches[-1] == [body]
            await bench.settle(2 * len(bench.inferring.batches))

    asyncio.run(story())


def test_a_look_that_brings_nobody_is_the_last() -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(*[b"%d" % number for number in range(8)])
        await bench.settle(8)
        bench.submit(b"8")
        for _ in range(2):
            await asyncio.sleep(0)
        assert bench.inferring.batches[-1] == [b"8"]

    asyncio.run(story())


def test_records_are_written_before_any_reply_leaves() -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(b"1", b"2")
        await bench.settle(2)

        assert [kind for kind, _ in bench.journal.entries] == ["logged", "sent", "sent"]

    asyncio.run(story())


def test_a_tick_takes_a_limited_number_of_bytes() -> None:
    async def story() -> None:
        bench = Bench()
        body = b"x" * 60_000
        bench.submit(*[body] * 10)
        replies = await bench.settle(10)

        assert [len(batch) for batch in bench.inferring.batches] == [4, 4, 2]
        assert len(replies) == 10

    asyncio.run(story())


def test_large_requests_run_alone_in_another_thread() -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(b"x" * (LARGE_BYTES + 1))
        await bench.settle(1)

        assert bench.inferring.threads.isdisjoint({threading.get_ident()})
        assert [kind for kind, _ in bench.journal.entries] == ["logged", "sent"]
        bench.batcher.close()

    asyncio.run(story())


def test_too_many_large_requests_are_sent_away() -> None:
    async def story() -> None:
        bench = Bench()
        bench.inferring.gate.clear()
        bench.submit(*[b"x" * (LARGE_BYTES + 1)] * (batching.MAX_LARGE + 1))
        refused = await bench.settle(1)
        bench.inferring.gate.set()
        replies = await bench.settle(batching.MAX_LARGE + 1)

        assert [outcome.status for outcome in refused] == [503]
        assert sorted(outcome.status for outcome in replies) == [200] * batching.MAX_LARGE + [503]
        bench.batcher.close()

    asyncio.run(story())


def test_a_mistake_of_ours_is_a_500_without_a_record(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        bench = Bench()
        bench.submit(b"bug")
        (outcome,) = await bench.settle(1)
        bench.submit(b"fine")
        (_, fine) = await bench.settle(2)

        assert (outcome.status, fine.status) == (500, 200)
        assert outcome.body == b'{"error":"internal error"}'
        assert bench.journal.entries[0] == ("logged", 0)

    asyncio.run(story())
    assert "prediction failed" in caplog.text
