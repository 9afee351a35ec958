"""An object store in memory that speaks as much S3 as the client needs: put, get, head, delete, list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

__all__ = ["Store", "known_to", "serve"]

_LISTED = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-21T00:00:00.000Z</LastModified>"
    '<ETag>"{etag}"</ETag><Size>{size}</Size></Contents>'
)


@dataclass
class Store:
    """What is stored, by `bucket/key`, and which answer to give instead of the right one."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=lambda: {"models"})
    refuse: str | None = None


@contextmanager
def serve() -> Iterator[Store]:
    """A store on a free port of loopback."""
    store = Store()

    class Handler(_Handler):
        held = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def known_to(environment: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that the environment names as the one to use."""
    with serve() as store:
        environment.setenv("AWS_ENDPOINT_URL", store.url)
        environment.setenv("AWS_REGION", "eu-central-1")
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield store


class _Handler(BaseHTTPRequestHandler):
    held: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._may():
            self.held.objects[self._name()] = body
            self._answer(200, b"", etag=hashlib.md5(body, usedforsecurity=False).hexdigest())

    def do_DELETE(self) -> None:
        if self._may():
            self.held.objects.pop(self._name(), None)
            self._answer(204, b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if not self._may():
            return
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "location" in query:
            self._answer(200, b"<LocationConstraint/>")
        elif "list-type" in query:
            self._answer(200, self._listing(query.get("prefix", [""])[0]))
        elif (body := self.held.objects.get(self._name())) is None:
            self._refuse(404, "NoSuchKey")
        else:
            self._answer(200, body, etag=hashlib.md5(body, usedforsecurity=False).hexdigest())

    def _may(self) -> bool:
        if self.held.refuse:
            self._refuse(403, self.held.refuse)
        elif self._name().split("/")[0] not in self.held.buckets:
            self._refuse(404, "NoSuchBucket")
        else:
            return True
        return False

    def _listing(self, prefix: str) -> bytes:
        bucket = self._name().split("/")[0]
        keys = sorted(name.split("/", 1)[1] for name in self.held.objects if name.startswith(f"{bucket}/{prefix}"))
        rows = (
            _LISTED.format(key=escape(key), etag="0" * 32, size=len(self.held.objects[f"{bucket}/{key}"]))
            for key in keys
        )
        return f"<ListBucketResult><Name>{bucket}</Name>{''.join(rows)}</ListBucketResult>".encode()

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    def _answer(self, status: int, body: bytes, *, etag: str = "0" * 32) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")
