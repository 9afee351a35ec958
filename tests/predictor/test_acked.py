"""With durability `acked` a reply waits for the ledger, and what is not acknowledged is not answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.predictor.ledgers import FakeLedger
from turnout.errors import Conflict, Failed, InputError, Unavailable
from turnout.predictor.acked import AckedLog
from turnout.predictor.identity import Identity
from turnout.predictor.prediction_log import PredictionLog, segments
from turnout.predictor.recording import Policy, Recording, record

REST = b'"rows":1}'

Given = Callable[..., Any]


def records(*ids: str) -> list[tuple[str, bytes]]:
    return [(prediction_id, REST) for prediction_id in ids]


@pytest.fixture
def begin(tmp_path: Path, identity: Identity, ledger: FakeLedger, token_file: Path) -> Given:
    """Starts an acked recording, with somebody who pulses it, and ends it."""

    @asynccontextmanager
    async def begin(*, timeout_s: float = 20.0) -> AsyncIterator[AckedLog]:
        policy = Policy(durability="acked", ack_timeout_s=timeout_s)
        recording = record(
            tmp_path / "log",
            identity,
            ledger_url=ledger.url,
            ledger_token_file=str(token_file),
            policy=policy,
            loop=asyncio.get_running_loop(),
        )
        recording.start()
        pulsing = asyncio.create_task(_pulse(recording))
        log = recording.recorder
        assert isinstance(log, AckedLog)
        try:
            yield log
        finally:
            pulsing.cancel()
            recording.finish(timeout_s=20.0)

    return begin


async def _pulse(recording: Recording) -> None:
    while True:
        await asyncio.sleep(0.02)
        recording.pulse()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20.0):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in threads that know no event
            await asyncio.sleep(0.01)


def kept(log: AckedLog, *ids: str) -> asyncio.Future[None]:
    done = log.append(records(*ids))
    assert done is not None
    return done


def test_a_reply_may_go_when_the_ledger_has_its_record(begin: Given, ledger: FakeLedger, tmp_path: Path) -> None:
    async def story() -> None:
        async with begin() as log:
            assert log.append([]) is None
            await kept(log, "a", "b")
            assert list(ledger.events) == ["a", "b"]
            await asyncio.gather(*(kept(log, f"{tick}") for tick in range(50)))

    asyncio.run(story())
    assert len(ledger.events) == 52
    assert ledger.late == []
    assert ledger.is_final()
    assert segments(tmp_path / "log") == []


def test_ticks_that_come_while_a_post_is_under_way_share_the_next_one(begin: Given, ledger: FakeLedger) -> None:
    async def story() -> None:
        async with begin() as log:
            ledger.hold()
            waiting = [kept(log, "first")]
            await until(lambda: ledger.held)
            waiting += [kept(log, f"{tick}") for tick in range(20)]
            ledger.release()
            await asyncio.gather(*waiting)

    asyncio.run(story())
    assert [post["events"] for post in ledger.posts if post["events"]] == [1, 20]


def test_a_lost_ledger_refuses_at_once_and_one_that_is_back_is_noticed(begin: Given, ledger: FakeLedger) -> None:
    async def story() -> None:
        async with begin() as log:
            ledger.status = 503
            with pytest.raises(Unavailable, match=r"not recorded: the ledger does not acknowledge .*found 503"):
                await kept(log, "a")
            with pytest.raises(Unavailable, match=r"\(it is away\)"):
                await kept(log, "b")
            assert log.refused == 2
            ledger.status = 200
            await until(lambda: log.available)
            await kept(log, "c")

    asyncio.run(story())
    assert list(ledger.events) == ["c"]


def test_a_ledger_that_hangs_is_not_waited_for_and_its_record_is_withdrawn(begin: Given, ledger: FakeLedger) -> None:
    async def story() -> None:
        async with begin(timeout_s=1.0) as log:
            ledger.hold()
            first = kept(log, "posted")
            await until(lambda: ledger.held)
            second = kept(log, "queued")
            for waiting in (first, second):
                with pytest.raises(Unavailable):
                    await waiting
            ledger.release()
            await until(lambda: "posted" in ledger.events)
            await until(lambda: "posted" in ledger.withdrawn)
            assert "queued" not in ledger.events
            await until(lambda: log.available)

    asyncio.run(story())


def test_a_record_that_the_ledger_refuses_is_no_answer_and_its_neighbours_are(begin: Given, ledger: FakeLedger) -> None:
    async def story() -> None:
        async with begin() as log:
            ledger.hold()
            waiting = [kept(log, "first")]
            await until(lambda: ledger.held)
            ledger.reject = {"bad"}
            bad = kept(log, "bad")
            waiting.append(kept(log, "good"))
            ledger.release()
            await asyncio.gather(*waiting)
            with pytest.raises(Failed, match="the ledger refuses the record: not wanted"):
                await bad

    asyncio.run(story())
    assert sorted(ledger.events) == ["first", "good"]


def test_what_an_earlier_process_left_is_shipped_while_replies_go_on(
    begin: Given, ledger: FakeLedger, tmp_path: Path, identity: Identity
) -> None:
    before = PredictionLog(tmp_path / "log", identity, segment_bytes=1)
    before.append(records("left"))
    before.append(records("over"))
    before.close()

    async def story() -> None:
        async with begin() as log:
            await kept(log, "new")
            await until(lambda: {"left", "over"} <= set(ledger.events))

    asyncio.run(story())
    assert ledger.late == []
    assert segments(tmp_path / "log") == []


def test_too_much_that_waits_is_refused(begin: Given, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.predictor.acked.QUEUE_BYTES", 100)

    async def story() -> None:
        async with begin() as log:
            ledger.hold()
            waiting = [kept(log, "first")]
            await until(lambda: ledger.held)
            waiting.append(kept(log, "a", "b", "c"))
            with pytest.raises(Unavailable, match="it is too far behind"):
                await kept(log, "d")
            ledger.release()
            await asyncio.gather(*waiting)

    asyncio.run(story())
    assert sorted(ledger.events) == ["a", "b", "c", "first"]


def test_a_folder_belongs_to_one_process_at_a_time(begin: Given, tmp_path: Path, identity: Identity) -> None:
    async def story() -> None:
        async with begin():
            with pytest.raises(Conflict, match="in use by another process"):
                PredictionLog(tmp_path / "log", identity)

    asyncio.run(story())


@pytest.mark.parametrize(("folder", "url"), [(None, "http://ledger"), ("log", "")])
def test_acked_needs_a_ledger_and_a_folder(tmp_path: Path, identity: Identity, folder: str | None, url: str) -> None:
    async def story() -> None:
        with pytest.raises(InputError, match="durability acked: wanted --ledger_url and --log_dir"):
            record(
                tmp_path / folder if folder else None,
                identity,
                ledger_url=url,
                ledger_token_file="token",
                policy=Policy(durability="acked"),
                loop=asyncio.get_running_loop(),
            )

    asyncio.run(story())
