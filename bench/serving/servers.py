"""Starting and stopping the servers of the comparison; what each costs at start and in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.serving import environments
from bench.serving.bodies import Asked

__all__ = ["Running", "Server", "free_port", "hello", "ours", "peer", "running", "uvicorn", "wait_for_port"]

_PEERS = Path(__file__).parent / "peers"
_START_S = 90.0


@dataclass(frozen=True)
class Server:
    """A program that listens on the port it is given. `path` replaces the request's path where it has no V1."""

    name: str
    argv: tuple[str, ...]
    path: str = ""
    scratch: Path | None = None


@dataclass
class Running:
    """One that answers: where, since when, and how long its first answer took."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    start_s: float = 0.0
    log: Path = field(default_factory=Path)

    @property
    def resident_mb(self) -> float:
        """Resident memory of the process and its children, MB."""
        return sum(_resident_kb(pid) for pid in _tree(self.process.pid)) / 1024


def ours(folder: Path, work: Path, *flags: str, name: str = "turnout", module: str = "turnout.predictor") -> Server:
    """Our predictor, prediction log and metrics on. Nobody ships the log: that is the ledger's benchmark."""
    scratch = work / "logs" / name
    argv = (
        *(sys.executable, "-m", module, "--http_port", "{port}", "--model_dir", str(folder), "--model_name", "model"),
        *("--log_dir", str(scratch), "--pod", "bench", *flags),
    )
    return Server(name=name, argv=argv, scratch=scratch)


def hello() -> Server:
    """Our HTTP layer without a model."""
    return Server(name="hello", argv=(sys.executable, "-m", "bench.serving.hello", "--port", "{port}"))


def uvicorn(folder: Path) -> Server:
    """A bare ASGI function on uvicorn with the same ONNX file, in our environment."""
    return Server(name="uvicorn + ONNX", argv=_script(sys.executable, "uvicorn_onnx", folder))


def peer(name: str, environment: str, script: str, folder: Path, *, path: str = "") -> Server:
    """A peer in its own environment."""
    return Server(name=name, argv=_script(str(environments.peer(environment)), script, folder), path=path)


def _script(python: str, script: str, folder: Path) -> tuple[str, ...]:
    return (python, str(_PEERS / f"{script}.py"), "--port", "{port}", "--model", str(folder))


@contextlib.contextmanager
def running(server: Server, asked: Asked, *, work: Path) -> Iterator[Running]:
    """The server, from its first 200 to `asked` until the end of the block.

    Raises:
        RuntimeError: it did not answer; with the end of its log.
    """
    if server.scratch is not None:
        shutil.rmtree(server.scratch, ignore_errors=True)
    port = free_port()
    log = work / "logs" / f"{server.name.replace(' ', '-').replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # One OpenMP thread: with more, one-row predictions of gradient boosting in scikit-learn are four times slower.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(server.argv[0]).parent}{os.pathsep}{environment['PATH']}"
    argv = [word.replace("{port}", str(port)) for word in server.argv]
    with log.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(argv, stdout=stream, stderr=stream, env=environment, start_new_session=True)
    found = Running(server=server, process=process, port=port, log=log)
    try:
        _wait_for_answer(found, asked.http(server.path))
        found.start_s = time.monotonic() - began
        with _acknowledging(server.scratch) if server.scratch else contextlib.nullcontext():
            yield found
    finally:
        _stop(found)


@contextlib.contextmanager
def _acknowledging(log: Path) -> Iterator[None]:
    """Delete the closed segments of a prediction log, as happens when a ledger has acknowledged them.

    Left where they are, the kernel writes them to the disk half a minute later, in the midst of what is measured then.
    """
    over = threading.Event()

    def delete() -> None:
        while not over.wait(0.5):
            for folder in {file.parent for file in log.rglob("*.ndjson")}:
                for file in sorted(folder.glob("*.ndjson"))[:-1]:
                    file.unlink(missing_ok=True)

    thread = threading.Thread(target=delete, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait_for_answer(found: Running, request: bytes) -> None:
    deadline = time.monotonic() + _START_S
    answer = b""
    while time.monotonic() < deadline and found.process.poll() is None:
        with contextlib.suppress(OSError):
            answer = _ask(found.port, request)
            if answer.startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.005)
    tail = found.log.read_text(errors="replace")[-2000:]
    last = answer[:500].decode(errors="replace")
    raise RuntimeError(f"{found.server.name}: wanted 200 within {_START_S:g} s, found {last!r}; its log ends:\n{tail}")


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def _stop(found: Running) -> None:
    tree = _tree(found.process.pid)
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    found.process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    """Until somebody listens there.

    Raises:
        RuntimeError: the process ended, or nobody listens in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"wanted a listener on port {port} within {timeout_s:g} s, found none")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _resident_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
