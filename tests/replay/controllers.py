"""Controllers as processes of their own, that can be paused, killed, and cut off from the ledger."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

KILLED = Path(__file__).parent / "killed.py"


class Cable:
    """A TCP connection to the ledger that can be pulled out."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[socket.socket] = set()
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nobody gets through, and who was through is thrown out."""
        self.is_cut = True
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """As if nothing had been."""
        self.is_cut = False

    def close(self) -> None:
        """For good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_cut:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._sockets |= {client, server}
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.close()
            self._sockets.discard(each)


@dataclass
class Controllers:
    """Starts controllers against an engine that runs without one."""

    environment: dict[str, str]
    logs: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *, ledger_url: str = "", die_after: int = 0) -> subprocess.Popen[bytes]:
        """A controller of this name; `die_after` kills it with its n-th write."""
        environment = {**self.environment, **({"TURNOUT_LEDGER_URL": ledger_url} if ledger_url else {})}
        program = [str(KILLED), str(die_after)] if die_after else ["-m", "turnout.controller"]
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *program, "--name", name, "--lease", "2", "--interval", "0.2"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def said(self, name: str) -> str:
        """All that the controllers of this name have logged."""
        return (self.logs / f"{name}.log").read_text()

    def stop(self) -> None:
        """End all."""
        for process in self.started:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait()
