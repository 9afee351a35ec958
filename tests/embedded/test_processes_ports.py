"""Choosing ports: free ones, from where the kernel gives none away by itself."""

from __future__ import annotations

import socket
from pathlib import Path

from turnout.embedded.supervision import ports


def test_a_chosen_port_is_free_and_below_the_ephemeral_range() -> None:
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = ports.choose()
    assert ports.is_free(port)
    assert port < lowest_ephemeral


def test_a_port_to_avoid_is_not_chosen() -> None:
    taken = {ports.choose() for _ in range(20)}
    assert ports.choose(avoid=taken) not in taken


def test_a_listening_port_is_open_and_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert ports.is_open(port)
        assert not ports.is_free(port)
    assert not ports.is_open(port)
