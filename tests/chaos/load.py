"""Constant load from a process of its own: so many requests a second, whatever the answers do.

    python -m tests.chaos.load PLAN

The plan is JSON: port, rate, connections, and targets with host, path and body. Requests are due at fixed times; a
connection that is behind sends at once, so a slow answer makes the next ones late but never fewer. Ends at SIGTERM and
prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_S = 125.0  # a little more than the gateway's
_REMEMBERED = 50


@dataclass
class Seen:
    """What the clients got."""

    sent: int = 0
    answered: int = 0
    late: int = 0  # sent more than a second after their time
    failures: list[dict[str, Any]] = field(default_factory=list)
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    by_version: dict[str, int] = field(default_factory=dict)

    def note(self, host: str, status: int, version: str, seconds: float) -> None:
        self.seconds.append(seconds)
        if status == 200:
            self.answered += 1
            self.by_version[version] = self.by_version.get(version, 0) + 1
        else:
            self.fail(host, f"status {status}", seconds)

    def fail(self, host: str, why: str, seconds: float) -> None:
        self.failed += 1
        if len(self.failures) < _REMEMBERED:
            self.failures.append({"time": time.time(), "host": host, "why": why, "seconds": round(seconds, 3)})


class Client:
    """One keep-alive connection and its share of the load."""

    def __init__(self, plan: dict[str, Any], number: int, seen: Seen) -> None:
        self._port, self._seen = plan["port"], seen
        self._pause_s = plan["connections"] / plan["rate"]
        self._offset_s = number / plan["rate"]
        self._targets = itertools.islice(itertools.cycle(plan["targets"]), number, None)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, over: asyncio.Event) -> None:
        due = time.monotonic() + self._offset_s
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._seen.late += time.monotonic() > due + 1.0
            await self._send(next(self._targets))
            due += self._pause_s
        if self._streams is not None:
            self._streams[1].close()

    async def _send(self, target: dict[str, str]) -> None:
        self._seen.sent += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, version = await self._ask(target)
            self._seen.note(target["host"], status, version, time.monotonic() - began)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self._seen.fail(target["host"], f"{type(error).__name__} {error}", time.monotonic() - began)
            self._drop()

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None

    async def _ask(self, target: dict[str, str]) -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = target["body"].encode()
        writer.write(
            f"POST {target['path']} HTTP/1.1\r\nHost: {target['host']}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self._drop()
        return int(head.split(" ")[1]), headers.get("x-turnout-version", "")


async def _main(plan: dict[str, Any]) -> Seen:
    seen, over = Seen(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await asyncio.gather(*(Client(plan, number, seen).run(over) for number in range(plan["connections"])))
    return seen


if __name__ == "__main__":
    found = asyncio.run(_main(json.loads(sys.argv[1])))
    print(json.dumps(found.__dict__))
