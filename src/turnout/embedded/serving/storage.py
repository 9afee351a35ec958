"""Where a model's files are on this machine: file:// folders, and pvc:// names as folders under the engine's home."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from turnout.errors import InputError, NotFound

__all__ = ["KNOWN_TO_KSERVE", "SERVED", "locate", "scheme_of"]

SERVED = ("file", "pvc")
KNOWN_TO_KSERVE = frozenset(
    {"gs", "s3", "pvc", "file", "https", "http", "hdfs", "webhdfs", "oci", "oci+native", "oci+fetch", "hf", ""}
)


def scheme_of(uri: str) -> str:
    """The part before `://`; empty without one."""
    return uri.partition("://")[0] if "://" in uri else ""


def locate(uri: str, *, volumes: Path) -> Path:
    """The folder (or file) that a storageUri names.

    Raises:
        NotFound: nothing is there; the message names the place.
        InputError: another scheme, or a path that leaves its volume.
    """
    path = _path(uri, volumes)
    if not path.exists():
        raise NotFound(f"{uri}: no such folder: {path}")
    return path


def _path(uri: str, volumes: Path) -> Path:
    scheme, rest = scheme_of(uri), uri.partition("://")[2]
    if scheme == "file":
        path = Path(urllib.parse.unquote(rest))
        if not path.is_absolute():
            raise InputError(f"{uri}: a file:// URI needs an absolute path")
        return path
    if scheme == "pvc":
        path = (volumes / urllib.parse.unquote(rest)).resolve()
        if not path.is_relative_to(volumes.resolve()):
            raise InputError(f"{uri}: the path leaves its volume")
        return path
    raise InputError(f"{uri}: scheme {scheme or 'none'} is not served here; there are {', '.join(SERVED)}")
