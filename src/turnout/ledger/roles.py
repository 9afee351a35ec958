"""What tokens may do, and how a file of tokens says it: a line is `name roles sha256`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from turnout.errors import InputError

__all__ = ["ROLES", "digest", "line", "parse"]

ROLES = ("events", "feedback", "read", "erase", "control")
_WANTED = f"wanted `name roles sha256`, roles of {', '.join(ROLES)}"


def digest(token: str) -> str:
    """A token as the file holds it. Tokens are long and random, so one plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def line(name: str, roles: Iterable[str], token: str) -> str:
    """The line of a token.

    >>> parse(line("ann", ["read"], "secret"))[:2]
    ('ann', frozenset({'read'}))

    Raises:
        InputError: there is no such role, or the name is not one word.
    """
    written = f"{name} {','.join(roles)} {digest(token)}"
    parse(written)
    return written


def parse(text: str) -> tuple[str, frozenset[str], str]:
    """Name, roles and digest of a line.

    Raises:
        InputError: it is none.
    """
    words = text.split()
    roles = set(words[1].split(",")) if len(words) == 3 else set()
    if not roles or not roles <= set(ROLES) or len(words[2]) != 64 or "#" in text:
        raise InputError(_WANTED)
    return words[0], frozenset(roles), words[2]
