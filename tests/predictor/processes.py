"""Real predictor processes, and the plainest of HTTP clients for them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Predictor", "Reply", "Socket", "command", "ended", "eventually", "post", "start"]


def eventually(condition: Callable[[], Any], *, timeout_s: float = 15.0) -> Any:
    """Wait until the condition holds and return what it said."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"did not come true within {timeout_s} s: {condition}")


@dataclass(frozen=True)
class Reply:
    """One HTTP reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


class Socket:
    """A connection on which bytes are sent as they are and replies are read one by one."""

    def __init__(self, port: int, *, timeout_s: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_no_more(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def read(self, *, without_body: bool = False) -> Reply:
        """The next reply; EOFError when the server has hung up instead."""
        line = self._reader.readline()
        if not line:
            raise EOFError("the server has closed the connection")
        headers: dict[str, str] = {}
        while (field := self._reader.readline()) not in {b"\r\n", b""}:
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        size = 0 if without_body else int(headers.get("content-length", 0))
        return Reply(int(line.split()[1]), headers, self._reader.read(size))

    def is_closed(self) -> bool:
        """Whether the server hangs up (waits for it)."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True


def post(path: str, body: bytes, *, headers: Mapping[str, str] | None = None, method: str = "POST") -> bytes:
    """A request as bytes."""
    fields = {"host": "digits", "content-length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


class Predictor:
    """One process."""

    def __init__(self, process: subprocess.Popen[str], stderr: Path) -> None:
        self.process = process
        self._stderr = stderr
        self.port = self._announced()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def connect(self, *, timeout_s: float = 10.0) -> Socket:
        return Socket(self.port, timeout_s=timeout_s)

    def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        with self.connect() as connection:
            connection.send(post(path, body, headers=headers, method=method))
            return connection.read(without_body=method == "HEAD")

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def send_json(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return self.call("POST", path, orjson.dumps(document), headers)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, *, timeout_s: float = 15.0) -> int:
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def _announced(self) -> int:
        assert self.process.stdout is not None
        self.greeting = line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.wait(10)
            raise AssertionError(f"it did not start: {line!r} {self.stderr}")
        return int(found[1])


def command(folder: Path, *flags: str, module: str = "turnout.predictor") -> list[str]:
    return [sys.executable, "-m", module, "--http_port=0", f"--model_dir={folder}", *flags]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without anything that an engine would have put there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "POD_"))}
    return {**inherited, **(extra or {})}


def start(
    folder: Path,
    stderr: Path,
    flags: Iterable[str],
    environment: Mapping[str, str] | None = None,
    *,
    prefix: Sequence[str] = (),
    module: str = "turnout.predictor",
) -> Predictor:
    """Start a predictor (below the command `prefix`) and wait until it answers."""
    with stderr.open("a") as errors:
        process = subprocess.Popen(
            [*prefix, *command(folder, *flags, module=module)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=clean_environment(environment),
        )
    return Predictor(process, stderr)


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that ends by itself."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False, env=clean_environment())
