"""Watch a Turnout from outside, as anybody with a kubeconfig can, and wait for what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import Failed, NotFound, Unavailable
from turnout.kube.client import Kube

__all__ = ["Watcher"]


@dataclass
class Watcher:
    """Looks every `interval_s` in a thread of its own."""

    kube: Kube
    turnout: str
    namespace: str = "default"
    interval_s: float = 0.2
    status: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def until(self, holds: Callable[[dict[str, Any]], bool], *, what: str, timeout_s: float) -> dict[str, Any]:
        """Wait until the status fits.

        Raises:
            Failed: time is up; the message repeats the conditions.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.status), timeout_s):
                conditions = "; ".join(
                    f"{c['type']}={c['status']} {c['reason']}: {c['message']}"
                    for c in self.status.get("conditions", [])
                )
                raise Failed(f"Turnout {self.turnout}: {what} did not happen within {timeout_s:.0f} s ({conditions})")
            return dict(self.status)

    def _watch(self) -> None:
        while not self._stop.wait(self.interval_s):
            try:
                obj = self.kube.get("Turnout", self.turnout, namespace=self.namespace)
            except (NotFound, Unavailable):
                continue
            with self._changed:
                self.status = obj.get("status") or {}
                self._changed.notify_all()
