"""A controller that dies by SIGKILL right after its n-th write: `killed.py N [flags of turnout.controller]`.

Writes are what others can see: state in the ledger, objects in the API. Which one it died of stands in its log.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from turnout.controller import __main__ as controller
from turnout.kube.client import Kube
from turnout.ledger.client import LedgerClient

_LOCK = threading.Lock()
_COUNT = 0


def _counted(owner: type, name: str, limit: int) -> None:
    real = getattr(owner, name)

    def write(self: Any, *arguments: Any, **named: Any) -> Any:
        answer = real(self, *arguments, **named)
        what = _what(name, arguments, named)
        if "Lease" not in what:
            _die_at(limit, what)
        return answer

    setattr(owner, name, write)


def _what(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    first = arguments[0]
    kind = first["kind"] if isinstance(first, dict) else first
    return f"{name} {kind}{' status' if named.get('status') else ''}"


def _die_at(limit: int, what: str) -> None:
    global _COUNT
    with _LOCK:
        _COUNT += 1
        if limit == _COUNT:
            os.write(2, f"killed after: {what}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    at = int(sys.argv.pop(1))
    _counted(LedgerClient, "put_state", at)
    for verb in ("create", "apply", "patch", "delete"):
        _counted(Kube, verb, at)
    controller.main()
