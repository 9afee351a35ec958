"""Which path answers what. Paths are few and known, so finding one is a look into a dictionary."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

import turnout
from turnout.predictor import metrics
from turnout.predictor.artifact import Signature
from turnout.predictor.batching import Batcher
from turnout.predictor.calls import Dialect
from turnout.predictor.inference import JSON, error_body
from turnout.predictor.served import Served

__all__ = ["EXTENSIONS", "Act", "Infer", "Page", "Read", "Route", "Routes", "metadata", "problem"]

EXTENSIONS = ("binary_tensor_data", "model_repository")
_MODEL_PATH = re.compile(rb"/v[12]/models/([^/:]+)(?:/versions/([^/]+))?")


@dataclass(frozen=True)
class Page:
    """A reply that is no prediction; without a version it is the server's own."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    version: bytes = b""


@dataclass(frozen=True)
class Read:
    """A path that is read with GET or HEAD."""

    page: Callable[[], Page]
    allow = b"GET, HEAD"


@dataclass(frozen=True)
class Infer:
    """A path that is posted to, in one protocol, under one of a version's names; `query` reads a GET's query."""

    dialect: Dialect
    model: str
    batcher: Batcher
    query: Dialect | None = None

    @property
    def allow(self) -> bytes:
        return b"GET, POST" if self.query else b"POST"


@dataclass(frozen=True)
class Act:
    """A path that is posted to in order to change something, or to list it; the body is handed over."""

    run: Callable[[bytes], Awaitable[Page]]
    allow = b"POST"


Route = Read | Infer | Act


class Routes:
    """The table of one server; `show` fills it anew whenever versions come or go."""

    def __init__(
        self,
        *,
        is_ready: Callable[[], bool],
        metrics_text: Callable[[], str],
        openapi: Callable[[], bytes],
        acts: Mapping[str, Callable[[bytes], Awaitable[Page]]],
        named_act: Callable[[bytes], Callable[[bytes], Awaitable[Page]] | None],
    ) -> None:
        """`acts` are calls by path; `named_act` knows those whose paths hold a name that need not be known yet."""
        self._is_ready = is_ready
        self._named_act = named_act
        self._always: dict[bytes, Route] = {
            b"/": Read(_fixed({"status": "alive"})),
            b"/v2": Read(_fixed({"name": "turnout", "version": turnout.__version__, "extensions": EXTENSIONS})),
            b"/v2/health/live": Read(_fixed({"live": True})),
            b"/v2/health/ready": Read(lambda: self._readiness({})),
            b"/metrics": Read(lambda: Page(200, metrics_text().encode(), metrics.CONTENT_TYPE)),
            b"/openapi.json": Read(lambda: Page(200, openapi())),
            **{path.encode(): Act(run) for path, run in acts.items()},
        }
        self._names: tuple[str, ...] = ()
        self._table = self._always

    def show(self, versions: Iterable[Served]) -> None:
        """Offer these versions; the first one answers for its endpoint's name without a version."""
        table = dict(self._always)
        names: dict[str, list[Served]] = {}
        for served in versions:
            for name in served.names:
                names.setdefault(name, []).append(served)
        listed = _fixed({"models": list(names)})
        table |= {b"/v1/models": Read(listed), b"/v2/models": Read(listed)}
        for name, found in names.items():
            self._add(table, f"/v2/models/{name}", name, found[0], versions=[served.version for served in found])
            self._add_v1(table, f"/v1/models/{name}", name, found[0])
            for served in found:
                path = f"/v2/models/{name}/versions/{served.version}"
                self._add(table, path, name, served, versions=[served.version])
        self._names = tuple(names)
        self._table = table

    def find(self, url: bytes) -> Route | None:
        """What a request target means; None when nothing is there."""
        found = self._table.get(url)
        if found is not None:
            return found
        path = _normal(url.partition(b"?")[0])
        found = self._table.get(path)
        if found is None and path.startswith(b"/v2/repository/"):
            run = self._named_act(path)
            found = Act(run) if run is not None else None
        return found

    def not_found(self, url: bytes) -> Page:
        """Say what there is instead."""
        path = _normal(url.partition(b"?")[0])
        model = _MODEL_PATH.match(path)
        if model is None:
            return problem(404, f"path {path[:200].decode(errors='replace')!r}: not found")
        name = model[1].decode(errors="replace")
        if name not in self._names:
            return problem(404, f"model {name[:80]!r}: not found; this server has {', '.join(self._names)}")
        version = (model[2] or b"").decode(errors="replace")
        known = [known.rpartition(b"/")[2].decode() for known in self._versions(name)]
        if version and version not in known:
            return problem(404, f"version {version[:80]!r} of {name}: not found; this server has {', '.join(known)}")
        return problem(404, f"path {path[:200].decode(errors='replace')!r}: not found")

    def _versions(self, name: str) -> list[bytes]:
        prefix = f"/v2/models/{name}/versions/".encode()
        return [path for path in self._table if path.startswith(prefix) and b"/" not in path[len(prefix) :]]

    def _add(self, table: dict[bytes, Route], path: str, name: str, served: Served, *, versions: list[str]) -> None:
        """The paths of V2, with and without a version."""
        table |= {
            path.encode(): Read(_fixed(metadata(name, served, versions))),
            f"{path}/ready".encode(): Read(lambda: self._readiness({"name": name})),
            f"{path}/infer".encode(): Infer(served.v2, name, served.batcher),
        }

    def _add_v1(self, table: dict[bytes, Route], path: str, name: str, served: Served) -> None:
        table |= {
            path.encode(): Read(lambda: self._readiness({"name": name})),
            f"{path}:predict".encode(): Infer(served.v1, name, served.batcher, query=served.v1_query),
            f"{path}:explain".encode(): Act(_no_explainer),
        }

    def _readiness(self, about: Mapping[str, Any]) -> Page:
        ready = self._is_ready()
        return Page(200 if ready else 503, orjson.dumps({**about, "ready": ready}))


def problem(status: int, message: str, *headers: tuple[bytes, bytes]) -> Page:
    """A page that says what is wrong."""
    return Page(status, error_body(message), headers=headers)


def metadata(name: str, served: Served, versions: list[str]) -> dict[str, Any]:
    """What V2 says about a model: the signature that it really has."""
    manifest = served.manifest
    return {
        "name": name,
        "versions": versions,
        "platform": manifest.platform,
        "inputs": [_described(signature) for signature in manifest.inputs],
        "outputs": [_described(signature) for signature in manifest.outputs],
        "parameters": {"task": manifest.task, "features": manifest.features, "labels": manifest.labels},
    }


async def _no_explainer(_: bytes) -> Page:
    return problem(501, "explain: this server has no explainer")


def _fixed(document: Mapping[str, Any]) -> Callable[[], Page]:
    page = Page(200, orjson.dumps(document))
    return lambda: page


def _normal(path: bytes) -> bytes:
    """Some clients write the colon of `:predict` as %3A; proxies may name the host before the path."""
    if path.startswith((b"http://", b"https://")):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return unquote_to_bytes(path) if b"%" in path else path


def _described(signature: Signature) -> dict[str, Any]:
    return {"name": signature.name, "datatype": signature.datatype, "shape": signature.shape}
