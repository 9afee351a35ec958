"""Models and snapshots by URL: `file://` (or a plain path) on a laptop, `s3://` anywhere.

Callers hold a URL and never ask which kind it is. Whatever becomes visible is whole: a file or folder is written aside
and renamed; on S3, where nothing can be renamed, each object is whole, and a folder is whole once its writer returned.
"""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from turnout import resolving
from turnout.errors import Failed, InputError, NotFound, Unavailable

__all__ = ["FileLocation", "Location", "S3Location", "at", "is_url", "join"]

_SCHEMES = ("file", "s3")


class Location(Protocol):
    """One place: a file or a folder of files, there or not yet."""

    def exists(self) -> bool:
        """Whether there is a file, or a folder with something in it."""

    def read_bytes(self) -> bytes:
        """The content of the file; NotFound without one."""

    def write_bytes(self, data: bytes) -> None:
        """Write the file, or replace it."""

    def upload_folder(self, folder: Path) -> None:
        """Make this place a copy of a local folder; what was here before is replaced."""

    def download_folder(self, folder: Path) -> None:
        """Make a local folder a copy of this place; NotFound when nothing is here."""

    def names(self) -> list[str]:
        """The files below this place, as paths from here, in order; none where nothing is."""

    def download_file(self, file: Path) -> None:
        """Copy the file that is here; NotFound without one."""

    def remove_file(self) -> None:
        """Remove the file that is here, if there is one."""


def at(url: str) -> Location:
    """The place that a URL names.

    Raises:
        InputError: the URL has another scheme than file or s3, or lacks its bucket.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES and "://" in url:
        raise InputError(f"{url}: storage is file://... or s3://bucket/..., found {parts.scheme}://")
    if parts.scheme == "s3":
        if not parts.netloc:
            raise InputError(f"{url}: an s3 address names a bucket first, as in s3://bucket/key")
        return S3Location(parts.netloc, unquote(parts.path).strip("/"))
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"}:
            raise InputError(
                f"{url}: a file address has three slashes, as in file:///folder, found host {parts.netloc}"
            )
        return FileLocation(Path(unquote(parts.path)))
    if not url:
        raise InputError("an empty address names no place")
    return FileLocation(Path(url).absolute())


def is_url(text: str) -> bool:
    """Whether a text is an address with a scheme, not a path."""
    return "://" in text


def join(url: str, *names: str) -> str:
    """The URL of something below `url`."""
    return "/".join((url.rstrip("/"), *(name.strip("/") for name in names)))


@dataclass(frozen=True)
class FileLocation:
    """A place in the file system."""

    path: Path

    def exists(self) -> bool:
        """Whether there is a file, or a folder with something in it."""
        return any(self.path.iterdir()) if self.path.is_dir() else self.path.exists()

    def read_bytes(self) -> bytes:
        """The content of the file.

        Raises:
            NotFound: there is no such file.
        """
        try:
            return self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"{self.path}: no such file") from error

    def write_bytes(self, data: bytes) -> None:
        """Write aside, then rename, so that a reader sees the old content or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = _aside(self.path)
        aside.write_bytes(data)
        aside.replace(self.path)

    def upload_folder(self, folder: Path) -> None:
        """Make this place a copy of a local folder."""
        _replace_folder(folder, self.path)

    def download_folder(self, folder: Path) -> None:
        """Make a local folder a copy of this place.

        Raises:
            NotFound: there is no such folder.
        """
        if not self.path.is_dir():
            raise NotFound(f"{self.path}: no such folder")
        _replace_folder(self.path, folder)

    def names(self) -> list[str]:
        """The files below this place, as paths from here, in order."""
        return [path.relative_to(self.path).as_posix() for path in _files(self.path)]

    def download_file(self, file: Path) -> None:
        """Copy the file that is here.

        Raises:
            NotFound: there is no such file.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(self.path, file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"{self.path}: no such file") from error

    def remove_file(self) -> None:
        """Remove the file that is here, and its folder if nothing else is in it."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.parent.rmdir()


