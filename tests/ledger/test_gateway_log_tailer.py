from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, func, select

from tests.ledger.building import NOON, SECOND, Clock
from turnout.ledger import gateway, tailing
from turnout.ledger.gateway_log import GatewayLogTailer
from turnout.ledger.schema import GATEWAY_LOGS, GATEWAY_REQUESTS
from turnout.ledger.store import Store


def line(name: str, *, end_us: int = NOON, **fields: Any) -> bytes:
    start = f"{(end_us - 1000) / SECOND:.6f}"
    entry = {"start_time": start, "request_id": name, "stamp": "digits-v1;p=1;rev=r1", "code": 200, "duration_ms": 1}
    return orjson.dumps(entry | fields) + b"\n"


def drain(tailer: GatewayLogTailer) -> None:
    while tailer.step():
        pass


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))


def stored(store: Store) -> list[str]:
    def work(connection: Connection) -> list[str]:
        return list(
            connection.execute(
                select(GATEWAY_REQUESTS.c.request_id).order_by(
                    GATEWAY_REQUESTS.c.ended_us, GATEWAY_REQUESTS.c.request_id
                )
            ).scalars()
        )

    return store.read(work).result()


def watermark(store: Store) -> int | None:
    return store.read(
        lambda connection: connection.execute(select(func.max(GATEWAY_LOGS.c.watermark_us))).scalar_one()
    ).result()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def tailer(store: Store, path: Path) -> GatewayLogTailer:
    return GatewayLogTailer(store, path)


def test_lines_are_taken_as_they_come(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    drain(tailer)
    append(path, line("a"), line("b"))
    drain(tailer)
    append(path, line("c"))
    drain(tailer)
    assert stored(store) == ["a", "b", "c"]


def test_half_a_line_waits_for_its_other_half(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"), line("b")[:30])
    drain(tailer)
    assert stored(store) == ["a"]
    append(path, line("b")[30:])
    drain(tailer)
    assert stored(store) == ["a", "b"]


def test_a_line_that_is_no_json_costs_itself_only(
    store: Store, path: Path, tailer: GatewayLogTailer, caplog: pytest.LogCaptureFixture
) -> None:
    append(path, line("a"), b"garbage\n", line("b"))
    drain(tailer)
    assert stored(store) == ["a", "b"]
    assert f"byte {len(line('a'))}: left out" in caplog.text


def test_requests_of_other_hosts_are_not_stored(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("console", stamp=None), line("a"))
    drain(tailer)
    assert stored(store) == ["a"]


def test_another_process_goes_on_where_the_last_one_committed(
    store: Store, path: Path, tailer: GatewayLogTailer
) -> None:
    append(path, line("-"), line("-"))  # without an id of their own only their place tells them apart
    drain(tailer)
    append(path, line("-"))
    drain(GatewayLogTailer(store, path))
    drain(GatewayLogTailer(store, path))
    assert len(stored(store)) == len(set(stored(store))) == 3


def test_a_failed_transaction_moves_nothing(
    store: Store, path: Path, tailer: GatewayLogTailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, line("-"))
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "take", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tailer.step()
    drain(tailer)
    assert len(stored(store)) == 1


def test_a_renamed_file_is_read_to_its_end_before_the_next(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"))
    drain(tailer)
    path.rename(path.with_name("access.log.1"))
    drain(tailer)
    append(path.with_name("access.log.1"), line("b"))
    path.touch()
    drain(tailer)
    append(path, line("c"))
    drain(tailer)
    assert stored(store) == ["a", "b", "c"]


def test_a_file_renamed_while_nobody_read_is_found_again(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"))
    drain(tailer)
    append(path, line("b"))
    path.rename(path.with_name("access.log.1"))
    append(path, line("c"))
    drain(GatewayLogTailer(store, path))
    assert stored(store) == ["a", "b", "c"]


def test_a_file_removed_while_nobody_read_is_given_up(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"))
    drain(tailer)
    path.rename(path.with_name("elsewhere"))
    append(path, line("c"))
    drain(GatewayLogTailer(store, path))
    assert stored(store) == ["a", "c"]


def test_a_truncated_file_is_begun_again(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"), line("b"))
    drain(tailer)
    os.truncate(path, 0)
    append(path, line("c"))
    drain(tailer)
    assert stored(store) == ["a", "b", "c"]


def test_a_file_truncated_and_grown_beyond_is_begun_again(store: Store, path: Path, tailer: GatewayLogTailer) -> None:
    append(path, line("a"))
    drain(tailer)
    shutil.copy(path, path.with_name("access.log.1"))
    os.truncate(path, 0)
    append(path, *(line(f"c{number}") for number in range(5)))
    drain(tailer)
    assert stored(store) == ["a", "c0", "c1", "c2", "c3", "c4"]


def test_many_lines_are_taken_in_portions_and_a_huge_one_whole(
    store: Store, path: Path, tailer: GatewayLogTailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailing, "_CHUNK", 256)
    append(path, *(line(f"a{number}") for number in range(9)), line("huge", host="x" * 5000), line("b"))
    drain(tailer)
    assert sorted(stored(store)) == [*(f"a{number}" for number in range(9)), "b", "huge"]


def test_the_watermark_follows_the_last_line_with_an_allowance(
    store: Store, path: Path, tailer: GatewayLogTailer
) -> None:
    append(path, line("a", end_us=NOON - SECOND), line("b", end_us=NOON - 3 * SECOND))
    tailer.step()
    assert watermark(store) == NOON - SECOND - SECOND // 2


def test_while_nothing_comes_the_watermark_follows_the_clock_behind_what_the_gateway_may_hold(
    store: Store, path: Path, clock: Clock
) -> None:
    tailer = GatewayLogTailer(store, path, flush_us=2 * SECOND)
    assert tailer.step() is False
    assert watermark(store) is None  # no file: nothing is known about the gateway
    append(path, line("a", end_us=NOON - SECOND))
    drain(tailer)
    clock.advance(10)
    assert tailer.step() is False
    assert watermark(store) == NOON + 7 * SECOND
    clock.advance(0.5)
    tailer.step()
    assert watermark(store) == NOON + 7 * SECOND


def test_the_thread_follows_until_it_is_stopped(store: Store, path: Path) -> None:
    tailer = GatewayLogTailer(store, path)
    tailer.start()
    append(path, line("a"))
    for _ in range(1000):
        if stored(store):
            break
        tailer._stopping.wait(0.01)
    tailer.stop()
    assert stored(store) == ["a"]
