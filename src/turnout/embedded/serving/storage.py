"""Where a model's files are: on this machine (file://, pvc://, our own bucket), or somewhere to be brought from."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import InputError

__all__ = ["KNOWN_TO_KSERVE", "OWN_BUCKET", "REMOTE", "SERVED", "Places", "is_own", "locate", "scheme_of"]

REMOTE = frozenset({"s3", "http", "https"})  # brought by an initializer
SERVED = ("file", "pvc", "s3", "http", "https")
KNOWN_TO_KSERVE = frozenset(
    {"gs", "s3", "pvc", "file", "https", "http", "hdfs", "webhdfs", "oci", "oci+native", "oci+fetch", "hf", ""}
)
OWN_BUCKET = "turnout"  # the object store of a cluster's Turnout; on a laptop the engine's own folder


@dataclass(frozen=True)
class Places:
    """Folders that URIs may name: `volumes` holds one per pvc://, `artifacts` is s3://turnout/."""

    volumes: Path
    artifacts: Path


def scheme_of(uri: str) -> str:
    """The part before `://`; empty without one."""
    return uri.partition("://")[0] if "://" in uri else ""


def is_own(uri: str) -> bool:
    """Whether a URI names our own bucket, so that one manifest serves on a laptop and on a cluster."""
    return uri == f"s3://{OWN_BUCKET}" or uri.startswith(f"s3://{OWN_BUCKET}/")


def locate(uri: str, places: Places) -> Path:
    """The folder (or file) on this machine that a URI names, there or not.

    Raises:
        InputError: a path that is relative or leaves its volume, or a scheme that is not served.
    """
    scheme, rest = scheme_of(uri), urllib.parse.unquote(uri.partition("://")[2])
    if scheme == "file":
        if not (path := Path(rest)).is_absolute():
            raise InputError(f"{uri}: a file:// URI needs an absolute path")
        return path
    if scheme == "pvc":
        return _inside(places.volumes, rest, uri)
    if is_own(uri):
        return _inside(places.artifacts, rest.removeprefix(OWN_BUCKET).lstrip("/"), uri)
    raise InputError(f"{uri}: scheme {scheme or 'none'} is not served here; there are {', '.join(SERVED)}")


def _inside(folder: Path, name: str, uri: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{uri}: the path leaves its volume")
    return path
