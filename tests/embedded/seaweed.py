"""A real S3 server for tests: SeaweedFS, one process on loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

from tests.embedded.running import eventually
from turnout.embedded.supervision import ports

__all__ = ["ObjectStore", "serve"]

_KEY, _SECRET = "key", "secret"
_PARTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(frozen=True)
class ObjectStore:
    """Where it listens and who may enter."""

    endpoint: str
    access_key: str = _KEY
    secret_key: str = _SECRET

    def client(self, *, patience_s: float = 20.0) -> Minio:
        # A server that is still starting keeps a caller waiting for ever.
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(patience_s), retries=False)
        return Minio(self.endpoint, self.access_key, self.secret_key, secure=False, http_client=pool)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[ObjectStore]:
    """A store with one identity that may do everything; others are refused."""
    identity = {"name": "t", "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    chosen: dict[str, int] = {}
    for name in (*_PARTS, *(f"{part}.grpc" for part in _PARTS)):
        chosen[name] = ports.choose(avoid=chosen.values())
    command = [
        *(str(Path(sys.executable).parent / "weed"), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-master.volumeSizeLimitMB=64", "-volume.max=4"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-iam=false"),  # these have fixed ports
        *(f"-{name}={port}" for name, port in chosen.items()),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        found = ObjectStore(f"127.0.0.1:{chosen['s3.port']}")
        eventually(lambda: process.poll() is not None or _has_bucket(found), within_s=60.0)
        assert process.poll() is None, (folder / "weed.log").read_text()[-2000:]
        yield found
    finally:
        process.kill()
        process.wait()


def _has_bucket(store: ObjectStore) -> bool:
    """Make a bucket and write into it: then all parts of the server are there."""
    client = store.client(patience_s=2.0)
    with contextlib.suppress(MinioException, urllib3.exceptions.HTTPError):  # not yet up, or not all of it
        if not client.bucket_exists("models"):
            client.make_bucket("models")
        client.fput_object("models", "probe", __file__)
        return True
    return False
