from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from tests.ledger.serving import TOKEN, URL, InProcess
from turnout.errors import Conflict, InputError, NotFound, TurnoutError, Unavailable
from turnout.ledger.client import LedgerClient


def answering(status: int, content: bytes = b"{}") -> LedgerClient:
    """A client whose ledger always answers so."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    return LedgerClient(URL, TOKEN, transport=transport)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InputError),
        (401, InputError),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (413, InputError),
        (422, InputError),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
    ],
)
def test_every_status_is_an_error_of_ours(status: int, kind: type[TurnoutError]) -> None:
    with pytest.raises(kind, match=f"why not .HTTP {status} from GET http://ledger/v1/audit") as caught:
        answering(status, b'{"detail": "why not"}').audit()
    assert type(caught.value) is kind


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'"x"'])
def test_a_proxys_own_error_page_is_told_by_its_status(content: bytes) -> None:
    with pytest.raises(Unavailable, match="Bad Gateway"):
        answering(502, content).audit()


@pytest.mark.parametrize(("content", "message"), [(b"<html>", "is not JSON"), (b"[]", "is not an object")])
def test_something_else_at_that_address_is_no_ledger(content: bytes, message: str) -> None:
    with pytest.raises(Unavailable, match=f"what answers at {URL} is no ledger.*{message}"):
        answering(200, content).audit()


def test_where_nobody_answers_the_url_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    client = LedgerClient(url, TOKEN)
    assert client.healthy() is False
    with pytest.raises(Unavailable, match=f"no ledger answers at {url}"):
        client.audit()


def test_a_ledger_that_hangs_up_or_takes_too_long_is_unavailable() -> None:
    def hang(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    with pytest.raises(Unavailable, match="no ledger answers at http://ledger: ReadTimeout"):
        LedgerClient(URL, TOKEN, transport=httpx.MockTransport(hang)).audit()


def test_a_wrong_token_is_the_callers_mistake_and_stays_out_of_the_message(transport: InProcess) -> None:
    with pytest.raises(InputError, match="wanted a token of the ledger") as caught:
        LedgerClient(URL, "my-wrong-token", transport=transport).audit()
    assert "my-wrong-token" not in str(caught.value)


def test_what_is_not_given_is_not_sent() -> None:
    seen: list[httpx.Request] = []
    transport = httpx.MockTransport(lambda request: (seen.append(request), httpx.Response(200, content=b"{}"))[1])
    client = LedgerClient(f"{URL}/", TOKEN, transport=transport)
    client.predictions(labelled=False)
    client.feedback("x", label=0)
    assert str(seen[0].url) == f"{URL}/v1/predictions?namespace=default&labelled=false&limit=100"
    assert seen[1].content == b'{"label":0}'


@pytest.mark.parametrize("use", [lambda client: client.healthy(), lambda client: client.erase("x")])
def test_answers_without_a_body_are_fine(use: Callable[[LedgerClient], object]) -> None:
    with answering(204, b"") as client:
        use(client)
