"""Loopback ports: which are free, and which are taken."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Collection
from pathlib import Path

from turnout.errors import Unavailable

__all__ = ["LOOPBACK", "choose", "is_free", "is_open"]

LOOPBACK = "127.0.0.1"

_LOWEST = 15_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections are no owners
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def is_open(port: int) -> bool:
    """Whether somebody accepts connections on this port."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def choose(*, avoid: Collection[int] = ()) -> int:
    """A free port from below the kernel's ephemeral range.

    A port that the kernel chose (bind to 0) may be given to an outgoing connection before the server that it was
    meant for has bound it; under load that happens. Ports below that range are only taken on purpose.

    Raises:
        Unavailable: none of many random ports was free.
    """
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, _first_ephemeral())  # noqa: S311 (any free port will do)
        if port not in avoid and is_free(port):
            return port
    raise Unavailable(f"no free port on {LOOPBACK}: tried {_TRIES} between {_LOWEST} and {_first_ephemeral()}")


def _first_ephemeral() -> int:
    try:
        return max(_LOWEST + 1000, int(_RANGE.read_text(encoding="ascii").split()[0]))
    except OSError:
        return 32_768
