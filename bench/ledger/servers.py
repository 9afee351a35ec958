"""The ledger's own process, killed and started again on its port, over a database of either kind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType

__all__ = ["TOKEN", "Ledger"]

TOKEN = "bench"  # noqa: S105  of a ledger that lives for minutes, on loopback


class Ledger:
    """A running ledger."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self._folder, self._port = folder, 0
        (folder / "token").write_text(TOKEN)
        self.start()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers, also after a kill."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def token_file(self) -> Path:
        """For those who call it."""
        return self._folder / "token"

    def kill(self) -> None:
        """SIGKILL, and start again."""
        self._process.kill()
        self._process.wait()
        self.start()

    def stop(self) -> None:
        """Let it end, and wait for that."""
        self._process.terminate()
        self._process.wait()

    def start(self) -> None:
        """Start it, again on the same port."""
        flags = [f"--database={self.database}", f"--token-file={self.token_file}", f"--port={self._port}"]
        command = [sys.executable, "-m", "turnout.ledger", *flags, "--calls-per-s=0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise SystemExit(f"bench.ledger: the ledger did not start: {line!r}")
        self._port = int(found[1])
