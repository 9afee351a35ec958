"""Whose request it is, where users are sticky: the gateway's stamp names the header, the record keeps only a digest."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

__all__ = ["subject"]

_BY = ";by="


def subject(stamp: str | None, header: Callable[[bytes], bytes | None]) -> str | None:
    """A digest of the value that keeps users on their version; None for requests that are drawn anew.

    >>> subject("digits-v4;p=0.2;rev=k3x9;by=x-user", {b"x-user": b"ann"}.get)
    '8d3adf6abf23f3a5'
    >>> subject("digits-v4;p=0.2;rev=k3x9", {b"x-user": b"ann"}.get) is None
    True
    """
    if stamp is None or _BY not in stamp:
        return None
    value = header(stamp.rpartition(_BY)[2].encode())
    return blake2b(value, digest_size=8).hexdigest() if value else None
