"""Who may do what: tokens with roles, kept as digests in a file, and how many calls a second each may make.

A line of the file is `name roles sha256`, for example

    labelling feedback,read 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8

The file is read again when it changes, so that a token is given or taken away without a restart. The single token of
`--token-file` has every role: it is what the parts of Turnout share.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import InputError

__all__ = ["ROLES", "Holder", "Tokens", "digest"]

ROLES = ("events", "feedback", "read", "erase", "control")
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Holder:
    """Somebody with a token."""

    name: str
    roles: frozenset[str]


def digest(token: str) -> str:
    """A token as the file holds it. Tokens are long and random, so one plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class Tokens:
    """The tokens that are known now, and the pace of each."""

    def __init__(
        self,
        shared: str,
        *,
        file: Path | None = None,
        calls_per_s: float = 0.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calls_per_s` 0: no limit.

        Raises:
            InputError: the file is missing or has a line that is none.
        """
        self._shared = {digest(shared): Holder("shared", frozenset(ROLES))}
        self._file, self._changed, self._looked_s = file, None if file is None else _changed(file), clock_s()
        self._known = self._shared | (_parse(file) if file else {})
        self._calls_per_s, self._clock_s = calls_per_s, clock_s
        self._left: dict[str, tuple[float, float]] = {}

    def holder(self, token: str) -> Holder | None:
        """Who has this token."""
        self._look_again()
        return self._known.get(digest(token))

    def wait_s(self, holder: Holder) -> float:
        """Count a call; 0, or after how long the holder may call again. A second's worth may come at once."""
        if not self._calls_per_s:
            return 0.0
        now_s = self._clock_s()
        left, then_s = self._left.get(holder.name, (self._calls_per_s, now_s))
        left = min(self._calls_per_s, left + (now_s - then_s) * self._calls_per_s)
        self._left[holder.name] = (max(left - 1.0, 0.0) if left >= 1.0 else left, now_s)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._calls_per_s

    def _look_again(self) -> None:
        now_s = self._clock_s()
        if self._file is None or now_s - self._looked_s < _LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        if (changed := _changed(self._file)) != self._changed:
            self._known = self._shared | _parse(self._file)
            self._changed = changed


def _changed(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"--tokens {file}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_ino


def _parse(file: Path) -> dict[str, Holder]:
    found = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        roles = set(words[1].split(",")) if len(words) == 3 else set()
        if not roles or not roles <= set(ROLES) or len(words[2]) != 64:
            raise InputError(f"--tokens {file}:{number}: wanted `name roles sha256`, roles of {', '.join(ROLES)}")
        found[words[2]] = Holder(words[0], frozenset(roles))
    return found
