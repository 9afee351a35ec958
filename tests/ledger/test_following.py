"""The follower beside a gateway, against a real ledger over HTTP."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.ledger.test_gateway_log_tailer import append, drain, line
from turnout.errors import InputError, Unavailable
from turnout.ledger.following import Follower, rotate
from turnout.ledger.gateway import GatewayRequest
from turnout.ledger.tailing import Place, Tailer


class Ledger:
    """What a follower would send, call by call; away when told so."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int, bool]] = []
        self.is_away = False

    def ship(self, requests: list[GatewayRequest], *, watermark_us: int, final: bool = False) -> None:
        if self.is_away:
            raise Unavailable("no ledger")
        self.calls.append(([request.request_id for request in requests], watermark_us, final))

    @property
    def ids(self) -> list[str]:
        return [name for names, _, _ in self.calls for name in names]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def follower(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Follower:
    found = Follower("http://nowhere", token_file=path, log="proxy-1", note=path.with_name("note"))
    monkeypatch.setattr(found, "_ship", ledger.ship)
    return found


def test_lines_are_shipped_once_across_restarts(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    append(path, line("a"), line("b"))
    drain(Tailer(follower(path, ledger, monkeypatch), path))
    append(path, line("c"))
    drain(Tailer(follower(path, ledger, monkeypatch), path))
    assert ledger.ids == ["a", "b", "c"]


def test_a_ledger_that_is_away_loses_nothing(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    append(path, line("a"))
    ledger.is_away = True
    tailer = Tailer(follower(path, ledger, monkeypatch), path)
    with pytest.raises(Unavailable):
        tailer.step()
    ledger.is_away = False
    drain(tailer)
    assert ledger.ids == ["a"]


def test_the_watermark_goes_with_the_last_part_only(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.ledger.following._EVENTS_AT_ONCE", 2)
    append(path, *(line(name) for name in "abc"))
    drain(Tailer(follower(path, ledger, monkeypatch), path))
    (first, early, _), (second, late, _), *_ = ledger.calls
    assert (first, second) == (["a", "b"], ["c"])
    assert early == 0 < late


def test_half_a_note_begins_from_the_beginning(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    path.with_name("note").write_text('{"inode": ')
    assert follower(path, ledger, monkeypatch).saved() == Place()


def test_the_end_of_a_log_is_told(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    follower(path, ledger, monkeypatch).end()
    assert [final for _, _, final in ledger.calls] == [True]


def test_a_ledger_that_refuses_the_token_is_an_error(path: Path, tmp_path: Path) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    token = tmp_path / "token"
    token.write_text("wrong")
    found = Follower(f"http://127.0.0.1:{server.server_port}", token_file=token, log="p", note=path)
    with pytest.raises(InputError, match="401"):
        found.end()
    server.shutdown()
    server.server_close()


def test_a_log_is_begun_anew_when_it_has_grown_and_nothing_of_it_is_lost(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Answer:
        def raise_for_status(self) -> None:
            """Envoy has opened its log again."""

    def post(url: str, **_: object) -> Answer:
        told.append(url)
        return Answer()

    monkeypatch.setattr("turnout.ledger.following.httpx.post", post)
    append(path, line("a"))
    tailer = Tailer(follower(path, ledger, monkeypatch), path)
    drain(tailer)
    append(path, line("b"))
    assert not rotate(path, admin_url="http://admin", larger_than=1_000_000)
    assert rotate(path, admin_url="http://admin", larger_than=10)
    append(path, line("c"))
    drain(tailer)
    assert ledger.ids == ["a", "b", "c"]
    assert told == ["http://admin/reopen_logs"]
