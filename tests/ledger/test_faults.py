"""Killed writers, full disks, a database that goes away, clocks that jump: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.ledger import dying
from tests.ledger.building import NOON, SECOND, Clock, announce, batch, record, send
from tests.ledger.postgresql import PostgreSQL
from tests.ledger.processes import LedgerProcess
from tests.ledger.serving import TOKEN, URL, InProcess
from tests.ledger.test_process import every_id
from turnout.errors import Unavailable
from turnout.ledger import audit, contents, databases, ingest, records
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.databases import Full
from turnout.ledger.schema import FEEDBACK, PREDICTIONS, VERSIONS
from turnout.ledger.store import Store

EVIDENCE: dict[str, Any] = {"champion": "digits-v1", "challenger": "digits-v2", "window_us": 0}


def die(database: str, folder: Path, *, cycles: int) -> None:
    """Kill writers, then look at what they left."""
    file = folder / "acknowledged"
    command = [sys.executable, "-m", "tests.ledger.dying", database, str(file), str(cycles), "7"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

    store = Store(database)
    found = store.read(lambda c: c.execute(select(PREDICTIONS.c.id, PREDICTIONS.c.chunk_no, PREDICTIONS.c.place)).all())
    rows = found.result()
    batches = len(rows) // dying.SIZE
    assert sorted(row.id for row in rows) == sorted(name for number in range(batches) for name in dying.names(number))
    assert dying.acknowledged(file) >= cycles // 2
    assert dying.acknowledged(file) <= batches <= dying.acknowledged(file) + 1
    places = [(row.chunk_no, row.place) for row in rows]
    assert len(store.read(lambda c: contents.read(c, places)).result()) == len(rows)
    labels = store.read(lambda c: c.execute(select(FEEDBACK.c.prediction_id)).scalars().all()).result()
    assert len(labels) == len(set(labels)) >= dying.acknowledged(file)
    totals = store.read(lambda c: c.execute(select(VERSIONS.c.predictions, VERSIONS.c.labelled)).all()).result()
    assert [tuple(row) for row in totals] in ([], [(len(rows), len(labels))])
    assert store.read(audit.verify).result().problem is None
    store.close()


def test_writers_killed_at_random_lose_nothing_acknowledged_and_double_nothing(database: str, tmp_path: Path) -> None:
    die(database, tmp_path, cycles=12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_killed_writers_lose_nothing_acknowledged_and_double_nothing(database: str, tmp_path: Path) -> None:
    die(database, tmp_path, cycles=1_000)


@pytest.mark.e2e
def test_a_full_disk_is_said_with_507_and_nothing_is_lost_when_there_is_room_again(tmp_path: Path) -> None:
    ledger = LedgerProcess(tmp_path)
    send(ledger.client, record(name="first"))
    ledger.limit_files((tmp_path / "ledger.db-wal").stat().st_size + 100_000)
    acknowledged = {"first"}
    refused: list[dict[str, Any]] = []

    def fill() -> None:
        for number in range(1_000):
            refused[:] = [record(name=f"r{number}-{place}") for place in range(20)]
            send(ledger.client, *refused)
            acknowledged.update(one["id"] for one in refused)

    with pytest.raises(Unavailable, match=r"the ledger has no room.*HTTP 507"):
        fill()
    assert every_id(ledger.client).keys() == acknowledged
    with pytest.raises(Unavailable, match="507"):
        send(ledger.client, *(record(name=f"more{number}") for number in range(1_000)))
    ledger.limit_files(resource.RLIM_INFINITY)
    assert send(ledger.client, *refused)["accepted"] == 20
    found = every_id(ledger.client)
    assert found.keys() == acknowledged | {one["id"] for one in refused}
    assert set(found.values()) == {1}
    assert ledger.client.verify_audit()["intact"]
    assert ledger.stop() == 0


def test_a_full_postgresql_is_said_with_507(postgresql: PostgreSQL) -> None:
    store = Store(postgresql.new_database())
    trigger = (
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON versions EXECUTE FUNCTION full_disk()",
    )
    store.write(lambda c: [c.exec_driver_sql(statement).rowcount for statement in trigger]).result()
    parsed = records.parse_batch(batch([record()]))
    with pytest.raises(Full, match="the ledger has no room: could not extend file"):
        store.write(lambda c: ingest.take(c, parsed, now_us=NOON)).result()
    store.write(lambda c: c.exec_driver_sql("DROP TRIGGER full_disk ON versions").rowcount).result()
    assert store.write(lambda c: ingest.take(c, parsed, now_us=NOON)).result().accepted == 1
    store.close()


class Shipper(threading.Thread):
    """Ships batches over HTTP, each until it is acknowledged, as predictors do."""

    def __init__(self, ledger: LedgerClient, number: int, *, batches: int) -> None:
        super().__init__()
        self.ids = [[f"s{number}-{at}-{place}" for place in range(20)] for at in range(batches)]
        self.sent, self.refused = 0, 0
        self._ledger, self._log = ledger, f"log{number}"

    def run(self) -> None:
        for names in self.ids:
            while not self._is_taken(names):
                self.refused += 1
                time.sleep(0.02)
            self.sent += 1

    def _is_taken(self, names: list[str]) -> bool:
        try:
            send(self._ledger, *(record(name=name) for name in names), log=self._log, watermark_us=0)
        except Unavailable:
            return False
        return True


def test_a_postgresql_that_is_restarted_under_load_loses_nothing() -> None:
    with PostgreSQL() as server:
        store = Store(server.new_database())
        with InProcess(application(store, token=TOKEN)) as transport:
            ledger = LedgerClient(URL, TOKEN, transport=transport)
            shippers = [Shipper(ledger, number, batches=30) for number in range(3)]
            for shipper in shippers:
                shipper.start()
            while min(shipper.sent for shipper in shippers) < 3:
                time.sleep(0.01)
            server.restart()
            for shipper in shippers:
                shipper.join()
            found = every_id(ledger)
        assert set(found) == {name for shipper in shippers for names in shipper.ids for name in names}
        assert set(found.values()) == {1}
        store.close()


def test_evidence_waits_for_a_transaction_of_another_ledger_that_commits_late(postgresql: PostgreSQL) -> None:
    """It has taken its place in the order before; a reader that did not wait would never come back to it."""
    address = postgresql.new_database()
    store, other = Store(address, clock_us=Clock()), databases.writer(databases.address(address))
    with InProcess(application(store, token=TOKEN)) as transport:
        ledger = LedgerClient(URL, TOKEN, transport=transport)
        announce(ledger)
        for version in ("digits-v1", "digits-v2"):
            send(ledger, record(name=f"{version}-a", version=version, time_us=NOON - 9), version=version)
        late = records.parse_batch(batch([record(name="late", time_us=NOON - 5)], log="another", watermark_us=NOON))
        pages: list[dict[str, Any]] = []
        reader = threading.Thread(target=lambda: pages.append(ledger.evidence("digits", **EVIDENCE)))
        with other.begin() as connection:
            ingest.take(connection, late, now_us=NOON)
            reader.start()
            while not _waits_for_lock(store):
                time.sleep(0.01)
            assert pages == []
        reader.join(10)
    assert [unit["id"] for unit in pages[0]["units"]] == ["digits-v1-a", "digits-v2-a", "late"]
    other.dispose()
    store.close()


def _waits_for_lock(store: Store) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(store.read(lambda c: c.exec_driver_sql(waiting).scalar_one()).result())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LedgerClient, Clock]]:
    clock = Clock()
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('clocks') / 'ledger.db'}", clock_us=clock)
    with InProcess(application(store, token=TOKEN)) as transport:
        yield LedgerClient(URL, TOKEN, transport=transport), clock
    store.close()


_turnouts = (f"t{number}" for number in count())
JUMP = st.integers(-3_600, 3_600)
HAPPENS = st.one_of(
    st.tuples(st.just("clock"), JUMP),
    st.tuples(st.just("records"), JUMP, st.sampled_from(("v1", "v2")), st.integers(1, 3)),
    st.tuples(st.just("label"), JUMP),
    st.tuples(st.just("read"), st.integers(1, 3)),
)


@settings(max_examples=40, deadline=None)
@given(happens=st.lists(HAPPENS, max_size=20))
def test_whatever_the_clocks_do_no_reader_skips_or_repeats_a_unit_and_none_changes(
    stage: tuple[LedgerClient, Clock], happens: list[tuple[Any, ...]]
) -> None:
    """The ledger's clock and those of the predictors jump by up to an hour, either way."""
    ledger, clock = stage
    turnout, names = next(_turnouts), count()
    clock.now_us = NOON
    weights = {"action": "weights", "actor": "controller", "data": {"rev": "r1", "weights": {"v1": 50, "v2": 50}}}
    ledger.put_state(turnout, if_generation=0, state={}, audit=[weights])
    pair = {"champion": "v1", "challenger": "v2", "window_us": 5 * SECOND}
    sent: list[str] = []
    units: list[dict[str, Any]] = []
    cursor = None

    def ship(version: str, time_us: int, number: int) -> None:
        events = [
            record(name=f"{turnout}-{next(names)}", version=version, time_us=time_us + place, endpoint=turnout)
            for place in range(number)
        ]
        sent.extend(one["id"] for one in events)
        log = f"{turnout}-{version}"
        ledger.events(log=log, endpoint=turnout, version=version, watermark_us=time_us + number, events=events)

    for what, *how in [*happens, ("clock", 7_200), ("records", 7_000, "v1", 1), ("records", 7_000, "v2", 1)]:
        if what == "clock":
            clock.now_us = NOON + how[0] * SECOND
        elif what == "records":
            ship(how[1], NOON + how[0] * SECOND, how[2])
        elif what == "label" and sent:
            ledger.feedback(sent[how[0] % len(sent)], label=how[0] % 10, method="PUT")
        elif what == "read":
            page = ledger.evidence(turnout, **pair, cursor=cursor, limit=how[0])
            units, cursor = units + page["units"], page["cursor"]
    while True:
        page = ledger.evidence(turnout, **pair, cursor=cursor, limit=50)
        units, cursor = units + page["units"], page["cursor"]
        if not page["more"]:
            break
    again = ledger.evidence(turnout, **pair, limit=1_000)
    assert again["units"] == units
    assert [(unit["time_us"], unit["id"]) for unit in units] == sorted((unit["time_us"], unit["id"]) for unit in units)
    assert {found["id"] for found in ledger.predictions(endpoint=turnout, limit=1_000)["predictions"]} == set(sent)
