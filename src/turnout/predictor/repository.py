"""The model repository calls of V2: which versions a process serves, and loading and unloading those beside its own.

The version that a process was started for stays: whoever can reach the port could otherwise take the service away.
Others come from the folder that --repository names, one subfolder per version and named after it, and only on a server
that was told to have one. A version never changes: to load again what is loaded is no change, to load another artifact
under its name is refused until it is unloaded.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson

from turnout.errors import Conflict, InputError, NotFound, TurnoutError
from turnout.predictor import artifact
from turnout.predictor.inference import error_body
from turnout.predictor.metrics import Sheets
from turnout.predictor.routes import Page, Routes
from turnout.predictor.served import Served, Serving, serve_version

__all__ = ["Repository"]

_FINISH_S = 5.0


class Repository:
    """The versions of one process; the first is the one that it was started for."""

    def __init__(self, main: Served, serving: Serving, *, folder: Path | None, workers: int) -> None:
        self.served = {main.version: main}
        self.main = main
        self._serving = serving
        self._folder = folder
        self._workers = workers
        self._routes: Routes | None = None
        self._digests: dict[str, str] = {}
        self._changing = asyncio.Lock()

    def show_on(self, routes: Routes) -> None:
        """Keep these routes up to date."""
        self._routes = routes
        routes.show(self.served.values())

    def acts(self) -> dict[str, Callable[[bytes], Awaitable[Page]]]:
        """The calls without a name in their path."""
        return {"/v2/repository/index": self._index}

    def named_act(self, path: bytes) -> Callable[[bytes], Awaitable[Page]] | None:
        """`/v2/repository/models/{name}/load` or `/unload`: the name need not be known yet."""
        parts = path.decode("latin-1").split("/")
        if len(parts) != 6 or parts[:4] != ["", "v2", "repository", "models"] or parts[5] not in {"load", "unload"}:
            return None
        name, change = parts[4], self._load if parts[5] == "load" else self._unload

        async def act(_: bytes) -> Page:
            try:
                async with self._changing:
                    await change(name)
            except TurnoutError as error:
                return Page(error.status, error_body(str(error)))
            return Page(200, orjson.dumps({"name": name, parts[5]: True}))

        return act

    @property
    def last_request_s(self) -> float:
        """When somebody last asked for a prediction (perf_counter)."""
        return max(served.batcher.last_request_s for served in self.served.values())

    def pulse(self) -> None:
        """Called several times a second: look after the logs, and tell the other workers about them."""
        for served in self.served.values():
            served.recording.pulse()
            if self._workers > 1:
                served.mirror()

    def close(self, *, timeout_s: float) -> None:
        """End every log; nobody may wait any more."""
        for served in self.served.values():
            _finish(served, timeout_s=timeout_s)

    def find(self, name: str, version: str = "") -> Served:
        """The version that a name stands for.

        Raises:
            NotFound: no such name, or no such version of it.
        """
        found = [served for served in self.served.values() if name in served.names]
        if not found:
            names = ", ".join(dict.fromkeys(known for served in self.served.values() for known in served.names))
            raise NotFound(f"model {name[:80]!r}: not found; this server has {names}")
        for served in found:
            if version in {"", served.version}:
                return served
        known = ", ".join(served.version for served in found)
        raise NotFound(f"version {version[:80]!r} of {name}: not found; this server has {known}")

    def versions_of(self, name: str, version: str = "") -> list[str]:
        """The versions that a name stands for, or the one that is asked for."""
        return [one.version for one in self.served.values() if name in one.names and version in {"", one.version}]

    async def _index(self, body: bytes) -> Page:
        try:
            asked = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as error:
            return Page(400, error_body(f"body: not JSON: {error}"))
        states = dict.fromkeys(self.served, "READY")
        if not (isinstance(asked, dict) and asked.get("ready")):
            states = dict.fromkeys(self._loadable(), "UNAVAILABLE") | states
        listed = [{"name": name, "version": name, "state": state, "reason": ""} for name, state in states.items()]
        return Page(200, orjson.dumps(listed))

    def _loadable(self) -> list[str]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(path.parent.name for path in self._folder.glob(f"*/{artifact.MANIFEST}"))

    async def _load(self, name: str) -> None:
        if name == self.main.version:
            return
        folder = self._folder_of(name)
        digest = await asyncio.to_thread(_digest, folder)
        if name in self.served:
            if self._digests[name] != digest:
                raise Conflict(f"model {name}: a version never changes: wanted {self._digests[name]}, found {digest}")
            return
        model = await asyncio.to_thread(self._serving.load, folder, digest=digest)
        identity = replace(self.main.identity, version=name)
        served = serve_version(model, identity, self._serving, sheets=Sheets(), is_main=False)
        served.recording.start()
        self._digests[name] = digest
        self.served[name] = served
        self._show()

    async def _unload(self, name: str) -> None:
        if name == self.main.version:
            raise Conflict(f"model {name}: this process was started for it; end the process instead")
        self._folder_of(name)
        served = self.served.pop(name, None)
        if served is None:
            return
        self._show()
        while not served.batcher.is_idle:  # noqa: ASYNC110 - seldom, and not worth an event on the hot path
            await asyncio.sleep(0.01)
        _finish(served, timeout_s=_FINISH_S)

    def _folder_of(self, name: str) -> Path:
        if self._workers > 1:
            raise Conflict(f"this server has {self._workers} workers, which all serve what they were started with")
        if self._folder is None:
            raise Conflict("this server was started without --repository: it serves one version")
        if name not in self._loadable() and name not in self.served:
            raise NotFound(f"model {name[:80]!r}: not found in the repository; it has {', '.join(self._loadable())}")
        return self._folder / name

    def _show(self) -> None:
        assert self._routes is not None
        self._routes.show(self.served.values())


def _finish(served: Served, *, timeout_s: float) -> None:
    served.batcher.close()
    served.recording.finish(timeout_s=timeout_s)


def _digest(folder: Path) -> str:
    try:
        return f"sha256:{hashlib.sha256((folder / artifact.MANIFEST).read_bytes()).hexdigest()}"
    except OSError as error:
        raise InputError(f"{folder / artifact.MANIFEST}: cannot be read: {error.strerror}") from error
