"""Names under `localhost` are this machine, also where the resolver has never heard of them (RFC 6761, section 6.3).

Browsers and curl know it by themselves; the C library, and with it every Python client, often does not.
"""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["teach"]

_resolve = socket.getaddrinfo


def teach() -> None:
    """From now on this process resolves `ledger.localhost` and its like to the loopback address. Safe to repeat."""
    socket.getaddrinfo = _getaddrinfo


def _getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if isinstance(name, str) and name.rstrip(".").lower().endswith(".localhost"):
        host = "127.0.0.1"
    return _resolve(host, *arguments, **options)
