"""The API under requests that nobody should send: it answers each of them, and its store stays whole."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import fuzzing
from tests.embedded.apiserver import Api, opened
from turnout.embedded.kinds import KINDS

HANG_S = 60.0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with opened(tmp_path) as api:
        pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c"}]}}
        api.store.create("Pod", pod)
        yield api


def check(api: Api, requests: Iterator[fuzzing.Request]) -> None:
    for request in requests:
        answer = api.send(request.method, request.path, request.query, request.headers, request.body, HANG_S)
        assert answer.status_code < 500 or fuzzing.is_known(answer.text), (request, answer.text)


def check_store(api: Api, path: Path) -> None:
    """Every object can be read and names itself, and SQLite finds no fault."""
    for kind in KINDS.values():
        for obj in api.store.list(kind.kind):
            assert (obj["kind"], obj["apiVersion"]) == (kind.kind, kind.api_version)
            assert obj["metadata"]["uid"]
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_no_request_however_strange_breaks_the_api(api: Api, tmp_path: Path) -> None:
    check(api, fuzzing.requests(seed=1, count=600))
    check_store(api, tmp_path / "store.db")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 6))
def test_twenty_thousand_strange_requests_break_nothing(api: Api, tmp_path: Path, seed: int) -> None:
    check(api, fuzzing.requests(seed=seed, count=5_000))
    check_store(api, tmp_path / "store.db")


def test_a_request_that_hangs_would_be_noticed(api: Api) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    with pytest.raises(asyncio.TimeoutError):
        api.send("GET", path, [("watch", "true")], {}, b"", 0.2)