@dataclass(frozen=True)
class S3Location:
    """An object, or all objects below a key. Where and who: AWS_ENDPOINT_URL, AWS_REGION and the AWS_* credentials."""

    bucket: str
    key: str

    def exists(self) -> bool:
        """Whether there is such an object, or one below this key."""
        return any(True for _ in self._names())

    def read_bytes(self) -> bytes:
        """The content of the object.

        Raises:
            NotFound: there is no such object.
        """
        with _translated(str(self)):
            response = _client().get_object(self.bucket, self.key)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def write_bytes(self, data: bytes) -> None:
        """Write the object, or replace it."""
        with _translated(str(self)):
            _client().put_object(self.bucket, self.key, io.BytesIO(data), len(data))

    def upload_folder(self, folder: Path) -> None:
        """Write an object for each file, then remove objects below this key that the folder does not have."""
        old = set(self._names())
        prefix = f"{self.key}/" if self.key else ""
        files = {f"{prefix}{path.relative_to(folder).as_posix()}": path for path in _files(folder)}
        client = _client()
        with _translated(str(self)):
            for key, path in files.items():
                client.fput_object(self.bucket, key, str(path))
            for key in sorted(old - set(files)):
                client.remove_object(self.bucket, key)

    def download_folder(self, folder: Path) -> None:
        """Make a local folder a copy of the objects below this key.

        Raises:
            NotFound: there are none.
        """
        aside = _aside(folder)
        names = [name for name in self._names() if name != self.key]
        if not names:
            raise NotFound(f"{self}: no such folder")
        client = _client()
        with _translated(str(self)):
            for name in names:
                client.fget_object(self.bucket, name, str(aside / name.removeprefix(f"{self.key}/")))
        _put_in_place(aside, folder)

    def names(self) -> list[str]:
        """The objects below this key, as paths from here, in order."""
        below = f"{self.key}/" if self.key else ""
        return sorted(name.removeprefix(below) for name in self._names() if name != self.key)

    def download_file(self, file: Path) -> None:
        """Copy the object that is here, a part at a time.

        Raises:
            NotFound: there is no such object.
        """
        with _translated(str(self)):
            _client().fget_object(self.bucket, self.key, str(file))

    def remove_file(self) -> None:
        """Remove the object that is here."""
        with _translated(str(self)):
            _client().remove_object(self.bucket, self.key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def _names(self) -> Iterator[str]:
        """Keys of the object itself and of everything below it (not of neighbours that begin with the same letters)."""
        with _translated(str(self)):
            for found in _client().list_objects(self.bucket, prefix=self.key, recursive=True):
                if found.object_name == self.key or not self.key or found.object_name.startswith(f"{self.key}/"):
                    yield str(found.object_name)


def _client(environment: Mapping[str, str] = os.environ) -> Any:
    import urllib3
    from minio import Minio
    from minio.credentials import providers

    resolving.teach()
    endpoint = urlsplit(environment.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60),
        retries=urllib3.Retry(2, backoff_factor=0.2, status_forcelist=[503]),
    )
    return Minio(
        endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=environment.get("AWS_REGION") or None,
        credentials=providers.ChainedProvider([providers.EnvAWSProvider(), providers.IamAwsProvider()]),
        http_client=pool,
    )


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """The one place where the client's exceptions become ours."""
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        if error.code in {"NoSuchKey", "NoSuchBucket"}:
            raise NotFound(f"{place}: {error.code}") from error
        raise Failed(f"{place}: the object store refused: {error.code}: {error.message}") from error
    except (HTTPError, MinioException) as error:
        raise Unavailable(f"{place}: the object store does not answer: {error}") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _aside(path: Path) -> Path:
    """A name beside `path`, on the same file system, that nobody else takes."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def _replace_folder(source: Path, target: Path) -> None:
    aside = _aside(target)
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, aside)
    _put_in_place(aside, target)


def _put_in_place(aside: Path, target: Path) -> None:
    """Rename a finished folder over another one; an old one leaves first, because folders cannot be replaced."""
    if target.exists():
        old = _aside(target)
        target.rename(old)
        aside.rename(target)
        shutil.rmtree(old)
    else:
        aside.rename(target)
