"""The object store as the client finds it: by the usual environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage import objectstore


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[objectstore.Store]:
    with objectstore.known_to(monkeypatch) as served:
        yield served
