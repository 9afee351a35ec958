"""A model server that is none: the runtime of the engine's tests, so that they need no ONNX.

It answers every request with what it saw. Its model folder says how it behaves: a file `refusal` makes it end with
code 3 and that text on stderr, as a predictor does with an altered model; a file `delay` holds the seconds until it is
ready. On SIGTERM it turns not ready and ends when nothing has been asked for a moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path

_IDLE_S, _GRACE_S = 0.3, 2.0


class Server:
    """One process's answers."""

    def __init__(self, *, version: str, ready_at: float) -> None:
        self.version = version
        self.ready_at = ready_at
        self.last_request = time.monotonic()
        self.seen: deque[dict[str, object]] = deque(maxlen=50)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self.answer(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ")
        headers = {key.lower(): value.strip() for key, value in (line.split(":", 1) for line in lines if line)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        if path.endswith("/health/ready"):
            status = "200 OK" if time.monotonic() >= self.ready_at else "503 Service Unavailable"
        else:
            status = "200 OK"
            await asyncio.sleep(float(headers.get("x-delay", 0)))
            self.last_request = time.monotonic()
            self.seen.append({"path": path, "headers": headers})
        body = {"version": self.version, "pid": os.getpid(), "method": method, "path": path, "headers": headers}
        body |= {"argv": sys.argv[1:], "environment": dict(os.environ)} if path == "/process" else {}
        body |= {"seen": list(self.seen)} if path == "/seen" else {}
        content = json.dumps(body).encode()
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-turnout-version: {self.version}\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        # One write: a process killed between two of them would leave a client with half an answer.
        writer.write(head.encode() + content)
        await writer.drain()

    async def drain(self) -> None:
        self.ready_at = float("inf")
        asked = time.monotonic()
        while time.monotonic() < max(self.last_request, asked) + _IDLE_S and time.monotonic() < asked + _GRACE_S:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def main() -> None:
    arguments = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
    model = Path(arguments["model_dir"])
    if (model / "refusal").exists():
        print((model / "refusal").read_text().strip(), file=sys.stderr)
        sys.exit(3)
    delay_s = float((model / "delay").read_text()) if (model / "delay").exists() else 0.0
    server = Server(version=arguments["name"], ready_at=time.monotonic() + delay_s)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", int(arguments["http_port"]))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print(f"echo {server.version} listens", flush=True)
    await stopping.wait()
    await server.drain()
    listener.close()


if __name__ == "__main__":
    asyncio.run(main())
