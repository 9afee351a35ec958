"""Runs the garbage collection whenever something may have lost its owner or its namespace."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from turnout.embedded import garbage
from turnout.embedded.store import Key, Store

__all__ = ["GarbageReconciler"]

_EVERYTHING: Key = ("Namespace", "", "*")  # there is one key: a pass looks at all objects
_NEVER_OWNERS = frozenset({"Event", "Lease"})
_EXPIRE_EVERY_S = 600.0


class GarbageReconciler:
    """One pass after another until nothing is left to collect."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._expire_at = 0.0

    def keys(self) -> list[Key]:
        """The one key."""
        return [_EVERYTHING]

    def affected(self, changed: Key) -> list[Key]:
        """The one key, but for what comes often and owns nothing."""
        return [] if changed[0] in _NEVER_OWNERS else [_EVERYTHING]

    def reconcile(self, key: Key) -> float | None:
        """Collect; again at once if there was something, because that may have been an owner too."""
        if time.monotonic() >= self._expire_at:
            garbage.expire_events(self._store, now=datetime.now(UTC))
            self._expire_at = time.monotonic() + _EXPIRE_EVERY_S
        return 0.0 if garbage.collect(self._store) else _EXPIRE_EVERY_S
