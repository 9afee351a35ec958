"""`python -m turnout.ledger.following`: beside a gateway, ships its access log to a ledger somewhere else.

A process of the gateway's own Pod, so that the log is a file that outlives the ledger's absence, the follower's death
and the proxy's. Whoever is killed between shipping and noting sends some requests twice, which the ledger drops by
their ids. On SIGTERM it waits for the proxy to drain, ships the rest and tells the ledger that this log has ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import httpx
import orjson

from turnout import settings
from turnout.errors import TurnoutError
from turnout.ledger.client import LedgerClient
from turnout.ledger.gateway import GatewayRequest
from turnout.ledger.tailing import Place, Tailer

__all__ = ["Follower", "main", "rotate"]

_log = logging.getLogger("turnout.ledger.following")
_EVENTS_AT_ONCE = 2_000
_CHECK_S = 5.0
_AGAIN_S = 0.5
_PATIENCE_S = 10.0


class Follower:
    """Ships over the ledger's HTTP API; notes in a file where reading goes on."""

    def __init__(self, ledger_url: str, *, token_file: Path, log: str, note: Path) -> None:
        self._name, self._note = log, note
        # The token is read each time: Kubernetes renews it while this process lives.
        self._ledger = LedgerClient(
            ledger_url, lambda: token_file.read_text(encoding="utf-8").strip(), timeout_s=_PATIENCE_S
        )
        self._watermark_us = 0

    def clock_us(self) -> int:
        """The machine's clock: the gateway's, too."""
        return time.time_ns() // 1_000

    def saved(self) -> Place:
        """As noted; from the beginning when there is no note, or half a one."""
        try:
            return Place(**orjson.loads(self._note.read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
            return Place()

    def keep(self, requests: list[GatewayRequest], *, watermark_us: int, place: Place) -> None:
        """Ship first, then note. The watermark goes with the last part only: it promises all that came before it."""
        self._watermark_us = watermark_us
        for start in range(0, len(requests), _EVENTS_AT_ONCE):
            part = requests[start : start + _EVENTS_AT_ONCE]
            self._ship(part, watermark_us=watermark_us if start + _EVENTS_AT_ONCE >= len(requests) else 0)
        if not requests:
            self._ship([], watermark_us=watermark_us)
        aside = self._note.with_name(f".{self._note.name}")
        aside.write_bytes(orjson.dumps(asdict(place)))
        os.replace(aside, self._note)

    def end(self) -> None:
        """Tell the ledger that nothing more comes from this log."""
        self._ship([], watermark_us=max(self._watermark_us, self.clock_us()), final=True)

    def _ship(self, requests: list[GatewayRequest], *, watermark_us: int, final: bool = False) -> None:
        self._ledger.gateway_log(log=self._name, watermark_us=watermark_us, events=_events(requests), final=final)


def _events(requests: list[GatewayRequest]) -> list[dict[str, object]]:
    def event(request: GatewayRequest) -> dict[str, object]:
        fields = asdict(request)
        return {**fields, "id": fields.pop("prediction_id")}

    return [event(request) for request in requests]


def rotate(path: Path, *, admin_url: str, larger_than: int) -> bool:
    """Move a log that has grown aside and make Envoy begin a new one; whether that was done.

    One that was moved aside earlier is gone then: what is in it was read long ago, because only a follower that
    ships, rotates.
    """
    try:
        if path.stat().st_size <= larger_than:
            return False
        os.replace(path, path.with_name(f"{path.name}.1"))
        httpx.post(f"{admin_url}/reopen_logs", timeout=5.0, trust_env=False).raise_for_status()
    except (OSError, httpx.HTTPError) as error:
        _log.warning("%s: not rotated: %s", path, error)
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Follow until SIGTERM; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=settings.read("TURNOUT_LOG_LEVEL"), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    note = options.file.with_name(f"{options.file.name}.place")
    sink = Follower(options.ledger_url, token_file=options.token_file, log=options.log, note=note)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.end:
        sink.end()
        return 0
    tailer = Tailer(sink, options.file, log=options.log, flush_us=options.flush_ms * 1_000)
    tailer.start()
    while not stop.wait(_CHECK_S):
        if tailer.is_at_end:
            rotate(options.file, admin_url=options.admin_url, larger_than=options.rotate_bytes)
    stop.clear()
    stop.wait(options.drain_s)
    tailer.stop()
    return _finish(tailer, sink, within_s=options.end_within_s)


def _finish(tailer: Tailer, sink: Follower, *, within_s: float) -> int:
    """Ship the rest and end the log. A ledger that is away is waited for: evidence would wait for this log for ever."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            while tailer.step():
                pass
            sink.end()
        except (OSError, TurnoutError) as error:
            if time.monotonic() > deadline_s:
                print(f"turnout.ledger.following: {type(error).__name__}: {error}", file=sys.stderr)
                return 1
            time.sleep(_AGAIN_S)
        else:
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnout.ledger.following", description=__doc__)
    add = parser.add_argument
    add("--file", type=Path, required=True, help="the access log; its folder must be writable")
    add("--ledger-url", default=settings.read("TURNOUT_LEDGER_URL"), help="where the ledger answers")
    add("--token-file", type=Path, required=True, help="file with the token that the ledger knows")
    add("--log", default=socket.gethostname(), help="name of this log (default: the host name, a Pod's name)")
    add("--flush-ms", type=int, default=10_000, help="how long the gateway may keep a line (file-flush-interval-msec)")
    add("--admin-url", default="http://127.0.0.1:19000", help="Envoy's admin address")
    add("--rotate-bytes", type=int, default=64 * 1024 * 1024, help="a larger log is begun anew")
    add("--drain-s", type=float, default=0.0, help="seconds between SIGTERM and the last look")
    add("--end-within-s", type=float, default=300.0, help="seconds to wait for a ledger that is away, at the end")
    add("--end", action="store_true", help="only tell the ledger that LOG has ended: its Pod was lost with its node")
    return parser


if __name__ == "__main__":
    sys.exit(main())
