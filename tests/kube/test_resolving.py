from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from turnout import resolving


@pytest.fixture
def taught() -> Iterator[None]:
    before = socket.getaddrinfo
    resolving.teach()
    yield
    socket.getaddrinfo = before


@pytest.mark.parametrize("name", ["ledger.localhost", "a.b.LOCALHOST.", b"mlflow.localhost"])
def test_names_under_localhost_are_this_machine(taught: None, name: str | bytes) -> None:
    found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    assert {entry[4][0] for entry in found} == {"127.0.0.1"}


def test_other_names_are_left_to_the_resolver(taught: None) -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("localhost.invalid", 80)
    assert socket.getaddrinfo("127.0.0.2", 80, type=socket.SOCK_STREAM)[0][4][0] == "127.0.0.2"
