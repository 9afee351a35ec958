"""s3://bucket/prefix: the object of that name, or all objects below it, as KServe's initializer chooses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from turnout.errors import Failed, InputError, NotFound, Unavailable

__all__ = ["download"]

_AMAZON = "https://s3.amazonaws.com"
_ON = frozenset({"1", "true", "True"})


def download(uri: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Copy the objects into a folder, each under its name below the prefix.

    Raises:
        InputError: the URI names no bucket.
        NotFound: there is no such object or prefix.
        Failed: the object store refuses.
        Unavailable: it does not answer.
    """
    parts = urlsplit(uri)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not bucket:
        raise InputError(f"{uri}: names no bucket")
    count = 0
    with _translated(uri):
        client = _client(environment)
        for found in client.list_objects(bucket, prefix=prefix, recursive=True):
            name = _below(prefix, found.object_name)
            if name:
                client.fget_object(bucket, found.object_name, str(_inside(folder, name)))
                count += 1
    if not count:
        raise NotFound(f"Failed to fetch model. No model found in {bucket}/{prefix}.")


def _below(prefix: str, key: str) -> str:
    """The file that an object becomes; none for folders, and for neighbours that begin with the same letters."""
    if key.endswith("/"):
        return ""
    if key == prefix:
        return PurePosixPath(key).name
    return key.removeprefix(f"{prefix}/") if not prefix or key.startswith(f"{prefix}/") else ""


def _inside(folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(f"object {name!r} would leave the model's folder")
    return target


def _client(environment: Mapping[str, str]) -> Any:
    import certifi
    import urllib3
    from minio import Minio
    from minio.credentials import providers

    endpoint = urlsplit(environment.get("AWS_ENDPOINT_URL") or _AMAZON)
    verified = environment.get("S3_VERIFY_SSL", "1") in _ON
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60),
        retries=urllib3.Retry(2, backoff_factor=0.2, status_forcelist=[503]),
        cert_reqs="CERT_REQUIRED" if verified else "CERT_NONE",
        ca_certs=(environment.get("AWS_CA_BUNDLE") or certifi.where()) if verified else None,
    )
    anonymous = environment.get("awsAnonymousCredential", "") in _ON or "AWS_ACCESS_KEY_ID" not in environment
    client = Minio(
        endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION") or None,
        credentials=None if anonymous else providers.EnvAWSProvider(),
        http_client=pool,
    )
    if environment.get("S3_USER_VIRTUAL_BUCKET", "") in _ON:
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """The one place where the client's exceptions become ours."""
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchBucket"):
            raise NotFound(f"{uri}: {error.code}") from error
        raise Failed(f"{uri}: the object store refused: {error.code}: {error.message}") from error
    except ValueError as error:  # a name that no bucket can have
        raise InputError(f"{uri}: {error}") from error
    except (HTTPError, MinioException) as error:
        raise Unavailable(f"{uri}: the object store does not answer: {error}") from error
