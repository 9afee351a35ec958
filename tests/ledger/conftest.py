"""One ledger per test: a database in a fresh folder, a clock that the test moves, a client without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ledger.building import Clock
from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.ledger.api.app import application
from turnout.ledger.client import LedgerClient
from turnout.ledger.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'ledger.db'}", clock_us=clock)
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
