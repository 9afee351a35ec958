"""Keep MLflow's aliases `champion` and `challenger` where the rollouts are, without carrying MLflow."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import dataclass

from turnout.controller.rollout import Rollout

__all__ = ["Aliases", "Wanted"]

log = logging.getLogger(__name__)

_AGAIN_AFTER_S = 30.0
Wanted = tuple[str | None, str | None]


@dataclass
class _Attempt:
    wanted: Wanted
    process: subprocess.Popen[bytes]


class Aliases:
    """One program at a time per endpoint; what changes meanwhile is set by the next. Failures are repeated."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._running: dict[str, _Attempt] = {}
        self._not_before: dict[str, float] = {}

    def follow(self, key: str, rollout: Rollout) -> Wanted | None:
        """Start what is needed for this endpoint; (champion, challenger) when an attempt has set them. Never waits."""
        attempt = self._running.get(key)
        if attempt is not None:
            return self._collect(key, attempt)
        wanted = (rollout.champion, rollout.challenger)
        if rollout.aliases == wanted or time.monotonic() < self._not_before.get(key, 0):
            return None
        command = _command(self._uri, wanted)
        if command is not None:
            self._running[key] = _Attempt(wanted, subprocess.Popen(command, stderr=subprocess.PIPE))
        return None

    def _collect(self, key: str, attempt: _Attempt) -> Wanted | None:
        code = attempt.process.poll()
        if code is None:
            return None
        del self._running[key]
        stderr = attempt.process.stderr
        said = stderr.read().decode(errors="replace").strip() if stderr else ""
        if code == 0:
            return attempt.wanted
        log.warning("%s: MLflow's aliases could not be set, again in %.0f s: %s", key, _AGAIN_AFTER_S, said or code)
        self._not_before[key] = time.monotonic() + _AGAIN_AFTER_S
        return None


def _command(uri: str, wanted: Wanted) -> list[str] | None:
    """None for versions that are not named like registered ones."""
    champion, challenger = wanted
    model, _, number = str(champion).rpartition("-v")
    if not model or not number.isdigit():
        return None
    same_model = challenger is not None and challenger.rpartition("-v")[0] == model
    other = str(challenger).rpartition("-v")[2] if same_model else ""
    return [sys.executable, "-m", "turnout.registry", uri, model, f"champion={number}", f"challenger={other}"]
