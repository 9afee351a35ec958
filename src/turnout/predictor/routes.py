"""Which path answers what. Paths are few and known at start, so finding one is a look into a dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

import turnout
from turnout.predictor import metrics
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.calls import Dialect
from turnout.predictor.inference import error_body
from turnout.predictor.responses import JSON

__all__ = ["Infer", "Page", "Read", "Routes"]

_MODEL_PATH = re.compile(rb"/v[12]/models/([^/:]+)")


@dataclass(frozen=True)
class Page:
    """A reply that is no prediction."""

    status: int
    body: bytes
    content_type: bytes = JSON


@dataclass(frozen=True)
class Read:
    """A path that is read with GET or HEAD."""

    page: Callable[[], Page]
    allow = b"GET, HEAD"


@dataclass(frozen=True)
class Infer:
    """A path that is posted to, in one protocol, under one of the model's names."""

    dialect: Dialect
    model: str
    allow = b"POST"


class Routes:
    """The table of one server."""

    def __init__(
        self,
        *,
        names: tuple[str, ...],
        version: str,
        manifest: Manifest,
        v1: Dialect,
        v2: Dialect,
        is_ready: Callable[[], bool],
        metrics_text: Callable[[], str],
    ) -> None:
        self._names = names
        self._is_ready = is_ready
        self._table: dict[bytes, Read | Infer] = {
            b"/": Read(_fixed({"status": "alive"})),
            b"/v1/models": Read(_fixed({"models": list(names)})),
            b"/v2": Read(_fixed({"name": "turnout", "version": turnout.__version__, "extensions": []})),
            b"/v2/health/live": Read(_fixed({"live": True})),
            b"/v2/health/ready": Read(lambda: self._readiness({})),
            b"/metrics": Read(lambda: Page(200, metrics_text().encode(), metrics.CONTENT_TYPE)),
        }
        for name in names:
            self._add_model(name, _metadata(name, version, manifest), v1, v2)

    def find(self, url: bytes) -> Read | Infer | None:
        """What a request target means; None when nothing is there."""
        path = url.partition(b"?")[0]
        found = self._table.get(path)
        if found is None and b"%" in path:  # some clients write the colon of `:predict` as %3A
            found = self._table.get(unquote_to_bytes(path))
        return found

    def not_found(self, url: bytes) -> Page:
        """Say what there is instead."""
        path = unquote_to_bytes(url.partition(b"?")[0])
        model = _MODEL_PATH.match(path)
        if model and model[1].decode(errors="replace") not in self._names:
            name = model[1].decode(errors="replace")[:80]
            return Page(404, error_body(f"model {name!r}: not found; this server has {', '.join(self._names)}"))
        return Page(404, error_body(f"path {path[:200].decode(errors='replace')!r}: not found"))

    def _add_model(self, name: str, metadata: Mapping[str, Any], v1: Dialect, v2: Dialect) -> None:
        self._table |= {
            f"/v1/models/{name}".encode(): Read(lambda: self._readiness({"name": name})),
            f"/v1/models/{name}:predict".encode(): Infer(v1, name),
            f"/v2/models/{name}".encode(): Read(_fixed(metadata)),
            f"/v2/models/{name}/ready".encode(): Read(lambda: self._readiness({"name": name})),
            f"/v2/models/{name}/infer".encode(): Infer(v2, name),
        }

    def _readiness(self, about: Mapping[str, Any]) -> Page:
        ready = self._is_ready()
        return Page(200 if ready else 503, orjson.dumps({**about, "ready": ready}))


def _fixed(document: Mapping[str, Any]) -> Callable[[], Page]:
    page = Page(200, orjson.dumps(document))
    return lambda: page


def _metadata(name: str, version: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": name,
        "versions": [version],
        "platform": "onnx_onnxv1",
        "inputs": [_described(signature) for signature in manifest.inputs],
        "outputs": [_described(signature) for signature in manifest.outputs],
        "parameters": {"task": manifest.task, "features": manifest.features, "labels": manifest.labels},
    }


def _described(signature: Signature) -> dict[str, Any]:
    return {"name": signature.name, "datatype": signature.datatype, "shape": signature.shape}
