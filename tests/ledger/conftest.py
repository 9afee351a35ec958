"""One ledger per test: a fresh database of either kind, a clock that the test moves, a client without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ledger.building import Clock
from tests.ledger.postgresql import PostgreSQL
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server for all tests that want one; it starts in about a second."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of database; every test that asks for one runs on both."""
    return str(request.param)


@pytest.fixture
def database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database, in which there is nothing yet."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        url = request.getfixturevalue("postgresql").emptied_database()
    opened = Store(url, clock_us=clock)
    yield opened
    opened.close()


@pytest.fixture
def transport(store: Store) -> Iterator[InProcess]:
    with InProcess(application(store, token=TOKEN)) as transport:
        yield transport


@pytest.fixture
def ledger(transport: InProcess) -> LedgerClient:
    """The client that everybody else uses."""
    return LedgerClient(URL, TOKEN, transport=transport)


@pytest.fixture
def http(transport: InProcess) -> httpx.Client:
    """Bare HTTP with the token, for what the client does not let one do."""
    return httpx.Client(transport=transport, base_url=URL, headers={"authorization": f"Bearer {TOKEN}"})
