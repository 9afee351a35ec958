"""A ledger of forty lines: keeps events by id, and notices when a watermark was promised too early."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

__all__ = ["TOKEN", "FakeLedger"]

TOKEN = "a-token"


class FakeLedger:
    """Answers `POST /v1/events` on loopback. Set `status` to break it, `reject` to refuse single records."""

    def __init__(self, port: int = 0) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.arrivals: Counter[str] = Counter()
        self.posts: list[dict[str, Any]] = []
        self.late: list[str] = []
        self.withdrawn: set[str] = set()
        self.status = 200
        self.answer: bytes | None = None
        self.reject: set[str] = set()
        self.closed = False
        self.poison = b""  # a batch that contains this is refused as a whole
        self._watermarks: dict[str, int] = {}
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self.held = 0  # posts that wait for `release`
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and hang up on those who are connected when they next ask."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def last(self) -> dict[str, Any]:
        with self._lock:
            return self.posts[-1] if self.posts else {}

    def is_final(self) -> bool:
        return bool(self.last().get("final"))

    def hold(self) -> None:
        """Answer nobody until `release`, as a ledger does that hangs."""
        self._going.clear()

    def release(self) -> None:
        self._going.set()
        self.held = 0

    def wait(self, body: bytes) -> None:
        if not self._going.is_set() and b'"events":[]' not in body:
            self.held += 1
            self._going.wait(20.0)

    def take(self, body: bytes) -> tuple[int, bytes]:
        with self._lock:
            if self.status != 200 or self.answer is not None:
                return self.status, self.answer or b'{"title": "no"}'
            if self.poison and self.poison in body:
                return 422, b'{"title": "poison"}'
            return 200, self._keep(orjson.loads(body))

    def _keep(self, post: dict[str, Any]) -> bytes:
        rejected = []
        for index, event in enumerate(post["events"]):
            if event["id"] in self.reject:
                rejected.append({"index": index, "id": event["id"], "reason": "not wanted"})
                continue
            self.arrivals[event["id"]] += 1
            if event["id"] not in self.events and event["time_us"] <= self._watermarks.get(post["log"], 0):
                self.late.append(event["id"])
            self.events[event["id"]] = event
        self.withdrawn |= set(post.get("withdrawn", ()))
        self._watermarks[post["log"]] = max(self._watermarks.get(post["log"], 0), post["watermark_us"])
        self.posts.append({**post, "events": len(post["events"])})
        return orjson.dumps({"accepted": len(post["events"]) - len(rejected), "duplicates": 0, "rejected": rejected})


def _handler(ledger: FakeLedger) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if ledger.closed:
                self.close_connection = True
                return
            if self.headers["authorization"] != f"Bearer {TOKEN}":
                self._reply(401, b"{}")
            elif self.path != "/v1/events":
                self._reply(404, b"{}")
            else:
                ledger.wait(body)
                self._reply(*ledger.take(body))

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    return Handler
