"""http(s)://host/path/file: one file, or an archive that is unpacked, by KServe's initializer's rules.

A file that its name calls an archive must be sent as one (Content-Type); a single file that is gzipped is unpacked.
"""

from __future__ import annotations

import gzip
import mimetypes
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx
import orjson

from turnout.errors import Failed, InputError, NotFound, Unavailable

__all__ = ["download"]

_ZIP = ("application/x-zip-compressed", "application/zip", "application/zip-compressed")
_TAR = ("application/x-tar", "application/x-gtar", "application/x-gzip", "application/gzip")
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def download(uri: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Fetch the file into a folder, unpacked where it is an archive.

    Raises:
        InputError: the URI names no file.
        NotFound: the server has none (404).
        Failed: the server refuses, or sent something else than its name says.
        Unavailable: the server does not answer.
    """
    parts = urlsplit(uri)
    name = PurePosixPath(unquote(parts.path)).name
    if not name:
        raise InputError(f"No filename contained in URI: {uri}")
    kind, encoding = mimetypes.guess_type(name)
    expected = {"application/zip": _ZIP, "application/x-tar": _TAR}.get(kind or "", ())
    target = folder / name
    # Headers that the Secret of this host asks for (KServe's `https-host` and `headers`).
    headers = orjson.loads(environment.get(f"{parts.hostname}-headers") or "{}")
    _fetch(uri, target, headers=headers, expected=expected)
    if expected:
        _unpack(uri, target, folder)
    elif encoding == "gzip":
        _gunzip(uri, target, folder / name.removesuffix(".gz"))


def _fetch(uri: str, target: Path, *, headers: Mapping[str, str], expected: tuple[str, ...]) -> None:
    # The bytes as they are: what is stored gzipped must not be unpacked on the way.
    wanted = {"Accept-Encoding": "identity", **headers}
    try:
        with httpx.stream("GET", uri, headers=wanted, follow_redirects=True, timeout=_TIMEOUT) as reply:
            if reply.status_code == httpx.codes.NOT_FOUND:
                raise NotFound(f"URI: {uri} returned a 404 response code.")
            if reply.is_error:
                raise Failed(f"URI: {uri} returned a {reply.status_code} response code.")
            sent = reply.headers.get("content-type", "").partition(";")[0].strip()
            if expected and sent not in expected:
                raise Failed(
                    f"URI: {uri} did not respond with any of following 'Content-Type': {', '.join(expected)}; "
                    f"it was {sent or 'missing'}"
                )
            with target.open("wb") as file:
                for piece in reply.iter_raw():
                    file.write(piece)
    except httpx.InvalidURL as error:
        raise InputError(f"{uri}: {error}") from error
    except httpx.HTTPError as error:
        raise Unavailable(f"{uri}: {type(error).__name__}: {error}") from error


def _unpack(uri: str, archive: Path, folder: Path) -> None:
    """Unpack and remove an archive; a member that would leave the folder fails it."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as found:
                found.extractall(folder)  # noqa: S202 (zipfile itself keeps members inside)
        else:
            with tarfile.open(archive) as found:
                found.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise Failed(f"{uri}: cannot be unpacked: {error}") from error
    archive.unlink()


def _gunzip(uri: str, packed: Path, target: Path) -> None:
    try:
        with gzip.open(packed) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
    except (OSError, EOFError) as error:
        raise Failed(f"{uri}: cannot be unpacked: {error}") from error
    packed.unlink()
