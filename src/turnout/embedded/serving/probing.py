"""Asks processes whether they are ready: often while they start, once a second afterwards, all in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from turnout.embedded.supervision import ports

__all__ = ["Probe", "Prober", "ask"]

_STARTING_S, _READY_S = 0.05, 1.0


@dataclass(frozen=True)
class Probe:
    """How to ask: an HTTP path that answers 2xx or 3xx, or without one a connection that is accepted."""

    port: int
    path: str | None = None
    timeout_s: float = 1.0
    failures: int = 3  # in a row, until a ready process counts as not ready

    @classmethod
    def of(cls, container: dict[str, Any], *, port: int) -> Probe:
        """The container's readinessProbe, on the port that the process really has."""
        probe = container.get("readinessProbe") or {}
        path = probe["httpGet"].get("path", "/") if "httpGet" in probe else None
        return cls(
            port=port, path=path, timeout_s=probe.get("timeoutSeconds", 1), failures=probe.get("failureThreshold", 3)
        )


async def ask(probe: Probe) -> bool:
    """Whether the process says that it is ready."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(probe.timeout_s):
            return await _ask(probe)
    return False


async def _ask(probe: Probe) -> bool:
    reader, writer = await asyncio.open_connection(ports.LOOPBACK, probe.port)
    try:
        if probe.path is None:
            return True
        request = f"GET {probe.path} HTTP/1.1\r\nHost: {ports.LOOPBACK}:{probe.port}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        status_line = await reader.readline()
        words = status_line.split()
        return len(words) > 1 and words[1][:1] in (b"2", b"3")
    finally:
        writer.close()


@dataclass
class _Watch:
    pid: int
    is_ready: bool
    task: asyncio.Task[None] | None = None


class Prober:
    """Knows of each followed process whether it is ready; `changed` is called, from its thread, when that turns."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._watches: dict[str, _Watch] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="prober", daemon=True)
        self._thread.start()

    def follow(self, name: str, *, pid: int, probe: Probe, is_ready: bool = False) -> bool:
        """Ask this process from now on; `is_ready` is what was known of a new one. Returns whether it is ready."""
        with self._lock:
            watch = self._watches.get(name)
            if watch is not None and watch.pid == pid:
                return watch.is_ready
            fresh = self._watches[name] = _Watch(pid=pid, is_ready=is_ready)
        if watch is not None:
            self._cancel(watch)
        self._loop.call_soon_threadsafe(self._begin, name, fresh, probe)
        return is_ready

    def forget(self, name: str) -> None:
        """Stop asking."""
        with self._lock:
            watch = self._watches.pop(name, None)
        if watch is not None:
            self._cancel(watch)

    def close(self) -> None:
        """End the thread."""
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _begin(self, name: str, watch: _Watch, probe: Probe) -> None:
        with self._lock:
            if self._watches.get(name) is watch:
                watch.task = self._loop.create_task(self._watch(name, watch, probe))

    def _cancel(self, watch: _Watch) -> None:
        def cancel() -> None:
            if watch.task is not None:
                watch.task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    async def _watch(self, name: str, watch: _Watch, probe: Probe) -> None:
        misses = 0
        while True:
            answer = await ask(probe)
            misses = 0 if answer else misses + 1
            is_ready = answer or (watch.is_ready and misses < probe.failures)
            if is_ready != watch.is_ready:
                watch.is_ready = is_ready
                self._changed(name)
            await asyncio.sleep(_READY_S if is_ready else _STARTING_S)
