"""skops files that are the same bytes for the same model.

What skops writes holds memory addresses (as ids and file names), the time of day (in the archive) and whatever lay in
the padding of tree nodes. None of it is part of the model. Here addresses become numbers in order of appearance,
times become 1980 and padding becomes zero; skops reads the result like its own.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

__all__ = ["dumps", "stable"]

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Equal constants may or may not be one object in memory, depending on what else ran; nothing rests on it.
_VALUES = frozenset({"JsonNode", "TypeNode"})


def dumps(estimator: Any) -> bytes:
    """A fitted estimator as skops bytes."""
    import skops.io

    return stable(skops.io.dumps(estimator))


def stable(content: bytes) -> bytes:
    """The same skops archive with everything accidental taken out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files = {name: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    renamed = _Renumbering().apply(schema)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(_entry(_SCHEMA), json.dumps(schema, separators=(",", ":")))
        for old, new in renamed.items():
            archive.writestr(_entry(new), _without_padding(files[old]) if new.endswith(".npy") else files[old])
    return out.getvalue()


class _Renumbering:
    """Replaces ids and file names in a schema, in place; `apply` returns the new name of every file."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._files: dict[str, str] = {}
        self._next = 0

    def apply(self, node: Any) -> dict[str, str]:
        if isinstance(node, list):
            for item in node:
                self.apply(item)
        elif isinstance(node, dict):
            self._rename(node)
            for item in node.values():
                self.apply(item)
        return self._files

    def _rename(self, node: dict[str, Any]) -> None:
        if "__id__" in node and "__loader__" in node:
            node["__id__"] = self._number(node["__id__"], shared=node["__loader__"] not in _VALUES)
        file = node.get("file")
        if "__loader__" in node and isinstance(file, str):
            suffix = file[file.rfind(".") :]
            node["file"] = self._files.setdefault(file, f"{len(self._files)}{suffix}")

    def _number(self, old: int, *, shared: bool) -> int:
        if shared and old in self._ids:
            return self._ids[old]
        self._next += 1
        if shared:
            self._ids[old] = self._next
        return self._next


def _entry(name: str) -> zipfile.ZipInfo:
    # Not compressed: compressors differ from machine to machine.
    return zipfile.ZipInfo(name, date_time=_EPOCH)


def _without_padding(content: bytes) -> bytes:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, dtype=array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()
