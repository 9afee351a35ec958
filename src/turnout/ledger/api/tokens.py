"""Who may do what: tokens with roles, kept as digests in a file, and how many calls a second each may make.

A line of the file is `name roles sha256`, for example

    labelling feedback,read 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8

The file is read again when it changes, so that a token is given or taken away without a restart; a file that is not
there holds no tokens, and one that cannot be read any more changes nothing but the log. The single token of
`--token-file` has every role: it is what the parts of Turnout share.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import InputError
from turnout.ledger.roles import ROLES, digest, parse

__all__ = ["Holder", "Tokens"]

_LOOK_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Somebody with a token."""

    name: str
    roles: frozenset[str]
    namespace: str = ""
    """The only namespace whose records it may ship; empty: any."""


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
            InputError: the file cannot be read, or has a line that is none.
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
        try:
            if (changed := _changed(self._file)) != self._changed:
                self._changed = changed
                self._known = self._shared | _parse(self._file)
        except InputError as error:
            _log.warning("%s; the tokens stay as they were", error)


def _changed(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except FileNotFoundError:
        return 0, 0
    except OSError as error:
        raise InputError(f"--tokens {file}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_ino


def _parse(file: Path) -> dict[str, Holder]:
    found = {}
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--tokens {file}: cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.split("#")[0].strip()
        if not said:
            continue
        try:
            name, roles, known_by = parse(said)
        except InputError as error:
            raise InputError(f"--tokens {file}:{number}: {error}") from error
        found[known_by] = Holder(name, roles)
    return found
